"""Bundles: the groups of channels that pass exactly the same layers and parts, so that only their number matters."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

Place = tuple[str, int]  # (layer, -1), or (a cut's name, number of the part)
Bundle = tuple[Place, ...]  # in order; a layer twice where the group has two channels in it


def bundle_of(outputs: Mapping[str, Iterable[int]], cuts: Iterable[Sequence[Sequence[int]]]) -> dict[int, Bundle]:
    """Return for every group the places it lies in; groups with equal places are one bundle."""
    places: defaultdict[int, list[Place]] = defaultdict(list)
    for name, groups in outputs.items():
        place = (name, -1)
        for group in groups:
            places[group].append(place)
    for number, parts in enumerate(cuts):
        for index, part in enumerate(parts):
            place = (f"cut {number}", index)
            for group in part:
                places[group].append(place)
    return {group: tuple(where) for group, where in places.items()}
