"""How many channels each layer keeps: parts of a chunk evenly many, multiples of `round_to`, never none."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ..labels.labels import FIXED
from ..rules.slicing import kept_places
from .blocks import within_any
from .layer_groups import layer_group_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..analysis.channels import Channels
    from .layer_groups import LayerGroup


@dataclass(eq=False)
class Even:
    """A number of channels that all layer groups of one size keep alike, since code cuts them evenly.

    There is one object for each such number, and only it is equal to itself.

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
        wanted = len(kept_places(count.groups, dropped))
        if wanted == 0 and not _are_within(count.layer_group.layers, removed):
            emptied.append(count)
        even = count.even
        even.keep = max(even.keep, min(even.size, _round_up(max(wanted, min_channels), even.step)))
    _round_layers(channels, counts, layers, round_to)
    return list(counts.values()), [_emptied(channels, count) for count in emptied]


def _are_within(layers: Iterable[str], blocks: Iterable[str]) -> bool:
    return all(within_any(name, blocks) for name in layers)


def layer_groups(channels: Channels) -> dict[LayerGroup, Count]:
    """Collect the groups of every layer group; layer groups that are parts of one cut share their number."""
    groups: defaultdict[LayerGroup, list[int]] = defaultdict(list)
    layer_group = layer_group_of(channels.outputs, channels.cuts)
    for group, places in layer_group.items():
        if group != FIXED:
            groups[places].append(group)
    counts = {places: Count(places, members, Even(len(members))) for places, members in groups.items()}
    for first, *others in channels.cuts:
        even = counts[layer_group[first[0]]].even
        for part in others:
            _join(counts, counts[layer_group[part[0]]].even, even)
    return counts


def _join(counts: dict[LayerGroup, Count], old: Even, even: Even) -> None:
    """Let all that share one number share another."""
    for places, count in counts.items():
        if count.even is old:
            counts[places] = replace(count, even=even)


def _layers(counts: dict[LayerGroup, Count]) -> dict[str, Counter[LayerGroup]]:
    """Return for each layer the layer groups it is made of, and how often."""
    layers: defaultdict[str, Counter[LayerGroup]] = defaultdict(Counter)
    for layer_group in counts:
        for name in layer_group.layers:
            layers[name][layer_group] += 1
    return layers


def _evens(counts: dict[LayerGroup, Count], parts: Iterable[LayerGroup]) -> list[Even]:
    """Return the numbers that the layer groups of a layer keep, each once."""
    return list(dict.fromkeys(counts[layer_group].even for layer_group in parts))


def _set_steps(
    channels: Channels, counts: dict[LayerGroup, Count], layers: dict[str, Counter[LayerGroup]], round_to: int
) -> None:
    """A layer group that alone makes up a layer is a multiple by itself; of n even ones each need be but an n-th."""
    for name, parts in layers.items():
        even, *others = _evens(counts, parts)
        if others or FIXED in channels.outputs[name]:
            continue
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
            row = channels.outputs[name]
            total = row.count(FIXED) + sum(counts[part].even.keep * times for part, times in parts.items())
            if total % round_to == 0 or total >= len(row):
                continue
            roomy = [even for even in _evens(counts, parts) if even.keep < even.size]
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
    layers = count.layer_group.layers
    names = [name for name in layers if name in channels.norms]
    others = f" and {len(names) - 1} more that go with it" if len(names) > 1 else ""
    part = " (one part of it)" if len(layers) < len(count.layer_group) else ""
    size, keep = count.even.size, count.even.keep
    return f"{names[0]}{part}{others}: all {size} channels fell under the threshold; the strongest {keep} stay"
