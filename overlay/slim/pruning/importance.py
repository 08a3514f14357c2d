"""Importance of channel groups, and which of them fall under a ratio or a threshold.

The importance of a group is the largest |gamma| of all the BatchNorms it passes (Liu et al., arXiv:1708.06519, for one
BatchNorm): channels that a residual ties together go only when every one of them may. The largest, because then an
absolute threshold means the same everywhere, and because a sum would spare the long chains of residuals.

It can weigh |γ| with what its channel costs: |γ|·sqrt(typical cost / cost). To take channels in the order of these
is to take them by γ² / cost, the loss a channel means (which grows with γ² near zero, as in LeCun et al., "Optimal
Brain Damage", 1989) over what it frees: the greedy answer to a knapsack. The square root leaves it in the unit of
|γ|, and a channel of typical cost its own |γ|, so thresholds mean what they meant. Zero stays zero: channels that do
nothing go first, whatever they cost.

Where it is equal, as those of all channels whose scale is exactly zero, the weights that make and read a channel
decide, layer by layer: of each the same share goes, the lightest first.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import torch

from .weighing import carried

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from torch import nn

    from ..analysis.channels import Channels


@dataclass(frozen=True)
class Importance:
    """For every prunable group: its importance, how many BatchNorm channels it has, and where in a layer it lies.

    Attributes:
        of_group: Group -> largest |gamma|, weighed or not; infinite where a group must stay.
        weight: Group -> number of BatchNorm channels that go with it.
        place: Group -> minus its position in the first of its BatchNorms, by score and then by what weights carry, in
            (-1, 0]: breaks ties so that layers lose equal shares, the lightest first, and the same ones every time.
        norms: BatchNorm -> what each of its channels has by itself, not weighed.
        by: What they are weighed with, "gamma" if with nothing.
        factors: Group -> what it is multiplied by, where that is not 1.
        what: What it is, for people.
    """

    of_group: dict[int, float]
    weight: dict[int, int]
    place: dict[int, float]
    norms: dict[str, list[float]]
    by: str = "gamma"
    factors: dict[int, float] = field(default_factory=dict)
    what: str = "|γ|"

    @classmethod
    def of(cls, model: nn.Module, channels: Channels) -> Importance:
        """Read the gammas of a model.

        Raises:
            ValueError: If no channel can be pruned, or a gamma is not finite.
        """
        return cls.made(model, channels, {name: layer_gammas(model, name) for name in channels.norms}, max)

    @classmethod
    def made(
        cls,
        model: nn.Module,
        channels: Channels,
        norms: dict[str, list[float]],
        joined: Callable[[list[float]], float],
        what: str = "|γ|",
    ) -> Importance:
        """Join what the channels of BatchNorms have into what their groups have.

        Args:
            model: The model.
            channels: Its channels.
            norms: BatchNorm -> what each of its channels has.
            joined: What a group has, of what its channels have.
            what: What it is, for people.

        Raises:
            ValueError: If no channel can be pruned.
        """
        values: defaultdict[int, list[float]] = defaultdict(list)
        for name in channels.norms:
            for group, value in zip(channels.outputs[name], norms[name]):
                if group not in channels.frozen:
                    values[group].append(value)
        if not values:
            raise ValueError(f"no BatchNorm channel can be pruned: {why_none(channels)}")
        of_group, weight = {}, {}
        for group, own in values.items():
            of_group[group], weight[group] = joined(own), len(own)
        place = _places(channels, of_group, carried(model, channels))
        return cls(of_group, weight, place, norms, what=what)

    @property
    def total(self) -> int:
        """How many BatchNorm channels may go."""
        return sum(self.weight.values())

    def width(self, groups: Iterable[int]) -> int:
        """Count the BatchNorm channels of some groups."""
        return sum(self.weight[group] for group in groups)

    def weighed(self, prices: Mapping[int, float], by: str) -> Importance:
        """Return importance·sqrt(typical price / price); typical is the geometric mean over BatchNorm channels.

        Args:
            prices: Prunable group -> what it costs, in any unit, more than zero.
            by: The name of the price.
        """
        logs = {group: math.log(prices[group]) for group in self.of_group}
        typical = sum(logs[group] * number for group, number in self.weight.items()) / self.total
        importance, factors = {}, {}
        for group, score in self.of_group.items():
            factors[group] = math.exp((typical - logs[group]) / 2)
            importance[group] = score * factors[group]
        return replace(self, of_group=importance, by=by, factors=factors)

    def factored(self, norm: str, groups: Iterable[int]) -> list[float]:
        """Return what each channel of a BatchNorm has by itself, times its group's factor."""
        return [value * self.factors.get(group, 1.0) for value, group in zip(self.norms[norm], groups)]

    def ranked(self, groups: Iterable[int]) -> list[int]:
        """Sort groups, those to keep first; frozen ones have no score and lead."""
        return sorted(groups, key=lambda g: (-self.of_group.get(g, float("inf")), -self.place.get(g, 0.0), g))


def _places(channels: Channels, score: Mapping[int, float], carried: Mapping[int, float]) -> dict[int, float]:
    """Return where each group stands in the first of its BatchNorms, those to keep first."""
    place: dict[int, float] = {}
    for name in channels.norms:
        groups = channels.outputs[name]
        own = [group for group in dict.fromkeys(groups) if group in score]
        order = sorted(own, key=lambda g: (-score[g], -carried.get(g, 0.0)))  # stable: else as they stand
        for index, group in enumerate(order):
            place.setdefault(group, -index / len(groups))
    return place


def why_none(channels: Channels) -> str:
    """Say why nothing can be pruned."""
    reasons = Counter(channels.reasons().values()).most_common(1)
    return f"{reasons[0][0]} keeps most" if reasons else "is the model fused, or built without BatchNorm?"


def layer_gammas(model: nn.Module, name: str) -> list[float]:
    """Return |gamma| of a BatchNorm, per channel."""
    weight = model.get_submodule(name).weight
    if not isinstance(weight, torch.Tensor):
        return []  # without a scale it is frozen
    values = weight.detach().float().abs()
    if not bool(values.isfinite().all()):
        raise ValueError(f"{name} has a gamma that is not finite: the training diverged, take an earlier checkpoint")
    gammas: list[float] = values.tolist()
    return gammas


def drop_ratio(importance: Importance, ratio: float) -> set[int]:
    """Return the lowest-scoring groups that together have at most this share of all BatchNorm channels."""
    room = int(ratio * importance.total)
    dropped: set[int] = set()
    for group in reversed(importance.ranked(importance.of_group)):
        room -= importance.weight[group]
        if room < 0 or importance.of_group[group] == math.inf:
            break
        dropped.add(group)
    return dropped


def drop_below(importance: Importance, threshold: float, *, strictly: bool = False) -> set[int]:
    """Return the groups whose score is at most the threshold, or strictly less than it."""
    dropped = set()
    for group, score in importance.of_group.items():
        if _is_under(score, threshold, including=not strictly):
            dropped.add(group)
    return dropped


def fallen_norms(importance: Importance, channels: Channels, threshold: float, *, including: bool) -> list[str]:
    """Return the BatchNorms all of whose channels, times their groups' factors, lie below a threshold, or at it."""
    fallen = []
    for name in importance.norms:
        values = importance.factored(name, channels.outputs[name])
        if values and all(_is_under(value, threshold, including=including) for value in values):
            fallen.append(name)
    return fallen


def _is_under(value: float, threshold: float, *, including: bool) -> bool:
    return value < threshold or (including and value == threshold)
