"""What a masked tensor must share with a pruned one: the values of the channels that are kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from .labels import varying

if TYPE_CHECKING:
    from collections.abc import Callable

    from .labels import Array
    from .trace import Mark, Trace

LEAST = 1e-30  # so that two tensors of zeros are the same


class Kept:
    """Which labels of a trace are kept when some groups are dropped."""

    def __init__(self, trace: Trace, number: Array, lost: set[int]) -> None:
        """Look up every label.

        Args:
            trace: The trace.
            number: Root of labels -> number of its group, -1 for none.
            lost: Groups that are dropped.
        """
        gone = np.zeros(int(number.max()) + 2, bool)  # -1 is the last
        gone[list(lost)] = True
        self._kept = ~gone[number[trace.labels.roots(range(trace.labels.count))]]
        self._masks: dict[int, Tensor | None] = {}

    def share(self, row: tuple[int, ...]) -> float:
        """Return how much of a row of labels is kept."""
        return float(self._kept[list(row)].mean())

    def mask(self, labels: Tensor) -> Tensor | None:
        """Return which values are kept, in the shape of the labels; None if all are."""
        if id(labels) not in self._masks:
            found = torch.from_numpy(self._kept[labels.abs().numpy()])
            self._masks[id(labels)] = None if bool(found.all()) else found
        return self._masks[id(labels)]

    def of(self, masked: Tensor, mark: Mark) -> list[Tensor]:
        """Return what a pruned tensor must be: nothing if that cannot be told, several if it may be either."""
        found = [masked]
        for plane in mark.planes:
            mask = self.mask(plane)
            if mask is not None:
                found = [narrow for wide in found for narrow in _narrowed(wide, mask)]
        return found


def _narrowed(masked: Tensor, mask: Tensor) -> list[Tensor]:
    """Leave out what is not kept, along whichever dimension that can be."""
    if mask.ndim != masked.ndim:
        return []
    if mask.shape[0] > 1 and masked.shape[0] % mask.shape[0] == 0:  # a batch that code has put before the heads
        mask = mask.repeat(masked.shape[0] // mask.shape[0], *[1] * (mask.ndim - 1))
    if any(size not in {1, wanted} for size, wanted in zip(mask.shape, masked.shape)):
        return []
    dims = [dim for dim, size in enumerate(mask.shape) if size > 1]
    if len(dims) == 1:
        return [masked.index_select(dims[0], mask.flatten().nonzero().flatten().to(masked.device))]
    return [found for dim in dims if (found := _taken(masked, mask, dim)) is not None]


def _taken(masked: Tensor, mask: Tensor, dim: int) -> Tensor | None:
    """Shorten one dimension to what is kept in each place along the others, if it is equally many."""
    if dim not in varying(mask):
        return None
    count = mask.sum(dim)
    if int(count.min()) != int(count.max()):
        return None
    index = mask.int().argsort(dim=dim, descending=True, stable=True).narrow(dim, 0, int(count.max()))
    shape = [size if d != dim else index.shape[dim] for d, size in enumerate(masked.shape)]
    return masked.gather(dim, index.to(masked.device).expand(shape))


def difference(ours: Tensor, wanted: list[Tensor], least: float = LEAST) -> float:
    """Return the largest difference to the likest of several tensors, relative to that tensor's largest value.

    Args:
        ours: A tensor.
        wanted: What it may be.
        least: What it is at least relative to.
    """
    return min((_apart(ours, theirs, least) for theirs in wanted), default=0.0)


def _apart(ours: Tensor, theirs: Tensor, least: float) -> float:
    if ours.shape != theirs.shape:
        return float("inf")
    if not ours.numel():
        return 0.0
    if not (ours.is_floating_point() or ours.is_complex()):
        return 0.0 if torch.equal(ours, theirs) else float("inf")
    apart = float((ours - theirs).abs().max() / theirs.abs().max().clamp_min(least))
    if apart == apart:  # noqa: PLR0124 - not NaN
        return apart
    return _apart_where_finite(ours, theirs, least)


def _apart_where_finite(ours: Tensor, theirs: Tensor, least: float) -> float:
    same = (ours == theirs) | (ours.isnan() & theirs.isnan())
    finite = ours.isfinite() & theirs.isfinite()
    if not bool((same | finite).all()):
        return float("inf")
    return _apart(ours[finite], theirs[finite], least)


def mapped(value: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """Return nested lists, tuples and dicts with each tensor changed, in the order of `trace.tensors`."""
    if isinstance(value, Tensor):
        return change(value)
    if isinstance(value, dict):
        return type(value)((key, mapped(item, change)) for key, item in value.items()) if value else value
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(mapped(item, change) for item in value))
    if isinstance(value, (list, tuple)):
        return type(value)(mapped(item, change) for item in value)
    return value
