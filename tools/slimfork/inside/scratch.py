"""What every step of `verify_steps` and `demo_steps` knows of the folder it runs in; copied there beside them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

WORK = Path(__file__).resolve().parent  # of the copy: the scratch folder
IMGSZ = 64  # the side of verify's pictures, in pixels
FACTS_MARK = "slimfork:"  # begins a line that is for the command that called


def write_lines(file: Path, lines: Iterable[object]) -> None:
    """Write a text file that has a thing in each line."""
    file.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


class StoppedError(Exception):
    """A training run stopped on purpose."""
