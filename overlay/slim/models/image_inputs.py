"""The input of a model: its first convolution, whose inputs are those of the images."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch.nn.modules.conv import _ConvNd

if TYPE_CHECKING:
    from torch import nn


def first_convolution(model: nn.Module) -> str | None:
    """Return the name of the convolution that reads the images."""
    return next((name for name, module in model.named_modules() if isinstance(module, _ConvNd)), None)


def inputs_of(model: nn.Module) -> int | None:
    """Return how many inputs it has: the channels of an image, or in YOLOv5's Focus four times as many."""
    name = first_convolution(model)
    layer = None if name is None else model.get_submodule(name)
    return layer.in_channels if isinstance(layer, _ConvNd) else None
