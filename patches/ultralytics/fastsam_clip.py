"""8.0.127 imports CLIP with the package itself, and would install it from git where it is missing.

Only FastSAM's text prompt uses it. A stand-in imports it when something of it is first asked for; 8.0.128 did the like.
"""

from __future__ import annotations

from slimfork.codemods import Patch, Replace, Variant

PATCH = Patch(
    id="fastsam_clip",
    title="Import CLIP when FastSAM uses it",
    why="`import ultralytics` fails where CLIP is not installed, and it is not on the package index",
    until="8.0.127 is no longer of use",
    compat=True,
    variants=(
        Variant(
            versions=">=8.0.127,<=8.0.127",
            edits=(
                Replace(
                    file="ultralytics/yolo/fastsam/prompt.py",
                    anchor="import clip",
                    code="from ultralytics.slim.compat import clip",
                    count=2,
                ),
            ),
        ),
    ),
)
