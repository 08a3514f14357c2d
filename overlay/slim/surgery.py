"""Applying a plan: slice every weight in place, with the model's own classes; or only mask, which is the proof.

A pruned model computes what the masked one does, in eval mode, up to floating-point error.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from .channels import Channels, analyse
from .fitting import lost_groups
from .folding import fold_constants
from .slicing import slice_model

if TYPE_CHECKING:
    from torch import nn

    from .plan import Plan


def apply_plan(model: nn.Module, plan: Plan, channels: Channels | None = None, *, fold: bool = True) -> list[str]:
    """Prune a model in place; nothing is changed unless the plan fits.

    New Parameters keep dtype, device and `requires_grad`; gradients are gone. Optimizers and averaged copies of the
    model hold the old Parameters: make them again.

    Args:
        model: The model the plan was made for, bare, as given to `analyse`.
        plan: What to keep.
        channels: The model's channels, if already known.
        fold: Add the constant act(beta) of a dropped channel, what it still says at gamma = 0, to the bias or the
            BatchNorm mean of what follows.

    Returns:
        Notes on the folding: where it is approximate, or left out.

    Raises:
        PlanError: If the plan is for another model, or drops part of what belongs together.
    """
    channels = channels or analyse(model)
    lost = lost_groups(plan, channels)
    notes = fold_constants(model, channels, lost) if fold and lost else []
    slice_model(model, channels, lost)
    return notes


def mask_plan(model: nn.Module, plan: Plan, channels: Channels | None = None, *, fold: bool = False) -> None:
    """Silence the dropped channels of a model in place, at full size, through its BatchNorms and nothing else.

    Args:
        model: The model the plan was made for.
        plan: What to keep.
        channels: The model's channels, if already known.
        fold: Set gamma to zero but leave beta: a dropped channel then says the constant that
            `apply_plan(fold=True)` folds. The two agree wherever no zero padding meets such a channel.

    Raises:
        PlanError: As `apply_plan`.
    """
    channels = channels or analyse(model)
    lost = lost_groups(plan, channels)
    with torch.no_grad():
        for name in channels.norms:
            gone = [index for index, group in enumerate(channels.outputs[name]) if group in lost]
            if gone:
                norm: Any = model.get_submodule(name)
                norm.weight[gone] = 0
                if not fold:
                    norm.bias[gone] = 0
