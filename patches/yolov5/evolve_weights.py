"""Python 3.9 and later refuse weights that are all zero, as `--evolve` gives them to a first result; v6.0 does not."""

from __future__ import annotations

from slimfork.codemods import Patch, Replace, Variant


def edits(root: str = "") -> tuple[Replace, ...]:
    """Return the edit for a release whose sources lie below a folder."""
    worst = "fitness(x) - fitness(x).min()"
    return (Replace(file=f"{root}train.py", anchor=f"w = {worst}", code=f"w = {worst} + 1E-6"),)


PATCH = Patch(
    id="evolve_weights",
    title="Evolve from a single result on Python 3.9 and later",
    why="random.choices refuses weights whose sum is zero since Python 3.9, so --evolve ends after one generation",
    until="releases before v6.0 and 5.0.8 are no longer of use",
    compat=True,
    variants=(
        Variant(tags=("v5.0",), edits=edits()),
        Variant(versions=">=5.0.0,<=5.0.7", edits=edits("yolov5/")),
    ),
)
