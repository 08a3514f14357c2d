"""Processes of our own: how they are ended, what they said last, and what is cleared away after them."""

from __future__ import annotations

import os
import shutil
import signal
import time
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path


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
