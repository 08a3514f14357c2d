"""PyTorch 2.6 turned `torch.load(weights_only=True)` on by default; checkpoints here hold whole modules.

Ultralytics 8.2.64 and later ask for `weights_only=False` themselves.
"""

from __future__ import annotations

from slimfork.calls import Argument
from slimfork.patch import Patch, Variant


def edit(file: str, count: int = 1) -> Argument:
    """Return the edit for a file and its number of loads."""
    return Argument(file=file, call="torch.load", argument="weights_only=False", count=count)


PATCH = Patch(
    id="torch_load",
    title="Load whole-module checkpoints on PyTorch 2.6 and later",
    why="torch.load defaults to weights_only=True since PyTorch 2.6, and every .pt of this release is a pickled module",
    until="the release is older than this patch set supports",
    compat=True,
    variants=(
        Variant(
            versions=">=8.0.100,<=8.0.100",
            edits=(
                edit("ultralytics/nn/tasks.py", 2),
                edit("ultralytics/yolo/utils/torch_utils.py"),
            ),
        ),
    ),
)
