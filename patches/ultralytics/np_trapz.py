"""NumPy 2.4 removed `np.trapz`; average precision is an integral of the PR curve."""

from __future__ import annotations

from slimfork.codemods import Patch, Replace, Variant


def edit(file: str) -> Replace:
    """Return the edit for the file with the metrics."""
    return Replace(file=file, anchor="np.trapz", code="getattr(np, 'trapezoid', getattr(np, 'trapz', None))")


PATCH = Patch(
    id="np_trapz",
    title="Integrate the PR curve on NumPy 2.4 and later",
    why="NumPy 2.0 renamed np.trapz to np.trapezoid and 2.4 removed the old name",
    until="releases before 8.3.108, which choose the name themselves, are no longer of use",
    compat=True,
    variants=(
        Variant(versions=">=8.0.0,<=8.0.135", edits=(edit("ultralytics/yolo/utils/metrics.py"),)),
        Variant(versions=">=8.0.136,<=8.3.107", edits=(edit("ultralytics/utils/metrics.py"),)),
    ),
)
