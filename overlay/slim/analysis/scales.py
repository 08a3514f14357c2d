"""What the plots show of a model: the scales of its prunable channels, and the width of every BatchNorm."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..groups.masking import norms_within
from .channels import Channels, analyse


def prunable_gammas(model: nn.Module, channels: Channels | None = None) -> Tensor:
    """Return |γ| of every channel that can be pruned, in one vector; the model's channels may be known already."""
    channels = channels or analyse(model)
    norms = norms_within(model, "")
    gammas = []
    for name in channels.norms:
        gamma = norms[name].weight.detach()
        gammas.append(gamma[channels.prunable(name)].abs())
    return torch.cat(gammas)


def widths(model: nn.Module) -> dict[str, int]:
    """Return the channels of every BatchNorm, by layer, in the model's order."""
    return {name: m.num_features for name, m in model.named_modules() if isinstance(m, nn.BatchNorm2d)}
