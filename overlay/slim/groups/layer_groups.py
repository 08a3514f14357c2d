"""Layer groups: layers and parts that exactly the same channel groups pass, of which only the number matters."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

Place = tuple[str, int]  # (layer, -1), or (a cut's name, number of the part)


class LayerGroup(tuple[Place, ...]):  # noqa: SLOT001 - not slots are saved here but look-ups
    """Places in order; a layer twice where the group has two channels in it.

    There is one object for each layer group, and only it is equal to itself: a hundred thousand groups look theirs up.
    """

    __hash__ = object.__hash__

    def __eq__(self, other: object) -> bool:
        return self is other

    def __ne__(self, other: object) -> bool:
        return self is not other

    @property
    def layers(self) -> list[str]:
        """The layers among the places."""
        return [name for name, part in self if part < 0]


def layer_group_of(
    outputs: Mapping[str, Sequence[int]], cuts: Iterable[Sequence[Sequence[int]]]
) -> dict[int, LayerGroup]:
    """Return for every group the places it lies in; groups with equal places are one layer group."""
    rows = dict(_rows(outputs, cuts))
    if not rows:
        return {}
    everywhere = np.concatenate(list(rows.values()))
    # The sum of random numbers, one a place, tells sets of places apart: 64 bits, against a few thousand sets.
    numbers = np.random.default_rng(0).integers(1, 1 << 63, len(rows), dtype=np.uint64)
    sums = np.zeros(1 + int(everywhere.max()), np.uint64)
    for groups, number in zip(rows.values(), numbers):
        np.add.at(sums, groups, number)
    present = np.unique(everywhere)
    _, firsts, which = np.unique(sums[present], return_index=True, return_inverse=True)
    layer_groups = _layer_groups(rows, present[firsts].tolist(), len(sums))
    return {group: layer_groups[number] for group, number in zip(present.tolist(), which.tolist())}


def _rows(
    outputs: Mapping[str, Sequence[int]], cuts: Iterable[Sequence[Sequence[int]]]
) -> Iterator[tuple[Place, np.ndarray]]:
    """Give every place with the groups that pass it, if any do."""
    for name, groups in outputs.items():
        if groups:
            yield (name, -1), np.asarray(groups)
    for number, parts in enumerate(cuts):
        for index, part in enumerate(parts):
            if part:
                yield (f"cut {number}", index), np.asarray(part)


def _layer_groups(rows: Mapping[Place, np.ndarray], groups: list[int], count: int) -> list[LayerGroup]:
    """Return the layer groups of a few of so many groups."""
    wanted = np.zeros(count, bool)
    wanted[groups] = True
    places: defaultdict[int, list[Place]] = defaultdict(list)
    for place, row in rows.items():
        for group in row[wanted[row]].tolist():
            places[group].append(place)
    return [LayerGroup(places[group]) for group in groups]
