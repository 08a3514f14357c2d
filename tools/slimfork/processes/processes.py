"""Processes of our own: how they are ended, what they said last, and what is cleared away after them."""

from __future__ import annotations

import os
import pickle
import shutil
import signal
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from slimfork.terminal.errors import SlimforkError

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path


class KilledError(SlimforkError):
    """A process that does a part of the work was killed."""


def out_of_reach(work: Callable[[], None]) -> None:
    """Do a short work in a process with a session of its own: it comes to its end even when this one is killed.

    Raises:
        KilledError: That process was killed itself.
        Exception: What the work has raised.
    """
    if not hasattr(os, "fork"):  # pragma: no cover - Windows
        work()
        return
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os._exit(_tell(work, writer))
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        said = pipe.read()
    status = os.waitpid(child, 0)[1]
    if said:
        raise pickle.loads(said)  # noqa: S301 - it is our own process that says it
    if status:
        hint = "run this again: it puts right what was begun"
        raise KilledError("a process of this run was killed", hint=hint)


def _tell(work: Callable[[], None], writer: int) -> int:
    """Do a work, and write what it raises to a pipe; return the exit code."""
    os.setsid()
    try:
        work()
    except BaseException as error:  # noqa: BLE001 - whatever it is, it is raised on the other side
        with os.fdopen(writer, "wb") as pipe:
            pickle.dump(error, pipe)
        return 1
    return 0


def end_group(process: subprocess.Popen[bytes]) -> None:
    """End a process that has a session of its own, with all that it has started."""
    if hasattr(os, "killpg"):
        with suppress(ProcessLookupError):  # all have ended
            os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    process.wait()


def last_line(said: str, prefer: tuple[str, ...] = ()) -> str:
    """Return the last line that says something, one that begins in a preferred way if there is any."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    preferred = [line for line in lines if line.startswith(prefer)] if prefer else []
    return (preferred or lines or ["it said nothing"])[-1][:300]


def clear(folder: Path) -> bool:
    """Remove a folder, and tell whether it is gone; after Ctrl-C, git may still be writing into it for a moment."""
    for _ in range(50):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return True
        time.sleep(0.1)
    return False
