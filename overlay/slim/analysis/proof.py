"""The proof of a plan: before a model is changed, it is compared pruned with itself masked, on its own weights."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd

from ..groups.blocks import modules_around, within_any
from ..labels.kept import Kept, expected
from ..labels.labels import FIXED
from ..labels.reason import Reason
from ..labels.tracked import planes_of
from ..models.plan_data import PlanError
from ..passes.passes import Pass
from ..passes.shadow import one_thread
from ..proving.probe import FLOAT32, UnfitError, probe
from ..proving.walks import Drop
from ..rules.slicing import kept_places
from .channels import Channels, outputs_within, traced

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from ..labels.tracked import Mark
    from ..passes.trace import Trace
    from ..proving.walks import Finding
    from ..pruning.plan import Plan

Pruned = TypeVar("Pruned")

OTHER = (0.5, 1.5, 2.0)  # times as wide as high, for the second size, the cheapest that the model runs on
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


def prove_plan(
    model: nn.Module,
    channels: Channels,
    lost: set[int],
    removed: Mapping[str, list[str]],
    imgsz: int | None = None,
) -> None:
    """Compare a model pruned with itself masked, on several images of noise, of two sizes or three.

    Args:
        model: The model; it is only copied.
        channels: Its channels.
        lost: Groups that go.
        removed: Blocks that go as a whole.
        imgsz: Side in pixels of the images that the model is for, since code may take another way with large ones.

    Raises:
        UnprovenError: They differ.
    """
    if not lost and not removed:
        return
    with one_thread():
        _prove_small(model, channels, lost, removed)
    *_, width = channels.example
    if imgsz is not None and imgsz > width:
        shape = (*channels.example[:2], imgsz, imgsz)
        with suppress(UnfitError):
            _compare(model, channels, Drop(lost, None, [Pass(shape)], removed, lambda name, _: not name))


def _prove_small(model: nn.Module, channels: Channels, lost: set[int], removed: Mapping[str, list[str]]) -> None:
    batch, *rest, width = channels.example
    first = Pass((2 * batch, *rest, width))
    seconds = [[Pass((batch, *rest, int(width * times)))] for times in OTHER]
    for second in (*seconds, []):
        ways = [first, *second]
        drop = Drop(lost, None, ways, removed, lambda name, m: not name or isinstance(m, (_BatchNorm, nn.Linear)))
        with suppress(UnfitError):
            return _compare(model, channels, drop)
    return None


def _compare(model: nn.Module, channels: Channels, drop: Drop) -> None:
    quick = probe(model, channels, drop, partial(_wanted, model, channels, drop))
    if quick.worst <= FLOAT32:
        return
    trace, _ = traced(model, torch.zeros(channels.example))
    kept = Kept.by_layer(trace, channels, drop.lost)
    for way in drop.ways:
        finding = _found(model, channels, replace(drop, ways=[way]), (trace, kept))
        if finding is not None:
            raise UnprovenError(finding.module, finding.said, _touched(trace, channels, drop.lost, finding))
    if quick.failed:
        finding = quick.findings[0]
        raise UnprovenError(finding.module, finding.said, _touched(trace, channels, drop.lost, finding))


def _found(model: nn.Module, channels: Channels, drop: Drop, known: tuple[Trace, Kept]) -> Finding | None:
    """Return where a difference begins, if there is one."""
    trace, kept = known
    in_flight = _in_flight(trace, channels)

    def wanted(name: str, call: int, side: str, place: int, masked: Tensor, ours: Tensor) -> list[Tensor]:
        inside = within_any(name, drop.removed)
        return [] if inside else expected(trace, kept, in_flight, name, call, side, place, masked, ours)

    for exact in (True, False):
        with suppress(UnfitError):
            findings = probe(model, channels, drop, wanted, thorough=True, exact=exact).findings
            return findings[0] if findings else None
    return None


def _in_flight(trace: Trace, channels: Channels) -> set[object]:
    """Return the factors of tensors whose scale is not yet, or no longer, the same."""
    layers = channels.rescaled_layers()
    in_flight: set[object] = {*layers.intersection(channels.norms)}
    for key, use in trace.factors.uses.items():
        if not layers.isdisjoint(use.readers):
            in_flight.add(key)
    return in_flight


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
    if name not in channels.outputs or within_any(name, drop.removed):
        return []
    if name in channels.rescaled_layers() and (side == "leaving") == (name in channels.norms):
        return []
    row = (channels.outputs if side == "leaving" or name in channels.norms else channels.inputs)[name]
    layer = model.get_submodule(name)
    dim = 1 - layer.weight.ndim if isinstance(layer, _ConvNd) else 1 if isinstance(layer, _BatchNorm) else -1
    if masked.shape[dim] != len(row):
        return []
    kept = kept_places(row, drop.lost)
    return [masked if len(kept) == len(row) else masked.index_select(dim, torch.tensor(kept, device=masked.device))]


def _end(masked: Tensor, ours: Tensor) -> Tensor:
    """Return what the model must say in the end: a feature map may lack channels that are silent in the other."""
    if masked.shape == ours.shape or masked.ndim != ours.ndim or masked.ndim == 1:
        return masked
    speaking, other = _speaking(masked), _speaking(ours)
    if masked[:, speaking].shape != ours[:, other].shape:
        return masked
    wanted = torch.zeros_like(ours)
    wanted[:, other] = masked[:, speaking]
    return wanted


def _speaking(values: Tensor) -> Tensor:
    """Return of which channels, (B, C, *), a value is not zero."""
    return values.abs().transpose(0, 1).flatten(1).amax(1) > 0


def _touched(trace: Trace, channels: Channels, lost: set[int], finding: Finding) -> set[int]:
    """Return the groups of what enters and leaves a module, or of its layers, or of more around it; some are lost."""
    number: dict[int, int] = {}
    for name, row in channels.outputs.items():
        number.update(zip(trace.labels.find_all(trace.outputs[name].numpy()), row))
    for rows in _nearby(trace, finding.module):
        groups: set[int] = set()
        for labels in rows:
            for root in trace.labels.find_all(labels.flatten().numpy()):
                groups.add(number.get(root, FIXED))
        groups.discard(FIXED)
        if not groups.isdisjoint(lost):
            return groups
    return set(lost)


def _nearby(trace: Trace, module: str) -> Iterator[list[Tensor]]:
    """Give the labels of what enters and leaves a module, of its layers, and of those of each module around it."""
    marks: list[Mark] = []
    for visit in trace.visits.get(module, []):
        marks += visit.marks
    yield planes_of(marks)
    yield outputs_within(trace, module)
    for around in reversed(modules_around(module)):
        yield outputs_within(trace, around)


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
            reason = Reason.at("differs", error.module or "the model")
            stay = error.groups - channels.frozen.keys()
            channels = replace(channels, frozen={**dict.fromkeys(stay, reason), **channels.frozen})
            notes.append(f"{reason} ({error.said}): {len(stay)} channels that it touches stay")
