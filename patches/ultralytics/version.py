"""The fork's version carries a local part, so that `yolo version`, checkpoints and bug reports say what ran."""

from __future__ import annotations

from slimfork.codemods import LocalVersion, Patch, Variant

PATCH = Patch(
    id="version",
    title="Name the fork in the version",
    why="an installed fork must be told apart from upstream's release of the same number (PEP 440, local versions)",
    until="never: it is what makes the fork recognisable",
    skippable=False,
    variants=(
        Variant(
            versions=">=8.0.0,<=8.4.190",
            edits=(LocalVersion(file="ultralytics/__init__.py", local="slim1"),),
        ),
    ),
)
