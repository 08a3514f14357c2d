"""Groups by number: labels of a trace that live and die together, counted in the order in which layers meet them."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import numpy as np

from ..labels.labels import FIXED

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from ..labels.labels import Array, Labels

Key = TypeVar("Key")
Known = TypeVar("Known")


class Numbering:
    """Gives every group a number, from 1 on, when it first meets it; group 0 is whatever can never be dropped.

    Attributes:
        number: For each representative of labels the number of its group, -1 for none.
    """

    def __init__(self, labels: Labels) -> None:
        self.labels = labels
        self.number: Array = np.full(labels.count, -1)
        self.number[FIXED], self._next = FIXED, FIXED + 1

    def row(self, labels: Sequence[int] | Array | Tensor) -> tuple[int, ...]:
        """Return the group of each label."""
        roots = self.labels.roots(np.asarray(labels))
        new = list(dict.fromkeys(roots[self.number[roots] < 0].tolist()))
        self.number[new] = self._next + np.arange(len(new))
        self._next += len(new)
        return tuple(self.number[roots].tolist())

    def rows(self, labels: Mapping[Key, Sequence[int] | Tensor]) -> dict[Key, tuple[int, ...]]:
        """Return the groups of several rows of labels, by the same keys."""
        return {key: self.row(row) for key, row in labels.items()}

    def by_group(self, known: Mapping[int, Known]) -> dict[int, Known]:
        """Return what is known of representatives by their groups, of those that were met so far."""
        found = {}
        for root, what in known.items():
            group = int(self.number[root])
            if group >= 0:
                found[group] = what
        return found
