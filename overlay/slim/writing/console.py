"""What a script prints: lines at once, an error as one line, or JSON and nothing else."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager, redirect_stdout
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from collections.abc import Iterator


def one_line(error: BaseException) -> str:
    """Return what an error says as one line, whatever a file's name holds."""
    return "".join(letter if letter.isprintable() else " " for letter in str(error))


@contextmanager
def only_json() -> Iterator[TextIO]:
    """Yield the real stdout, and send to stderr what upstream's logger and libraries write to theirs meanwhile."""
    sys.stdout.flush()
    real = os.dup(1)
    os.dup2(2, 1)
    try:
        with os.fdopen(os.dup(real), "w", encoding="utf-8") as result, redirect_stdout(sys.stderr):
            yield result
    finally:
        sys.stdout.flush()
        os.dup2(real, 1)
        os.close(real)


def say(text: str) -> None:
    """Print a line at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def print_lines(*lines: str) -> None:
    """Print lines."""
    for text in lines:
        say(text)
