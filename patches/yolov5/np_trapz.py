"""NumPy 2.4 removed `np.trapz`; average precision is an integral of the PR curve. Master chooses the name itself."""

from __future__ import annotations

from slimfork.codemods import Patch, Replace, Variant


def edits(root: str = "") -> tuple[Replace, ...]:
    """Return the edit for a release whose sources lie below a folder."""
    name = "getattr(np, 'trapezoid', getattr(np, 'trapz', None))"
    return (Replace(file=f"{root}utils/metrics.py", within=("compute_ap",), anchor="np.trapz", code=name),)


PATCH = Patch(
    id="np_trapz",
    title="Integrate the PR curve on NumPy 2.4 and later",
    why="NumPy 2.0 renamed np.trapz to np.trapezoid and 2.4 removed the old name",
    until="releases before master are no longer of use",
    compat=True,
    variants=(
        Variant(tags=("v5.0", "v6.0", "v6.1", "v6.2", "v7.0"), edits=edits()),
        Variant(versions=">=5.0.0,<=7.0.14", edits=edits("yolov5/")),
    ),
)
