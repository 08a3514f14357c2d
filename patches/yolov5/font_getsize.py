"""Pillow 10 removed `ImageFont.getsize`; labels on plots and predictions are measured with it."""

from __future__ import annotations

from slimfork.codemods import Patch, Replace, Variant


def edits(root: str = "", font: str = "self.font", texts: tuple[str, ...] = ("label", "text")) -> tuple[Replace, ...]:
    """Return the edits for a release: where its sources lie, what the font is called and what is measured."""
    return tuple(
        Replace(
            file=f"{root}utils/plots.py",
            anchor=f"{font}.getsize({text})",
            code=f"{font}.getbbox({text})[2:4]",
        )
        for text in texts
    )


PATCH = Patch(
    id="font_getsize",
    title="Measure labels on Pillow 10 and later",
    why="Pillow 10 removed ImageFont.getsize, so every plot with a label fails; getbbox is there since Pillow 8",
    until="releases before master are no longer of use",
    compat=True,
    variants=(
        Variant(tags=("v5.0",), edits=edits("", "font", ("label",))),
        Variant(tags=("v6.0", "v6.1", "v6.2", "v7.0"), edits=edits()),
        Variant(versions=">=5.0.0,<=5.0.10", edits=edits("yolov5/", "font", ("label",))),
        Variant(versions=">=6.0.1,<=7.0.14", edits=edits("yolov5/")),
    ),
)
