"""Python 3.12 refuses floats in `random.randrange`, which `--multi-scale` draws image sizes with."""

from __future__ import annotations

from slimfork.codemods import Patch, Replace, Variant


def edits(*scripts: str, root: str = "") -> tuple[Replace, ...]:
    """Return the edits of train scripts below a folder; the line is the one of master."""
    return tuple(
        Replace(
            file=f"{root}{script}.py",
            within=("train",),
            anchor="random.randrange(imgsz * 0.5, imgsz * 1.5 + gs)",
            code="random.randrange(int(imgsz * 0.5), int(imgsz * 1.5) + gs)",
        )
        for script in scripts
    )


PATCH = Patch(
    id="multi_scale",
    title="Train at several scales on Python 3.12 and later",
    why="random.randrange takes integers only since Python 3.12, so --multi-scale ends with the first batch",
    until="releases before master and 7.0.12 are no longer of use",
    compat=True,
    variants=(
        Variant(tags=("v5.0", "v6.0", "v6.1", "v6.2"), edits=edits("train")),
        Variant(tags=("v7.0",), edits=edits("train", "segment/train")),
        Variant(versions=">=5.0.0,<=6.1.9", edits=edits("train", root="yolov5/")),
        Variant(versions=">=6.2.0,<=7.0.11", edits=edits("train", "segment/train", root="yolov5/")),
    ),
)
