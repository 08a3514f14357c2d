"""Channel labels: a union-find over channels, and label tensors that mirror the shape of a traced tensor.

A label is a positive integer, one for every output channel of a layer; 0 stands for a channel that nobody can
drop. In a label tensor a label is negative where the value of its channel would *not* be zero although its
BatchNorm's scale and shift are: before the BatchNorm, or after a sigmoid. Such a channel may not be read by a layer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from .reason import Reason

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from numpy.typing import NDArray

    Array = NDArray[np.int64]

FIXED = 0
FEW = 16  # times as many labels are looked up at once in the time that one takes by itself


class Labels:
    """Union-find over labels; a frozen set remembers the first reason why."""

    def __init__(self) -> None:
        self._parent = [FIXED]
        self._roots: Array | None = None  # of all labels, until two are united
        self._reasons: dict[int, Reason] = {FIXED: Reason("not the output of a layer")}

    @property
    def count(self) -> int:
        """How many labels there are, with that of the channels that nobody can drop."""
        return len(self._parent)

    def new(self, width: int) -> Tensor:
        """Return `width` fresh labels, shape (width,)."""
        first, self._roots = len(self._parent), None
        self._parent.extend(range(first, first + width))
        return torch.arange(first, first + width)

    def find(self, label: int) -> int:
        """Return the representative of a label, whatever its sign."""
        label = root = abs(label)
        while self._parent[root] != root:
            root = self._parent[root]
        while self._parent[label] != root:
            self._parent[label], label = root, self._parent[label]
        return root

    def find_all(self, labels: Sequence[int] | Array) -> list[int]:
        """Return the representative of each label, all at once."""
        roots: list[int] = self.roots(labels).tolist()
        return roots

    def roots(self, labels: Sequence[int] | Array) -> Array:
        """Return the representative of each label as an array."""
        if self._roots is None and len(labels) * FEW < self.count:
            return np.asarray(list(map(self.find, np.asarray(labels).tolist())), dtype=np.int64)
        if self._roots is None:
            roots, parents = np.asarray(self._parent), None
            while parents is None or not np.array_equal(roots, parents):
                parents, roots = roots, roots[roots]
            self._roots = roots
        found: Array = self._roots[np.abs(np.asarray(labels, dtype=np.int64))]
        return found

    def unite(self, one: Tensor, other: Tensor, reason: Reason) -> None:
        """Let the labels of two tensors of equal shape live and die together, element by element."""
        if torch.equal(one.abs(), other.abs()):  # as in a second pass
            return
        for a, b in dict.fromkeys(zip(one.flatten().tolist(), other.flatten().tolist())):
            self._join(self.find(a), self.find(b), reason)

    def _join(self, one: int, other: int, reason: Reason) -> None:
        low, high = sorted((one, other))
        if low == high:
            return
        if low == FIXED:
            self._reasons.setdefault(high, reason)
            return
        self._parent[high], self._roots = low, None
        if high in self._reasons:
            self._reasons.setdefault(low, self._reasons.pop(high))

    def freeze(self, labels: Tensor, reason: Reason, *, plainer: bool = False) -> None:
        """Forbid dropping any of these labels; a plainer reason takes the place of what was found before."""
        for root in dict.fromkeys(self.find_all(core(labels).flatten().numpy())):
            if plainer and root != FIXED:
                self._reasons[root] = reason
            self._reasons.setdefault(root, reason)

    def frozen(self) -> dict[int, Reason]:
        """Return why each frozen representative is frozen."""
        return dict(self._reasons)

    def reason(self, label: int) -> Reason | None:
        """Return why a label is frozen, or None if it is not."""
        return self._reasons.get(self.find(label))


def varying(labels: Tensor) -> list[int]:
    """Return the dimensions along which the labels differ."""
    dims = []
    for dim, size in enumerate(labels.shape):
        if size > 1:
            first = labels.narrow(dim, 0, 1)
            if labels.stride(dim) != 0 and bool((labels != first).any()):
                dims.append(dim)
            else:
                labels = first  # so that the others are told by fewer
    return dims


def core(labels: Tensor) -> Tensor:
    """Shrink every dimension along which the labels do not differ to size 1; a view."""
    differ = varying(labels)
    for dim, size in enumerate(labels.shape):
        if dim not in differ and size > 1:
            labels = labels.narrow(dim, 0, 1)
    return labels


def fit(labels: Tensor, shape: torch.Size) -> Tensor | None:
    """Resize the dimensions in which all labels agree, as pooling does; None where they do not agree."""
    small = core(labels)
    if small.ndim != len(shape) or not is_expandable(small.shape, shape):
        return None
    return small.expand(shape)


def is_expandable(small: Sequence[int], wide: Sequence[int]) -> bool:
    """Whether each size is 1, or that of another shape of as many dimensions."""
    return all(size in {1, wanted} for size, wanted in zip(small, wide))


def expanded(one: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
    """Expand the labels of two tensors to the shape that both have together."""
    shape = list(map(max, one.shape, other.shape))
    return one.expand(shape), other.expand(shape)


def along(row: Tensor, dim: int, shape: Sequence[int]) -> Tensor:
    """Expand labels, shape (size,), along a dimension to a shape."""
    sizes = [1] * len(shape)
    sizes[dim] = -1
    return row.view(sizes).expand(tuple(shape))


def wide_dims(shape: Sequence[int]) -> list[int]:
    """Return the dimensions of more than size 1."""
    return [dim for dim, size in enumerate(shape) if size > 1]


def rows_of(labels: Tensor, dim: int) -> list[Tensor]:
    """Return the labels along a dimension, shape (size,), for each place along the others in which labels differ."""
    small = core(labels)
    shape = list(small.shape)
    shape[dim] = labels.shape[dim]
    return list(small.expand(shape).movedim(dim, -1).reshape(-1, labels.shape[dim]))


def unsigned(rows: Sequence[Tensor]) -> list[list[int]]:
    """Return rows of labels as lists, without the signs."""
    return [row.abs().tolist() for row in rows]


def flexible_dim(labels: Tensor, rows: Collection[tuple[int, ...]]) -> int | None:
    """Return the dimension along which there may be fewer; the others, such as that of heads, stay as long.

    Args:
        labels: Those of a tensor.
        rows: Rows of labels that are known to lie along such a dimension, where another lies beside it.
    """
    dims = varying(labels)
    if len(dims) < 2:  # noqa: PLR2004 - one needs no telling apart
        return dims[0] if dims else None
    for dim in dims:
        first = rows_of(labels, dim)[0]
        if tuple(first.abs().tolist()) in rows:
            return dim
    return None
