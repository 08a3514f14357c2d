"""The one error tree; the class of an error is its exit code."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

import errno
import os


class SlimforkError(Exception):
    """A failure that is explained to the user in one line, with the next command to type.

    Args:
        message: What is wrong, naming the thing that is wrong.
        hint: The next command or action, shown on a line of its own.
    """

    code = 2

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class CheckFailed(SlimforkError):  # noqa: N818 - it is a verdict, not a fault
    """A check found something (exit code 1)."""

    code = 1


class UsageError(SlimforkError):
    """Wrong usage, configuration or pin (exit code 2)."""

    code = 2


class ConflictError(SlimforkError):
    """A patch does not fit, or a merge conflicts (exit code 3)."""

    code = 3


def explain_system(error: OSError | MemoryError) -> UsageError:
    """Return what the system refused as an error of one line that names the file, with what to do about it."""
    if isinstance(error, MemoryError):
        return UsageError("there is not enough memory", hint="end other programs, or use another machine")
    names = [os.fsdecode(name) for name in (error.filename, error.filename2) if isinstance(name, str | bytes)]
    reason = error.strerror or str(error) or type(error).__name__
    return UsageError(f"{' and '.join(names)}: {reason}" if names else reason, hint=_os_hint(error))


def _os_hint(error: OSError) -> str:
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return "free some space, there or in the folder for temporary files (TMPDIR)"
    if error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
        return "name a place that you can write to"
    if error.errno == errno.ENAMETOOLONG:
        return "a shorter name"
    if not _folder_is_there():
        return "the folder that you are in is gone: cd to one that is there"
    return "apply-patches --verbose ..., which says where that came up"


def _folder_is_there() -> bool:
    try:
        return bool(os.getcwd())  # noqa: PTH109 - Path.cwd() is the same
    except OSError:
        return False


def busy(path: Path) -> UsageError:
    """Return the answer of the second of two runs."""
    return UsageError(f"another apply-patches is at work on {path}", hint="run this again when it is done")
