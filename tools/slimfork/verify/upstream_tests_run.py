"""Run upstream's tests in a tree: pytest in a process of its own, watched from here, and started again after a hang.

Nothing of one run is seen by another: each has a copy of its tree as its working folder, a home folder and a temporary
folder of its own. No network is reached, and pip installs nothing.
"""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from slimfork.inside import inside
from slimfork.processes.processes import end_group, last_line

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path
    from typing import TextIO

Status = Literal["passed", "failed", "error", "skipped", "timeout", "missing"]

STEPS_FILE = inside.script("upstream_tests_steps.py")
SITE_FILE = inside.script("upstream_site_steps.py")
ALL_TESTS = "tests"  # what stands for the whole folder where no test could even be collected
COLLECTING, LEAVING = 300.0, 30.0  # seconds: to import everything, and to end after the last test
ENDED = (0, 1, 5)  # pytest's exit codes: all passed, some failed, none collected
NOWHERE = "http://127.0.0.1:9"  # a port that nothing listens on: for curl and pip, which Python's sockets do not serve
YOLO = """\
import sys

try:
    from ultralytics.cfg import entrypoint
except ModuleNotFoundError as error:  # before 8.0.136
    if error.name != "ultralytics.cfg":
        raise
    from ultralytics.yolo.cfg import entrypoint
sys.exit(entrypoint())
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What came of a test in one tree; `reason` is the first line of why, empty for one that passed."""

    status: Status
    reason: str = ""
    seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PytestRun:
    """Where and how tests are run.

    Attributes:
        folder: A folder of its own; the tree, a copy that tests may write to, is `tree` in it.
        package: What must be imported from the tree and from nowhere else.
        timeout: Seconds that one test may take.
        expression: pytest's `-k`, or None for all tests.
        on_test: Called with the number of tests done and of all.
    """

    folder: Path
    package: str
    timeout: float
    expression: str | None
    on_test: Callable[[int, int], None]

    @property
    def tree(self) -> Path:
        """The copy of the tree."""
        return self.folder / "tree"

    @property
    def log(self) -> Path:
        """All that pytest printed."""
        return self.folder / "log.txt"


def run_tests(run: PytestRun, name: str = "results", only: Sequence[str] = ()) -> dict[str, Result]:
    """Run tests, each once, and return what came of them by node id.

    Args:
        run: Where and how.
        name: Of the file of results; another one, and tests run that have run before.
        only: Ids of the tests to run, as results have them; none: all.
    """
    events = _Events(run.folder / f"{name}.jsonl")
    command = _command(run)
    environment = _environment(run, events.path) | {"SLIMFORK_ONLY": json.dumps(list(only))}
    while True:
        before = len(events.results)
        with run.log.open("a", encoding="utf-8") as log:
            log.write(f"$ {' '.join(command)}\n")
            log.flush()
            _watch(run, command, environment, events, log)
        if events.status is not None or len(events.results) == before:  # nothing is gained by starting that again
            break
    if events.elsewhere:  # whatever it was that was tested
        return {ALL_TESTS: Result(status="error", reason=events.elsewhere)}
    if events.status not in ENDED and ALL_TESTS not in events.results:
        events.say(
            ALL_TESTS, "error", last_line(run.log.read_text("utf-8", "replace"), ("E ",)).removeprefix("E ").strip()
        )
    return events.results


class _Events:
    """The file of results, read as it grows; what happened to a run from outside is added to it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.results: dict[str, Result] = {}
        self.collected = 0
        self.running: str | None = None
        self.status: int | None = None
        self.elsewhere = ""
        self._read = 0
        path.touch()

    def read(self) -> bool:
        """Read what is new, and tell whether there was anything."""
        with self.path.open("rb") as file:
            file.seek(self._read)
            lines = [line for line in file if line.endswith(b"\n")]
        self._read += sum(map(len, lines))
        for line in lines:
            self._take(json.loads(line))
        return bool(lines)

    def _take(self, event: dict[str, Any]) -> None:
        if "test" in event:
            self.running = None
            result = Result(status=event["status"], reason=event["reason"], seconds=event["seconds"])
            self.results[event["test"]] = result
        self.running = event.get("start", self.running)
        self.collected = max(self.collected, len(self.results) + event.get("collected", 0))
        self.status = event.get("done", self.status)
        self.elsewhere = event.get("elsewhere", self.elsewhere)

    def say(self, test: str, status: Status, reason: str) -> None:
        """Add what came of a test that could not say so itself."""
        event = {"test": test, "status": status, "reason": reason, "seconds": 0.0}
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(event) + "\n")
        self.read()


def _watch(run: PytestRun, command: list[str], environment: dict[str, str], events: _Events, log: TextIO) -> None:
    """Run pytest until it ends, or until what it is at takes too long; say what became of the test it was at."""
    process = subprocess.Popen(
        command, cwd=run.tree, env=environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True
    )
    since, late = time.monotonic(), False
    try:
        while process.poll() is None and not late:
            time.sleep(0.05)
            if events.read():
                since = time.monotonic()
                run.on_test(len(events.results), events.collected)
            allowed = run.timeout if events.running else COLLECTING if events.status is None else LEAVING
            late = time.monotonic() - since > allowed
    finally:
        end_group(process)
    events.read()
    if events.running:
        died = f"the process died with status {process.returncode}"
        why = f"took longer than {run.timeout:g} s" if late else died
        events.say(events.running, "timeout" if late else "error", why)


def _command(run: PytestRun) -> list[str]:
    # Upstream's own options are left out: they time, colour and measure, and need plugins for that.
    options = ["-p", STEPS_FILE.stem, "-p", "no:cacheprovider", "-o", "addopts=", "--color=no", "-rN", "--tb=short"]
    options += ["--continue-on-collection-errors", f"--basetemp={run.folder / 'tmp' / 'pytest'}"]
    select = ["-k", run.expression] if run.expression else []
    return inside.python("-m", "pytest", *options, *select, ALL_TESTS)


def _environment(run: PytestRun, results: Path) -> dict[str, str]:
    site, temporary, home = run.folder / "site", run.folder / "tmp", run.folder / "home"
    if not site.exists():
        _write_site(site)
        temporary.mkdir()
    proxies = {name: NOWHERE for scheme in ("http", "https", "all") for name in _cases(f"{scheme}_proxy")}
    return inside.environment(
        run.tree,
        home,
        **proxies,
        **dict.fromkeys(_cases("no_proxy"), "localhost,127.0.0.1,::1"),
        **dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(temporary)),
        PYTHONPATH=os.pathsep.join([str(run.tree), str(site)]),
        PATH=os.pathsep.join([str(site / "bin"), os.environ.get("PATH", os.defpath)]),
        XDG_CACHE_HOME=str(home / ".cache"),
        PYTHONDONTWRITEBYTECODE="",  # the copy is ours, and many tests start a process that imports it
        UV_OFFLINE="1",
        PYTEST_ADDOPTS="",
        PYTEST_DISABLE_PLUGIN_AUTOLOAD="1",
        SLIMFORK_RESULTS=str(results),
        SLIMFORK_TREE=str(run.tree),
        SLIMFORK_PACKAGE=run.package,
    )


def _cases(name: str) -> tuple[str, str]:
    return name, name.upper()


def _write_site(site: Path) -> None:
    """Write what stands behind the tree on the path: the plugin, what each Python begins with, the tree's `yolo`."""
    (site / "bin").mkdir(parents=True)
    shutil.copy(STEPS_FILE, site)
    shutil.copy(SITE_FILE, site / "sitecustomize.py")
    (site / "yolo.py").write_text(YOLO, "ascii")
    yolo = site / "bin" / "yolo"
    yolo.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{site / "yolo.py"}" "$@"\n', "utf-8")
    yolo.chmod(yolo.stat().st_mode | stat.S_IXUSR)
