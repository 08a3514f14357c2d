"""What the model's code asked for: the sizes of a view and the bounds of a slice as it gave them, origin and all.

PyTorch hands operators plain numbers, and a view without its -1. So the call is kept as Python made it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from torch import Tensor

if TYPE_CHECKING:
    from .tracked import Value

INFERRED = -1  # a size that PyTorch computes from the others
FOLLOWED = None  # a size that nobody gave: the operator takes what is there


@dataclass(frozen=True)
class Asked:
    """A call of a function of PyTorch's from Python."""

    name: str = ""
    args: tuple[Value, ...] = ()
    kwargs: dict[str, Value] = field(default_factory=dict)

    def argument(self, place: int, *names: str) -> Value:
        """Return an argument by its place or one of its names; None where it was not given."""
        if len(self.args) > place:
            return self.args[place]
        for name in names:
            if name in self.kwargs:
                return self.kwargs[name]
        return None

    def sizes(self, ndim: int) -> list[int | None]:
        """Return the size that was asked of each dimension of a result: a number, INFERRED or FOLLOWED."""
        wanted: list[int | None] = [FOLLOWED] * ndim
        if self.name in {"view", "reshape"}:
            given = self.args[1:] or (self.argument(1, "shape", "size"),)
            asked = list(given[0]) if isinstance(given[0], (tuple, list)) else list(given)
        elif self.name == "unflatten":
            dim, sizes = self.argument(1, "dim"), list(self.argument(2, "sizes"))
            dim %= ndim - len(sizes) + 1
            asked = [*wanted[:dim], *sizes, *wanted[dim + len(sizes) :]]
        else:
            return wanted
        return asked if len(asked) == ndim and all(isinstance(size, int) or size is None for size in asked) else wanted

    def parts(self) -> list[int] | None:
        """Return the sizes that a split was given, one where all are to be alike; None where it only counts parts."""
        if self.name in {"chunk", "tensor_split", "unsafe_chunk"}:
            return None
        given = self.argument(1, "split_size_or_sections", "split_size", "split_sizes")
        return list(given) if isinstance(given, (tuple, list)) else [given]

    def bounds(self, dim: int, first: int, last: int) -> tuple[object, object]:
        """Return where a slice along a dimension begins and ends, as it was given; plain numbers where it was not."""
        if self.name == "narrow":
            start, length = self.argument(2, "start"), self.argument(3, "length")
            return start, start + length
        if self.name in {"__getitem__", "__setitem__"}:
            index = _index(self.args[0].ndim, self.args[1]).get(dim)
            if isinstance(index, slice):
                return index.start or 0, last if index.stop is None else index.stop
        cuts = self.argument(1, "indices") if self.name == "tensor_split" else None
        if isinstance(cuts, (tuple, list)):
            named = dict(zip(map(int, cuts), cuts))
            return named.get(first, first), named.get(last, last)
        return first, last

    def counts_parts(self) -> int:
        """Return into how many even parts the call cuts by slicing, or 0."""
        parts = self.argument(1, "indices_or_sections", "indices", "sections") if self.name == "tensor_split" else 0
        return parts if isinstance(parts, int) else 0


def _takes_a_dimension(part: object) -> bool:
    return part is not None and part is not Ellipsis and not isinstance(part, bool)


def _index(ndim: int, index: object) -> dict[int, object]:
    """Return what an index has for each dimension, numbered as PyTorch does while it goes from left to right."""
    parts = index if isinstance(index, tuple) else (index,)
    taken = sum(map(_takes_a_dimension, parts))
    by_dim: dict[int, object] = {}
    dim = 0
    for part in parts:
        if part is Ellipsis:
            dim += ndim - taken
        elif isinstance(part, int):
            continue  # a dimension less
        else:
            by_dim[dim] = part
            dim += part.ndim if isinstance(part, Tensor) and part.dtype is not None and part.ndim > 1 else 1
    return by_dim
