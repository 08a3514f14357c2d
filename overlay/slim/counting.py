"""How many channels each layer keeps: parts of a chunk evenly many, multiples of `round_to`, never none."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .bundles import bundle_of
from .labels import FIXED

if TYPE_CHECKING:
    from .bundles import Bundle
    from .channels import Channels


@dataclass
class Even:
    """A number of channels that all bundles of one size keep alike, since code cuts them evenly."""

    size: int
    keep: int = 0


@dataclass(frozen=True)
class Count:
    """How many of a bundle's groups to keep."""

    bundle: Bundle
    groups: list[int]
    even: Even


def keep_counts(
    channels: Channels, dropped: set[int], *, round_to: int, min_channels: int
) -> tuple[list[Count], list[str]]:
    """Return how many of each bundle of groups to keep, and notes on what would have lost everything.

    Parts that must stay even keep as many as the one that wants most: what lies above the threshold is never
    dropped for the sake of a number.
    """
    counts = bundles(channels)
    emptied = []
    for count in counts.values():
        wanted = sum(group not in dropped for group in count.groups)
        if wanted == 0:
            emptied.append(count)
        count.even.keep = max(count.even.keep, _round_up(max(wanted, min_channels), round_to, count.even.size))
    _round_layers(channels, counts, round_to)
    return list(counts.values()), [_emptied(channels, count) for count in emptied]


def bundles(channels: Channels) -> dict[Bundle, Count]:
    """Collect the groups of every bundle; bundles that are parts of one cut share their number."""
    groups: defaultdict[Bundle, list[int]] = defaultdict(list)
    bundle = bundle_of(channels.outputs, channels.cuts)
    for group, places in bundle.items():
        if group != FIXED:
            groups[places].append(group)
    even = {places: Even(len(members)) for places, members in groups.items()}
    for parts in channels.cuts:
        first, *others = (bundle[part[0]] for part in parts)
        for other in others:
            joined, replaced = even[first], even[other]
            even.update({places: joined for places, number in even.items() if number is replaced})
    return {places: Count(places, members, even[places]) for places, members in groups.items()}


def _round_layers(channels: Channels, counts: dict[Bundle, Count], round_to: int) -> None:
    """Keep more, one at a time, where a layer of several bundles is neither a multiple nor whole."""
    layers: defaultdict[str, Counter[Bundle]] = defaultdict(Counter)
    for bundle in counts:
        for name, times in Counter(name for name, part in bundle if part < 0).items():
            layers[name][bundle] = times
    changed = True
    while changed:
        changed = False
        for name, parts in layers.items():
            fixed = channels.outputs[name].count(FIXED)
            total = fixed + sum(counts[bundle].even.keep * times for bundle, times in parts.items())
            if total % round_to and total < len(channels.outputs[name]):
                roomy = [counts[bundle].even for bundle in parts]
                widest = max((even for even in roomy if even.keep < even.size), key=lambda even: even.keep)
                widest.keep += 1
                changed = True


def _round_up(number: int, multiple: int, limit: int) -> int:
    return min(limit, -(-number // multiple) * multiple)


def _emptied(channels: Channels, count: Count) -> str:
    names = [name for name, part in count.bundle if part < 0 and name in channels.norms]
    others = f" and {len(names) - 1} more that go with it" if len(names) > 1 else ""
    part = " (one part of it)" if any(part >= 0 for _, part in count.bundle) else ""
    size, keep = count.even.size, count.even.keep
    return f"{names[0]}{part}{others}: all {size} channels fell under the threshold; the strongest {keep} stay"
