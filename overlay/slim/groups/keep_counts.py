"""How many channels each layer keeps: parts of a chunk evenly many, multiples of `round_to`, never none."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..labels.labels import FIXED
from .blocks import within_any
from .layer_groups import layer_group_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..analysis.channels import Channels
    from .layer_groups import LayerGroup


@dataclass
class Even:
    """A number of channels that all layer groups of one size keep alike, since code cuts them evenly.

    Attributes:
        size: Channels of each layer group.
        keep: How many to keep.
        step: What `keep` is a multiple of, or else `size`: for the layers that are made of these layer groups alone.
    """

    size: int
    keep: int = 0
    step: int = 1


@dataclass(frozen=True)
class Count:
    """How many of a layer group's groups to keep."""

    layer_group: LayerGroup
    groups: list[int]
    even: Even


def keep_counts(
    channels: Channels, dropped: set[int], removed: Iterable[str] = (), *, round_to: int, min_channels: int
) -> tuple[list[Count], list[str]]:
    """Return how many of each layer group of groups to keep, and notes on what would have lost everything.

    What lies in removed blocks is counted, so that a plan is whole without them, but not noted.

    Parts that must stay even keep as many as the one that wants most: what lies above the threshold is never
    dropped for the sake of a number.
    """
    counts = layer_groups(channels)
    layers = _layers(counts)
    _set_steps(channels, counts, layers, round_to)
    emptied = []
    for count in counts.values():
        wanted = sum(group not in dropped for group in count.groups)
        if wanted == 0 and not all(part >= 0 or within_any(name, removed) for name, part in count.layer_group):
            emptied.append(count)
        even = count.even
        even.keep = max(even.keep, min(even.size, _round_up(max(wanted, min_channels), even.step)))
    _round_layers(channels, counts, layers, round_to)
    return list(counts.values()), [_emptied(channels, count) for count in emptied]


def layer_groups(channels: Channels) -> dict[LayerGroup, Count]:
    """Collect the groups of every layer group; layer groups that are parts of one cut share their number."""
    groups: defaultdict[LayerGroup, list[int]] = defaultdict(list)
    layer_group = layer_group_of(channels.outputs, channels.cuts)
    for group, places in layer_group.items():
        if group != FIXED:
            groups[places].append(group)
    even = {places: Even(len(members)) for places, members in groups.items()}
    for parts in channels.cuts:
        first, *others = (layer_group[part[0]] for part in parts)
        for other in others:
            joined, replaced = even[first], even[other]
            even.update({places: joined for places, number in even.items() if number is replaced})
    return {places: Count(places, members, even[places]) for places, members in groups.items()}


def _layers(counts: dict[LayerGroup, Count]) -> dict[str, Counter[LayerGroup]]:
    """Return for each layer the layer groups it is made of, and how often."""
    layers: defaultdict[str, Counter[LayerGroup]] = defaultdict(Counter)
    for layer_group in counts:
        for name, times in Counter(name for name, part in layer_group if part < 0).items():
            layers[name][layer_group] = times
    return layers


def _set_steps(
    channels: Channels, counts: dict[LayerGroup, Count], layers: dict[str, Counter[LayerGroup]], round_to: int
) -> None:
    """A layer group that alone makes up a layer is a multiple by itself; of n even ones each need be but an n-th."""
    for name, parts in layers.items():
        evens = {id(counts[layer_group].even) for layer_group in parts}
        if len(evens) == 1 and FIXED not in channels.outputs[name]:
            even = counts[next(iter(parts))].even
            needed = round_to // math.gcd(round_to, sum(parts.values()))
            even.step = even.step * needed // math.gcd(even.step, needed)


def _round_layers(
    channels: Channels, counts: dict[LayerGroup, Count], layers: dict[str, Counter[LayerGroup]], round_to: int
) -> None:
    """Keep more, a step at a time, where a layer of several layer groups is neither a multiple nor whole."""
    changed = True
    while changed:
        changed = False
        for name, parts in layers.items():
            fixed = channels.outputs[name].count(FIXED)
            total = fixed + sum(counts[layer_group].even.keep * times for layer_group, times in parts.items())
            if total % round_to and total < len(channels.outputs[name]):
                evens = [counts[layer_group].even for layer_group in parts]
                roomy = [even for even in evens if even.keep < even.size]
                # The finest step first: a part that is a multiple for another layer's sake leaps.
                even = min(roomy, key=lambda even: (even.step, -even.keep))
                even.keep = min(even.size, even.keep + even.step)
                changed = True


def _round_up(number: int, multiple: int) -> int:
    return -(-number // multiple) * multiple


def unrounded(channels: Channels, kept: dict[str, list[int]], round_to: int) -> list[str]:
    """Name the BatchNorms that keep all their channels because these are no multiple of `round_to`."""
    return [name for name in channels.norms if name in kept and len(kept[name]) % round_to]


def _emptied(channels: Channels, count: Count) -> str:
    names = [name for name, part in count.layer_group if part < 0 and name in channels.norms]
    others = f" and {len(names) - 1} more that go with it" if len(names) > 1 else ""
    part = " (one part of it)" if any(part >= 0 for _, part in count.layer_group) else ""
    size, keep = count.even.size, count.even.keep
    return f"{names[0]}{part}{others}: all {size} channels fell under the threshold; the strongest {keep} stay"
