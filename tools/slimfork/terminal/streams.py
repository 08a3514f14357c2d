"""Standard output as a program may count on it: writing never raises, and what went wrong is known at the end.

What is written when its reader has gone (`| head -1`) is dropped: who reads no more wants no more. On a full disk, or
when stdout is closed, the work is done all the same, and the command says at its end that the result is not there.
"""

from __future__ import annotations

import errno
import io
import os
import select
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing_extensions import Buffer

STANDARD = (0, 1, 2)


class Sturdy(io.RawIOBase):
    """A file descriptor whose failures are kept, not raised.

    Attributes:
        failure: Why something is not there; None as long as all is, and when its reader has gone.
    """

    def __init__(self, descriptor: int, *, closed: bool) -> None:
        self.failure: OSError | None = None
        self._descriptor = descriptor
        self._was_closed = closed
        self._unread = False

    def writable(self) -> bool:
        """Tell that this is for writing."""
        return True

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._descriptor

    def isatty(self) -> bool:
        """Tell whether it is a terminal."""
        return os.isatty(self._descriptor)

    def write(self, data: Buffer, /) -> int:
        """Write what can be written, and say that it was all of it."""
        view = memoryview(data).cast("B")
        done = 0
        if self._was_closed and len(view):
            self.failure = OSError(errno.EBADF, "it is closed")
        while done < len(view) and not (self.failure or self._unread):
            done += self._write(view[done:])
        return len(view)

    def _write(self, view: memoryview) -> int:
        try:
            return os.write(self._descriptor, view)
        except BlockingIOError:  # somebody has set the pipe to it
            select.select([], [self._descriptor], [])
        except BrokenPipeError:
            self._unread = True
        except OSError as error:
            self.failure = error
        return 0


def sturdy_streams() -> Sturdy:
    """Replace `sys.stdout` and `sys.stderr` by ones that never raise, and return what is below stdout.

    A standard descriptor that is closed becomes the null device: else the next file that is opened would take its
    place, and get what is meant for the person.
    """
    closed = {1: sys.stdout is None, 2: sys.stderr is None}
    for descriptor in STANDARD:
        if not _is_open(descriptor):
            os.open(os.devnull, os.O_RDWR)  # it takes the lowest number that is free
    below = {number: Sturdy(number, closed=was_closed) for number, was_closed in closed.items()}
    sys.stdout = _text(below[1], line_buffering=below[1].isatty())
    sys.stderr = _text(below[2], line_buffering=True)
    return below[1]


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


def _text(below: Sturdy, *, line_buffering: bool) -> io.TextIOWrapper:
    """Return a text stream; what its encoding does not have is written as an escape."""
    encoding = getattr(sys.__stdout__, "encoding", None) or getattr(sys.__stderr__, "encoding", None) or "utf-8"
    buffer = io.BufferedWriter(below)
    return io.TextIOWrapper(buffer, encoding=encoding, errors="backslashreplace", line_buffering=line_buffering)
