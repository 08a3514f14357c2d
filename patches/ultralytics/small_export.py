"""A slim model's file may well be smaller than what upstream takes for a failed export."""

from __future__ import annotations

from slimfork.codemods import Patch, Replace, Variant

PATCH = Patch(
    id="small_export",
    title="Let exported files be smaller than 0.1 MB",
    why="the exporter takes a file under 0.1 MB for corrupt, and a model can be slimmed that far; empty ones fail",
    until="upstream no longer judges an export by its size",
    variants=(
        Variant(
            versions=">=8.4.81,<=8.4.190",
            edits=(
                Replace(
                    file="ultralytics/engine/exporter.py",
                    within=("try_export", "*"),
                    anchor="mb > 0.1",
                    code="mb > 0.0",
                ),
            ),
        ),
    ),
)
