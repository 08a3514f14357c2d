"""Layer groups: layers and parts that exactly the same channel groups pass, of which only the number matters."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

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


def layer_group_of(
    outputs: Mapping[str, Iterable[int]], cuts: Iterable[Sequence[Sequence[int]]]
) -> dict[int, LayerGroup]:
    """Return for every group the places it lies in; groups with equal places are one layer group."""
    rows = [((name, -1), np.asarray(groups)) for name, groups in outputs.items()]
    for number, parts in enumerate(cuts):
        rows += [((f"cut {number}", index), np.asarray(part)) for index, part in enumerate(parts)]
    rows = [(place, groups) for place, groups in rows if len(groups)]
    if not rows:
        return {}
    # The sum of random numbers, one a place, tells sets of places apart: 64 bits, against a few thousand sets.
    numbers = np.random.default_rng(0).integers(1, 1 << 63, len(rows), dtype=np.uint64)
    sums = np.zeros(1 + max(int(groups.max()) for _, groups in rows), np.uint64)
    for (_, groups), number in zip(rows, numbers):
        np.add.at(sums, groups, number)
    present = np.unique(np.concatenate([groups for _, groups in rows]))
    _, firsts, which = np.unique(sums[present], return_index=True, return_inverse=True)
    layer_groups = _places(rows, present[firsts].tolist())
    return {group: layer_groups[number] for group, number in zip(present.tolist(), which.tolist())}


def _places(rows: list[tuple[Place, np.ndarray]], groups: list[int]) -> list[LayerGroup]:
    """Return the layer groups of a few groups."""
    wanted = np.zeros(1 + max(int(row.max()) for _, row in rows), bool)
    wanted[groups] = True
    places: dict[int, list[Place]] = {group: [] for group in groups}
    for place, row in rows:
        for group in row[wanted[row]].tolist():
            places[group].append(place)
    return [LayerGroup(places[group]) for group in groups]
