"""The font of plots is downloaded before the first use, from v6.0 on, and training ends where there is no network.

`slim/compat.py` tries the download, not for ever, and takes the font that comes with matplotlib where it fails.
"""

from __future__ import annotations

from slimfork.codemods import Import, Patch, Replace, Variant


def edits(file: str, root: str = "", slim: str = "slim") -> tuple[Import | Replace, ...]:
    """Return the edits for the file with `check_font`: where it lies, and `slim` as it is imported."""
    return (
        Import(file=f"{root}utils/{file}.py", code=f"from {slim}.compat import fetch_font"),
        Replace(
            file=f"{root}utils/{file}.py",
            within=("check_font",),
            anchor="torch.hub.download_url_to_file",
            code="fetch_font",
        ),
    )


PYPI = {"root": "yolov5/", "slim": "yolov5.slim"}

PATCH = Patch(
    id="font_download",
    title="Plot without a network",
    why="offline, v6.0 cannot be imported and later releases cannot be trained before Arial.ttf was once downloaded",
    until="upstream plots with a font that it finds",
    compat=True,
    variants=(
        Variant(tags=("v6.0",), edits=edits("plots")),
        Variant(tags=("v6.1", "v6.2", "v7.0", "master"), edits=edits("general")),
        Variant(versions=">=6.0.1,<=6.0.7", edits=edits("plots", **PYPI)),
        Variant(versions=">=6.1.0,<=7.0.14", edits=edits("general", **PYPI)),
    ),
)
