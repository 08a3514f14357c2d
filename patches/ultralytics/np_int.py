"""NumPy 1.24 removed `np.int`; 8.0.235 and 8.0.236 cast rotated boxes with it before they draw them."""

from __future__ import annotations

from slimfork.codemods import Patch, Replace, Variant

PATCH = Patch(
    id="np_int",
    title="Draw rotated boxes on NumPy 1.24 and later",
    why="NumPy 1.24 removed np.int, so predicting and plotting with an OBB model fails",
    until="8.0.235 and 8.0.236 are no longer of use",
    compat=True,
    variants=(
        Variant(
            versions=">=8.0.235,<=8.0.236",
            edits=(
                Replace(
                    file="ultralytics/utils/plotting.py",
                    within=("Annotator", "box_label"),
                    anchor="np.int",
                    code="np.int32",
                ),
            ),
        ),
    ),
)
