"""Applying a plan: slice every weight in place, with the model's own classes; or only mask, which is the proof.

A pruned model computes what the masked one does, in eval mode, up to floating-point error.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

from ..analysis.channels import Channels, analyse
from ..analysis.proof import prove_plan
from ..groups.blocks import remove_blocks
from ..groups.masking import silence_blocks, silence_channels, silence_norms
from ..models.admission import admit
from ..models.rounds import remember
from ..passes.shadow import one_thread
from ..rules.slicing import slice_model
from .folding import fold_constants
from .validate import check_blocks, lost_groups

if TYPE_CHECKING:
    from torch import nn

    from .plan import Plan


def apply_plan(
    model: nn.Module, plan: Plan, channels: Channels | None = None, *, fold: bool = True, imgsz: int | None = None
) -> list[str]:
    """Prune a model in place; nothing is changed unless the plan fits. The model remembers the plan, as `slim`.

    New Parameters keep dtype, device and `requires_grad`; gradients are gone. Optimizers and averaged copies of the
    model hold the old Parameters: make them again.

    Args:
        model: The model the plan was made for, as given to `analyse`. A wrapper around it holds the new Parameters as
            well, but DDP must be made again.
        plan: What to keep.
        channels: The model's channels, if already known.
        fold: Add the constant act(beta) of a dropped channel, what it still says at gamma = 0, to the bias or the
            BatchNorm mean of what follows.
        imgsz: Side in pixels of the images that the model is for: the plan is then proved at this size as well.

    Returns:
        Notes on the folding: where it is approximate, or left out.

    Raises:
        PlanError: If the plan is for another model, or drops part of what belongs together.
        UnprovenError: If the pruned model would not say what it says with the dropped channels silent.
        ValueError: If the layers cannot be sliced, as `admit` says.
    """
    model = admit(model)
    channels = channels or analyse(model)
    lost = lost_groups(plan, channels)
    check_blocks(model, plan, channels)
    prove_plan(model, channels, lost, plan.removed, imgsz)
    with one_thread():
        notes = fold_constants(model, channels, lost, plan.removed) if fold and (lost or plan.removed) else []
        slice_model(model, channels, lost)
    remove_blocks(model, plan.removed)
    remember(model, plan)
    return notes


def mask_plan(model: nn.Module, plan: Plan, channels: Channels | None = None, *, fold: bool = False) -> None:
    """Silence the dropped channels and blocks of a model in place, at full size, through its BatchNorms alone.

    Args:
        model: The model the plan was made for.
        plan: What to keep.
        channels: The model's channels, if already known.
        fold: Set gamma to zero but leave beta: a dropped channel then says the constant that
            `apply_plan(fold=True)` folds. The two agree wherever no zero padding meets such a channel.

    Raises:
        PlanError: As `apply_plan`.
        ValueError: As `apply_plan`.
    """
    model = admit(model)
    channels = channels or analyse(model)
    lost = lost_groups(plan, channels)
    check_blocks(model, plan, channels)
    silence_channels(model, channels, lost, shift=not fold)
    if fold:
        silence_norms(model, chain.from_iterable(plan.removed.values()), shift=False)
        return
    silence_blocks(model, plan.removed)
