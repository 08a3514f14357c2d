"""Processes of our own: how they are ended, and what they said last."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import subprocess


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
