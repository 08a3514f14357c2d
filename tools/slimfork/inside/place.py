"""A folder in which Python runs inside a fork, stage by stage: the demo's, and a benchmark's.

What runs there tells of its progress and its results in lines that start with a mark, and everything it says is kept.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from slimfork.inside import inside
from slimfork.inside.scratch import FACTS_MARK
from slimfork.terminal.errors import SlimforkError
from slimfork.terminal.words import typed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path
    from typing import TextIO


class StageError(SlimforkError):
    """A stage failed (exit code 1)."""

    code = 1


def take_along(files: Iterable[Path], folder: Path) -> None:
    """Copy scripts into a folder where they run without their package."""
    for file in files:
        shutil.copy(file, folder)


def take_away(files: Iterable[Path], folder: Path) -> None:
    """Remove the scripts again: they are ours, and what the folder is for does not need them."""
    for file in files:
        (folder / file.name).unlink(missing_ok=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where stages run.

    Attributes:
        fork: The tree whose packages they import.
        work: The folder they run in, with their scripts and for all that they make.
        upstream: The family of the tree.
        threads: How many each may use.
        running: The processes of stages that run now, from several threads perhaps.
    """

    fork: Path
    work: Path
    upstream: str
    threads: int
    running: set[subprocess.Popen[str]] = field(default_factory=set)

    def end(self) -> None:
        """End the stages that other threads run; each raises StageError there."""
        for process in list(self.running):
            process.kill()

    def run(
        self,
        name: str,
        *arguments: str | Path,
        heard: Callable[[dict[str, Any]], None],
        limit: float | None = None,
    ) -> dict[str, Any]:
        """Run Python with arguments.

        Args:
            name: Of the stage; its log is called after it.
            *arguments: Of Python.
            heard: Called with the facts of every line that starts with the mark.
            limit: Seconds after which it is ended; None is never.

        Returns:
            The last of these facts.

        Raises:
            StageError: It failed, or was ended.
        """
        log = self.work / "logs" / f"{name}.log"
        log.parent.mkdir(exist_ok=True)
        with (
            log.open("w", encoding="utf-8") as file,
            self._started(arguments) as process,
            _clock(process, limit) as late,
        ):
            facts = _listen(process, file, heard)
        if process.returncode and late.is_set():
            raise StageError(f"the stage {name!r} was ended after {limit:g} s; its log is {log}")
        if process.returncode:
            raise StageError(f"the stage {name!r} failed; its log is {log}", hint=f"tail {typed(log)}")
        return facts

    @contextmanager
    def _started(self, arguments: Sequence[str | Path]) -> Iterator[subprocess.Popen[str]]:
        """Start Python, count it among what runs, and wait for its end."""
        environment = inside.environment(
            self.fork,
            self.work / "home",
            OMP_NUM_THREADS=str(self.threads),
            SLIMFORK_TREE=str(self.fork),
            SLIMFORK_UPSTREAM=self.upstream,
        )
        with subprocess.Popen(
            inside.python(*arguments),
            cwd=self.work,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process:
            self.running.add(process)
            try:
                yield process
            except BaseException:
                process.kill()  # it is not to go on when nobody listens
                raise
            finally:
                self.running.discard(process)


@contextmanager
def _clock(process: subprocess.Popen[str], limit: float | None) -> Iterator[threading.Event]:
    """Kill a process when its seconds are over, and yield what is set then; None is never."""
    late = threading.Event()

    def end() -> None:
        late.set()
        process.kill()

    clock = threading.Timer(limit or 0, end)
    if limit is not None:
        clock.start()
    try:
        yield late
    finally:
        clock.cancel()


def _listen(process: subprocess.Popen[str], log: TextIO, heard: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    """Keep all that a process says, pass its facts on, and return the last of them."""
    facts: dict[str, Any] = {}
    for line in process.stdout or ():
        log.write(line)
        if line.startswith(FACTS_MARK):
            facts = json.loads(line.removeprefix(FACTS_MARK))
            heard(facts)
    return facts
