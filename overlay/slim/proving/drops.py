"""Which channels a copy of the model lacks when it is tried: few or many, and unevenly from layer group to layer group.

Uneven, because what two widths have in common cannot be told from what one of them has; and many, since code may do
one thing above a width and another below.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from ..groups.keep_counts import layer_groups

if TYPE_CHECKING:
    from ..analysis.channels import Channels
    from ..groups.layer_groups import LayerGroup

GOLDEN = 0.618  # multiples of it, without their whole part, lie as far apart as so many numbers can
LEAST, SPREAD = 0.2, 0.3  # of each layer group the first drop lacks so much, and up to so much more
UNEVEN = 3  # the second lacks the rest, and up to two that the first has lacked as well


def shares(channels: Channels, place: int) -> set[int]:
    """Return groups to drop: another random share of each layer group that is counted apart; the two together all.

    Args:
        channels: The channels.
        place: 0 for the first drop, of a fifth to a half, or 1 for the second, of what that leaves.
    """
    counts = list(layer_groups(channels).values())
    spare: dict[LayerGroup, list[int]] = {}  # layer group -> its groups that may go
    room: dict[int, int] = {}  # an `Even` -> how many may go from each of those that it holds even
    sizes: dict[int, int] = {}
    for count in counts:
        even, free = id(count.even), channels.free(count.groups)
        spare[count.layer_group] = free
        room[even] = min(room.get(even, count.even.size - 1), len(free))
        sizes[even] = count.even.size
    many: dict[int, int] = {}
    for number, (even, size) in enumerate(sizes.items()):
        first = max(1, round(size * (LEAST + SPREAD * (number * GOLDEN % 1))))
        many[even] = (size - first + number % UNEVEN) if place else first
    chance = random.Random(0)  # noqa: S311 - the same every time, and in both
    lost: set[int] = set()
    for count in counts:
        groups, drop = spare[count.layer_group], min(room[id(count.even)], many[id(count.even)])
        chance.shuffle(groups)
        lost.update(groups[len(groups) - drop :] if place else groups[:drop])
    return lost
