"""Does a plan fit a model? Refused by layer name, before anything is changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..groups.blocks import carried_on, remove_blocks, within
from ..groups.serving import serving
from ..rules.slicing import kept_places
from .plan import PlanError

if TYPE_CHECKING:
    from torch import nn

    from ..analysis.channels import Channels
    from .plan import Plan


def lost_groups(plan: Plan, channels: Channels) -> set[int]:
    """Return the groups that a plan drops.

    Raises:
        PlanError: If the layers or their widths are others, a channel is dropped that must stay or without those
            that belong to it, or the parts of a chunk become uneven.
    """
    _check_layers(plan, channels)
    lost: set[int] = set()
    for name in plan.keep:
        kept = plan.kept(name)
        for index, group in enumerate(channels.outputs[name]):
            if index not in kept:
                lost.add(group)
    for name, groups in channels.outputs.items():
        kept = plan.kept(name)
        for index, group in enumerate(groups):
            if group in lost:
                _check_channel(plan, channels, name, index, kept=index in kept)
    for parts in channels.cuts:
        if len({len(kept_places(part, lost)) for part in parts}) > 1:
            name, _, _ = channels.members(parts[0][0])[0]
            raise PlanError(f"the plan keeps unequal parts of {name}, whose output is cut evenly: make a plan anew")
    return lost


def check_blocks(model: nn.Module, plan: Plan, channels: Channels) -> None:
    """Refuse a plan that removes what nothing carries on.

    Raises:
        PlanError: A block is not there, the BatchNorms it is said to have lost are not in it, or the model needs it.
    """
    modules = dict(model.named_modules())
    for block, norms in plan.removed.items():
        if block not in modules or not block:
            raise PlanError(f"the plan is for another model: this one has no block {block}; make a plan for it")
        for name in norms:
            if name not in channels.norms or not within(name, block):
                raise PlanError(f"the plan removes {block} for {name}, which is no BatchNorm in it; make a plan anew")
    carried = carried_on(model, channels, plan.removed) if plan.removed else set()
    for block in plan.removed:
        if block not in carried:
            raise PlanError(f"the plan removes {block}, without which nothing carries on; make a plan anew")
    serve = serving(model, channels, plan.removed, remove_blocks) if plan.removed else []
    for block in plan.removed:
        if block not in serve:
            raise PlanError(f"the plan removes {block}, in whose place the identity does not serve; make a plan anew")


def _check_layers(plan: Plan, channels: Channels) -> None:
    widths = channels.widths
    for name, width in plan.widths.items():
        if name not in widths:
            raise PlanError(f"the plan is for another model: this one has no layer {name}; make a plan for it")
        if widths[name] != width:
            raise PlanError(
                f"the plan is for another model: {name} has {widths[name]} channels, not {width}; make a plan for it"
            )
    for name in widths:
        if name not in plan.widths:
            raise PlanError(f"the plan is for another model: it does not know the layer {name}; make a plan for it")
    for name, keep in plan.keep.items():
        if name not in widths:
            raise PlanError(f"the plan keeps channels of {name}, which its own widths do not know; make a plan anew")
        if not keep or keep != sorted(set(keep)) or keep[0] < 0 or keep[-1] >= widths[name]:
            raise PlanError(
                f"the plan's channels of {name} are not an ascending choice from 0 to {widths[name] - 1}; correct it"
            )


def _check_channel(plan: Plan, channels: Channels, name: str, index: int, *, kept: bool) -> None:
    group = channels.outputs[name][index]
    if group in channels.frozen:
        raise PlanError(f"the plan drops channel {index} of {name}, which must stay: {channels.frozen[group]}")
    if not kept:
        return
    for other, side, channel in channels.members(group):
        if side == "out" and channel not in plan.kept(other):
            raise PlanError(
                f"the plan keeps channel {index} of {name} but drops channel {channel} of {other}, which goes with it"
            )
