"""The proof of a plan: before a model is changed, it is compared pruned with itself masked, on its own weights."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from .blocks import within
from .labels import FIXED
from .passes import Pass
from .plan_data import PlanError
from .probe import FLOAT32, UnfitError, probe
from .walks import Drop

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .channels import Channels
    from .plan import Plan
    from .walks import Finding

Pruned = TypeVar("Pruned")

WIDER = (1.5, 2.0)  # as in `trying`
ROUNDS = 8  # plans that are made anew at most, each without what the last one could not lose


class UnprovenError(PlanError):
    """A plan with which the pruned model does not say what the masked one does.

    Attributes:
        module: In whose code that begins, "" for the model's own.
        groups: What this module touches.
    """

    def __init__(self, module: str, said: str, groups: set[int]) -> None:
        super().__init__(
            f"pruned by this plan, the model says something else than with the dropped channels silent: that begins in "
            f"{module or 'the model'} ({said}); make a plan that keeps what it touches whole"
        )
        self.module, self.said, self.groups = module, said, groups


def prove_plan(model: nn.Module, channels: Channels, lost: set[int], removed: Mapping[str, list[str]]) -> None:
    """Compare a model pruned with itself masked, on two images of noise of each of two sizes.

    Args:
        model: The model; it is only copied.
        channels: Its channels.
        lost: Groups that go.
        removed: Blocks that go as a whole.

    Raises:
        UnprovenError: They differ.
    """
    if not lost and not removed:
        return
    batch, *rest, width = channels.example
    several = Pass((2 * batch, *rest, width))
    wider = [replace(several, shape=(*several.shape[:-1], int(width * times))) for times in WIDER]
    for ways in ([several], wider):
        for way in ways:
            try:
                _compare(model, channels, Drop(lost, None, [way], removed))
            except UnfitError:
                continue
            break


def _compare(model: nn.Module, channels: Channels, drop: Drop) -> None:
    wanted = partial(_wanted, model, channels, drop)
    quick = probe(model, channels, drop, wanted)
    if quick.worst <= FLOAT32:
        return
    try:
        thorough = probe(model, channels, drop, wanted, thorough=True, exact=not quick.failed)
    except UnfitError:  # not in float64
        thorough = probe(model, channels, drop, wanted, thorough=True)
    found = thorough.findings or (quick.findings if quick.failed else [])
    if found:
        raise UnprovenError(found[0].module, found[0].said, _touched(channels, drop.lost, found[0]))


def _wanted(
    model: nn.Module,
    channels: Channels,
    drop: Drop,
    name: str,
    call: int,
    side: str,
    place: int,
    masked: Tensor,
    ours: Tensor,
) -> list[Tensor]:
    """Return what a tensor of the pruned model must be, where that is known: what layers read and make, and the end."""
    del call, place
    if name == "" and side == "leaving":
        return [_end(masked, ours)]
    if name not in channels.outputs or any(within(name, block) for block in drop.removed):
        return []
    if any(layer == name and (side == "leaving") == (name in channels.norms) for layer, *_ in channels.rescaled):
        return []
    row = (channels.outputs if side == "leaving" or name in channels.norms else channels.inputs)[name]
    layer: Any = model.get_submodule(name)
    dim: int = 1 if isinstance(layer, _BatchNorm) else -1 if isinstance(layer, nn.Linear) else 1 - layer.weight.ndim
    if masked.shape[dim] != len(row):
        return []
    kept = [index for index, group in enumerate(row) if group not in drop.lost]
    return [masked if len(kept) == len(row) else masked.index_select(dim, torch.tensor(kept, device=masked.device))]


def _end(masked: Tensor, ours: Tensor) -> Tensor:
    """Return what the model must say in the end: a feature map may lack channels that are silent in the other."""
    if masked.shape == ours.shape or masked.ndim != ours.ndim or masked.ndim == 1:
        return masked
    speaking, other = (t.abs().transpose(0, 1).flatten(1).amax(1) > 0 for t in (masked, ours))
    if masked[:, speaking].shape != ours[:, other].shape:
        return masked
    wanted = torch.zeros_like(ours)
    wanted[:, other] = masked[:, speaking]
    return wanted


def _touched(channels: Channels, lost: set[int], found: Finding) -> set[int]:
    """Return the groups of the layers in a module, and in more of what is around it until some of them go."""
    module = found.module
    while True:
        rows = [
            row for side in (channels.outputs, channels.inputs) for name, row in side.items() if within(name, module)
        ]
        groups = {group for row in rows for group in row} - {FIXED}
        if found.place is not None and found.place[0] in channels.inputs:
            groups |= {*channels.inputs[found.place[0]], *channels.outputs[found.place[0]]} - {FIXED}
        if not module or not groups.isdisjoint(lost):
            return groups or lost
        module = module.rpartition(".")[0]


def proven(
    channels: Channels, choose: Callable[[Channels], Plan], apply: Callable[[Plan], Pruned]
) -> tuple[Plan, Pruned]:
    """Choose a plan and apply it; where that is refused, keep what was to blame and choose anew.

    Args:
        channels: What may go.
        choose: Makes a plan.
        apply: Applies it to a copy of the model.

    Returns:
        The plan, with a note of what stays, and what applying it has returned.

    Raises:
        UnprovenError: No plan holds.
    """
    notes: list[str] = []
    while True:
        try:
            plan = choose(channels)
            plan = replace(plan, notes=[*notes, *plan.notes])
            return plan, apply(plan)
        except UnprovenError as error:  # noqa: PERF203 - a plan takes far longer
            if len(notes) == ROUNDS or error.groups <= channels.frozen.keys():
                raise
            reason = f"differs in {error.module or 'the model'}"
            stay = error.groups - channels.frozen.keys()
            channels = replace(channels, frozen={**dict.fromkeys(stay, reason), **channels.frozen})
            notes.append(f"{reason} ({error.said}): {len(stay)} channels that it touches stay")
