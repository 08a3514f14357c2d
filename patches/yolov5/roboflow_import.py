"""Training imports Roboflow's client, which only its data sets and uploads use; 7.0.10 still imported it then."""

from __future__ import annotations

from slimfork.codemods import Patch, Replace, Variant

FILE = "yolov5/utils/roboflow.py"

PATCH = Patch(
    id="roboflow_import",
    title="Import roboflow when something of it is used",
    why="no training starts where roboflow is not installed, and it holds OpenCV and others at old versions",
    until="releases from 7.0.11 on are no longer of use",
    compat=True,
    variants=(
        Variant(
            versions=">=7.0.11,<=7.0.14",
            edits=(
                Replace(
                    file=FILE,
                    anchor="from roboflow import Roboflow",
                    code="from yolov5.slim.services import Roboflow",
                ),
                Replace(
                    file=FILE,
                    anchor="from roboflow.core.version import Version",
                    code="from yolov5.slim.services import Version",
                ),
            ),
        ),
    ),
)
