"""PyTorch 2.6 turned `torch.load(weights_only=True)` on by default; checkpoints here hold whole modules.

Ultralytics 8.2.64 and later ask for `weights_only=False` themselves. SAM's loads are left alone: state dictionaries.
"""

from __future__ import annotations

from slimfork.codemods import Argument, Patch, Variant


def edit(file: str, count: int = 1) -> Argument:
    """Return the edit for a file and its number of loads."""
    return Argument(file=file, call="torch.load", argument="weights_only=False", count=count)


TASKS = "ultralytics/nn/tasks.py"
STRIP = edit("ultralytics/yolo/utils/torch_utils.py")
NAS = edit("ultralytics/yolo/nas/model.py")
MOVED = (edit(TASKS, 2), edit("ultralytics/utils/torch_utils.py"), edit("ultralytics/models/nas/model.py"))
TUNER = edit("ultralytics/engine/tuner.py")

PATCH = Patch(
    id="torch_load",
    title="Load whole-module checkpoints on PyTorch 2.6 and later",
    why="torch.load defaults to weights_only=True since PyTorch 2.6, and every .pt of this release is a pickled module",
    until="releases before 8.2.64 are no longer of use",
    compat=True,
    variants=(
        Variant(versions=">=8.0.0,<=8.0.16", edits=(edit(TASKS, 2), STRIP)),
        Variant(versions=">=8.0.17,<=8.0.18", edits=(edit(TASKS, 3), STRIP)),
        Variant(versions=">=8.0.19,<=8.0.115", edits=(edit(TASKS, 2), STRIP)),
        Variant(versions=">=8.0.116,<=8.0.135", edits=(edit(TASKS, 2), STRIP, NAS)),
        Variant(versions=">=8.0.136,<=8.0.173", edits=MOVED),
        Variant(versions=">=8.0.174,<=8.2.63", edits=(*MOVED, TUNER)),
    ),
)
