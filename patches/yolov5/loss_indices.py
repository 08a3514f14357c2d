"""`build_targets` clamps integers by floats in place, which PyTorch refuses: "Float can't be cast to ... Long"."""

from __future__ import annotations

from slimfork.codemods import Patch, Replace, Variant


def edits(root: str = "") -> tuple[Replace, ...]:
    """Return the edits for a release whose sources lie below a folder."""
    return tuple(
        Replace(
            file=f"{root}utils/loss.py",
            within=("ComputeLoss", "build_targets"),
            anchor=f"{cell}.clamp_(0, gain[{side}] - 1)",
            code=f"{cell}.clamp_(0, int(gain[{side}]) - 1)",
        )
        for cell, side in (("gj", 3), ("gi", 2))
    )


PATCH = Patch(
    id="loss_indices",
    title="Limit grid indices by integers in the loss",
    why="PyTorch 1.12 and later refuse to clamp integers by a float tensor in place, so no training starts",
    until="releases before v6.2 and 6.1.6 are no longer of use",
    compat=True,
    variants=(
        Variant(tags=("v5.0", "v6.0", "v6.1"), edits=edits()),
        Variant(versions=">=5.0.0,<=6.1.5", edits=edits("yolov5/")),
    ),
)
