"""Which channels a copy of the model lacks when it is tried: few or many, and unevenly from bundle to bundle.

Uneven, because what two widths have in common cannot be told from what one of them has; and many, since code may do
one thing above a width and another below.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from .counting import bundles

if TYPE_CHECKING:
    from collections.abc import Callable

    from .channels import Channels
    from .counting import Count, Even

GOLDEN = 0.618  # multiples of it, without their whole part, lie as far apart as so many numbers can


def one_of_each(channels: Channels, viewed: set[int]) -> set[int]:
    """Return a group of each bundle, or three, where all the bundles that stay even can spare them.

    Args:
        channels: The channels.
        viewed: Groups to drop another number of, since code has given them another shape, perhaps that of something
            that would lose as many by chance.
    """
    counts = list(bundles(channels).values())
    more = {id(count.even) for count in counts if not viewed.isdisjoint(count.groups)}
    return _dropped(channels, counts, lambda even, _: 3 if id(even) in more else 1, None)


def shares(channels: Channels, least: float, most: float, seed: int) -> set[int]:
    """Return between these shares of each bundle, at random, and another share of each that is counted apart."""
    counts = list(bundles(channels).values())
    spread = most - least

    def many(even: Even, place: int) -> int:
        return max(1, round(even.size * (least + spread * ((seed * 0.37 + place * GOLDEN) % 1))))

    return _dropped(channels, counts, many, random.Random(seed))  # noqa: S311 - the same every time


def _dropped(
    channels: Channels, counts: list[Count], many: Callable[[Even, int], int], chance: random.Random | None
) -> set[int]:
    spare = {count.bundle: [g for g in count.groups if g not in channels.frozen] for count in counts}
    room = {id(count.even): count.even.size - 1 for count in counts}
    for count in counts:
        room[id(count.even)] = min(room[id(count.even)], len(spare[count.bundle]))
    evens = {id(count.even): count.even for count in counts if room[id(count.even)]}
    drop = {key: min(room[key], many(even, place)) for place, (key, even) in enumerate(evens.items())}
    lost: set[int] = set()
    for count in counts:
        groups = spare[count.bundle]
        if chance is not None:
            chance.shuffle(groups)
        lost.update(groups[: drop.get(id(count.even), 0)])
    return lost
