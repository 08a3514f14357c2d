"""PyTorch 2.6 turned `torch.load(weights_only=True)` on by default; checkpoints here hold whole modules.

Ultralytics 8.2.64 and later ask for `weights_only=False` themselves.
"""

from __future__ import annotations

from slimfork.codemod import Replace
from slimfork.patch import Patch, Variant

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
                Replace(
                    file="ultralytics/nn/tasks.py",
                    anchor="torch.load(file, map_location='cpu')",
                    code="torch.load(file, map_location='cpu', weights_only=False)",
                    count=2,
                ),
                Replace(
                    file="ultralytics/yolo/utils/torch_utils.py",
                    anchor="torch.load(f, map_location=torch.device('cpu'))",
                    code="torch.load(f, map_location=torch.device('cpu'), weights_only=False)",
                ),
            ),
        ),
    ),
)
