"""What users of Torch-Pruning do to YOLO before it can prune it: C2f whose first convolution is two.

After examples/yolov8/yolov8_pruning.py of VainF/Torch-Pruning, where the class is called C2f_v2. It lies in a file of
its own because a checkpoint names it, and only where this file is importable can that be loaded.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from ultralytics.nn.modules import C2f
from ultralytics.nn.modules.conv import Conv


class C2fSplit(nn.Module):
    """A C2f that asks two convolutions for the halves that C2f cuts out of one."""

    def __init__(self, c2f: C2f) -> None:
        super().__init__()
        entering = c2f.cv1.conv.in_channels
        self.cv0, self.cv1 = _half(c2f.cv1, entering, c2f.c, 0), _half(c2f.cv1, entering, c2f.c, 1)
        self.cv2, self.m = c2f.cv2, c2f.m
        for name in ("i", "f", "type", "np"):  # what upstream's parser leaves on a layer
            if hasattr(c2f, name):
                setattr(self, name, getattr(c2f, name))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Compute what C2f does."""
        y: list[torch.Tensor] = [self.cv0(x), self.cv1(x)]
        for bottleneck in self.m:
            y.append(bottleneck(y[-1]))
        out: torch.Tensor = self.cv2(torch.cat(y, 1))
        return out


def _half(conv: Conv, entering: int, width: int, part: int) -> Conv:
    """Return a convolution with one half of another's outputs."""
    rows = slice(part * width, (part + 1) * width)
    half = Conv(entering, width, 1, 1)
    half.conv.weight.data = conv.conv.weight.data[rows].clone()
    half.bn.eps, half.bn.momentum = conv.bn.eps, conv.bn.momentum
    for name in ("weight", "bias", "running_mean", "running_var"):
        getattr(half.bn, name).data = getattr(conv.bn, name).data[rows].clone()
    half.act = conv.act
    half.train(conv.training)
    return half


def split_all(model: Any) -> int:
    """Replace every C2f below a module; its descendants, as C3k2, are C2f, too. Return how many."""
    count = 0
    for name, child in model.named_children():
        count += split_all(child)
        if isinstance(child, C2f):
            setattr(model, name, C2fSplit(child))
            count += 1
    return count
