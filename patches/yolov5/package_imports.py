"""Some releases on PyPI import `models.common` where they mean `yolov5.models.common`, which is found by chance only.

Training asks `check_amp` on every device, and the classifier's trainer compares with the class that it gets there.
"""

from __future__ import annotations

from slimfork.codemods import Patch, Replace, Variant


def edit(file: str, names: str) -> Replace:
    """Return the edit for a file and the names that it imports."""
    return Replace(
        file=f"yolov5/utils/{file}.py",
        anchor=f"from models.common import {names}",
        code=f"from yolov5.models.common import {names}",
    )


AMP = edit("general", "AutoShape, DetectMultiBackend")
CLASSIFY = edit("torch_utils", "Classify")

PATCH = Patch(
    id="package_imports",
    title="Import the package's own modules by its name",
    why="no training starts: check_amp imports `models.common`, which is there only in the package's own folder",
    until="releases from 6.1.7 to 6.2.2 are no longer of use",
    compat=True,
    variants=(
        Variant(versions=">=6.1.7,<=6.1.9", edits=(AMP,)),
        Variant(versions=">=6.2.0,<=6.2.1", edits=(AMP, CLASSIFY)),
        Variant(versions=">=6.2.2,<=6.2.2", edits=(CLASSIFY,)),
    ),
)
