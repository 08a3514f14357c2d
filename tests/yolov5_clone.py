"""The clone of YOLOv5's own repository that the tests of its tags need: `SLIMFORK_YOLOV5_GIT` names it, or they skip.

It holds 200 MB, and its server is not reached from everywhere, so nothing fetches it for a test run, and a tag's commit
that a cache happens to hold is no reason to run: the same tests run on every machine.
`git clone https://github.com/ultralytics/yolov5`
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

VARIABLE = "SLIMFORK_YOLOV5_GIT"


def _clone() -> str:
    """Return the path of the clone, bare or not, or nothing: where none is named, and where what is named is none."""
    named = os.environ.get(VARIABLE, "")
    if not named:
        return ""
    git = ["git", "-c", "safe.directory=*", "--git-dir", f"{named}/.git" if Path(named, ".git").is_dir() else named]
    try:
        asked = subprocess.run([*git, "cat-file", "-t", "refs/tags/v7.0"], capture_output=True, check=False)
    except OSError:
        return ""
    return named if asked.stdout else ""


CLONE = _clone()
WHY = f"{VARIABLE} names no clone of YOLOv5"
needs_clone = pytest.mark.skipif(not CLONE, reason=WHY)
