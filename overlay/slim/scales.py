"""What the plots show of a model: the scales of its prunable channels, and the width of every BatchNorm."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from .channels import prunable_batchnorms


def gammas(model: nn.Module) -> Tensor:
    """Return |γ| of every channel that can be pruned, in one vector."""
    norms: dict[str, Any] = dict(model.named_modules())
    return torch.cat([norms[name].weight.detach()[mask].abs() for name, mask in prunable_batchnorms(model).items()])


def widths(model: nn.Module) -> dict[str, int]:
    """Return the channels of every BatchNorm, by layer, in the model's order."""
    return {name: m.num_features for name, m in model.named_modules() if isinstance(m, nn.BatchNorm2d)}
