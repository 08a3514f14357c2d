"""8.1.39 imports CLIP with the package itself, and would install it from git where it is missing.

Only training of YOLO-World uses it. A stand-in imports it when something of it is first asked for; 8.1.40 did the like.
"""

from __future__ import annotations

from slimfork.codemods import Patch, Replace, Variant

PATCH = Patch(
    id="clip_import",
    title="Import CLIP when it is used",
    why="`import ultralytics` fails where CLIP is not installed, and it is not on the package index",
    until="8.1.39 is no longer of use",
    compat=True,
    variants=(
        Variant(
            versions=">=8.1.39,<=8.1.39",
            edits=(
                Replace(
                    file="ultralytics/models/yolo/world/train.py",
                    anchor="import clip",
                    code="from ultralytics.slim.compat import clip",
                    count=2,
                ),
            ),
        ),
    ),
)
