"""The input of a model: its first convolution, whose inputs are those of the pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch.nn.modules.conv import _ConvNd

if TYPE_CHECKING:
    from torch import nn


def first_convolution(model: nn.Module) -> str | None:
    """Return the name of the convolution that reads the pictures."""
    return next((name for name, module in model.named_modules() if isinstance(module, _ConvNd)), None)
