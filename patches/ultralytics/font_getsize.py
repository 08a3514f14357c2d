"""Pillow 10 removed `ImageFont.getsize`; labels on plots and predictions are measured with it."""

from __future__ import annotations

from slimfork.codemods import Patch, Replace, Variant


def edit(text: str, count: int = 1) -> Replace:
    """Return the edit for the name of what is measured, and how often it is."""
    return Replace(
        file="ultralytics/yolo/utils/plotting.py",
        within=("Annotator", "*"),
        anchor=f"self.font.getsize({text})",
        code=f"self.font.getbbox({text})[2:4]",
        count=count,
    )


PATCH = Patch(
    id="font_getsize",
    title="Measure labels on Pillow 10 and later",
    why="Pillow 10 removed ImageFont.getsize, so every plot with a label fails; getbbox is there since Pillow 8",
    until="releases before 8.0.119 are no longer of use",
    compat=True,
    variants=(
        Variant(versions=">=8.0.0,<=8.0.4", edits=(edit("label"), edit("text"))),
        Variant(versions=">=8.0.5,<=8.0.5", edits=(edit("text"),)),
        Variant(versions=">=8.0.6,<=8.0.23", edits=(edit("label"), edit("text"))),
        # From 8.0.24 on, labels choose by Pillow's version themselves.
        Variant(versions=">=8.0.24,<=8.0.88", edits=(edit("text"),)),
        Variant(versions=">=8.0.89,<=8.0.118", edits=(edit("text", 2),)),
    ),
)
