"""The door of a YOLOv5 fork's `prune.py` to its release: `main(line_of(package=...))`."""

from __future__ import annotations

from .script.yolov5_release import export, load
from .writeup import WriteUpScript

__all__ = ["export", "line_of", "load"]


def line_of(package: str) -> WriteUpScript:
    """Return the script of a release whose modules are in a package, `yolov5` or none."""
    return WriteUpScript(package)
