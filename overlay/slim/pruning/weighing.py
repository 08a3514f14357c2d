"""What the weights around a channel carry: which of channels with equal scales is the stronger.

A channel passes on ‖what makes it‖·‖what reads it‖, the norms of its rows in the layers that compute it and of its
columns in those that take it. Of a channel whose scale is exactly zero, weight decay has taken from both ever since it
fell, so what carries most has fallen last. The numbers compare within a layer alone: BatchNorm undoes any row's length.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

if TYPE_CHECKING:
    from ..analysis.channels import Channels


@torch.no_grad()
def carried(model: nn.Module, channels: Channels) -> dict[int, float]:
    """Return for each group the product of both norms over all layers that it passes, or the one norm that there is.

    Args:
        model: The model that `channels` was made from.
        channels: Its channels.
    """
    made: defaultdict[int, float] = defaultdict(float)
    read: defaultdict[int, float] = defaultdict(float)
    for name, groups in channels.outputs.items():
        layer: Any = model.get_submodule(name)
        if isinstance(layer, (_ConvNd, nn.Linear)) and isinstance(layer.weight, Tensor):
            rows, columns = squares(layer)
            _add(made, groups, rows)
            _add(read, channels.inputs.get(name, ()), columns)
    return {group: (made.get(group, 1.0) * read.get(group, 1.0)) ** 0.5 for group in {*made, *read}}


def squares(layer: Any) -> tuple[list[float], list[float]]:
    """Return the sums of squares of a layer's weights, by output channel and by input channel.

    Args:
        layer: A convolution, transposed or not, of any groups, or a Linear.
    """
    weight = layer.weight.detach().float().nan_to_num().square()
    parts = getattr(layer, "groups", 1)
    first, second = weight.shape[:2]
    pairs = weight.reshape(parts, first // parts, second, -1).sum(3)  # (groups, outputs or inputs, the others)
    ahead, behind = pairs.sum(2).flatten().tolist(), pairs.sum(1).flatten().tolist()
    return (behind, ahead) if isinstance(layer, _ConvTransposeNd) else (ahead, behind)


def _add(sums: defaultdict[int, float], groups: tuple[int, ...], values: list[float]) -> None:
    if len(groups) == len(values):
        for group, value in zip(groups, values):
            sums[group] += value
