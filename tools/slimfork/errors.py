"""The one error tree; the class of an error is its exit code."""

from __future__ import annotations


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
