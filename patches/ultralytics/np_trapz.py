"""NumPy 2.4 removed `np.trapz`; average precision is an integral of the PR curve."""

from __future__ import annotations

from slimfork.codemod import Replace
from slimfork.patch import Patch, Variant

PATCH = Patch(
    id="np_trapz",
    title="Integrate the PR curve on NumPy 2.4 and later",
    why="NumPy 2.0 renamed np.trapz to np.trapezoid and 2.4 removed the old name",
    until="the release is older than this patch set supports",
    compat=True,
    variants=(
        Variant(
            versions=">=8.0.100,<=8.0.100",
            edits=(
                Replace(
                    file="ultralytics/yolo/utils/metrics.py",
                    anchor="np.trapz",
                    code="getattr(np, 'trapezoid', getattr(np, 'trapz', None))",
                ),
            ),
        ),
    ),
)
