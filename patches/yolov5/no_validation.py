"""Some of PyPI's releases note mAP50 of each class after an epoch, and with `--noval` there is none yet."""

from __future__ import annotations

from slimfork.codemods import Insert, Patch, Variant

START = Insert(file="yolov5/train.py", within=("train",), anchor="maps = np.zeros(nc)", code="map50s = np.zeros(nc)")

PATCH = Patch(
    id="no_validation",
    title="Train with --noval",
    why="train.py reads the mAP50 of each class after the first epoch, which only validation sets",
    until="upstream sets it before it trains, as 6.1.9 to 7.0.7 do",
    compat=True,
    variants=(
        Variant(versions=">=6.1.4,<=6.1.8", edits=(START,)),
        Variant(versions=">=7.0.8,<=7.0.14", edits=(START,)),
    ),
)
