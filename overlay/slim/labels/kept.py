"""What a masked tensor must share with a pruned one: the values of the channels that are kept."""

from __future__ import annotations

import copy
from collections import OrderedDict
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from .labels import is_expandable, varying, wide_dims

if TYPE_CHECKING:
    from collections.abc import Callable, Container

    from ..analysis.channels import Channels
    from ..passes.trace import Trace
    from .labels import Array
    from .tracked import Mark, Value

LEAST = 1e-30  # so that two tensors of zeros are the same


class Kept:
    """Which labels of a trace are kept when some groups are dropped."""

    def __init__(self, trace: Trace, gone: Array) -> None:
        """Look up every label.

        Args:
            trace: The trace.
            gone: Which labels are dropped, each by its root.
        """
        self._kept = ~gone[trace.labels.roots(range(trace.labels.count))]
        self._masks: dict[int, Tensor | None] = {}

    @classmethod
    def by_number(cls, trace: Trace, number: Array, lost: set[int]) -> Kept:
        """Return what is kept, given the number of the group of each root of labels, -1 for none."""
        dropped = np.zeros(int(number.max()) + 2, bool)  # -1 is the last
        dropped[list(lost)] = True
        return cls(trace, dropped[number])

    @classmethod
    def by_layer(cls, trace: Trace, channels: Channels, lost: set[int]) -> Kept:
        """Return what is kept of another trace of the same model."""
        gone, dropped = np.zeros(trace.labels.count, bool), list(lost)
        for name, row in channels.outputs.items():
            roots = trace.labels.roots(trace.outputs[name].numpy())
            gone[roots[np.isin(row, dropped)]] = True
        return cls(trace, gone)

    def share(self, row: tuple[int, ...]) -> float:
        """Return how much of a row of labels is kept."""
        return float(self._kept[list(row)].mean())

    def mask(self, labels: Tensor) -> Tensor | None:
        """Return which values are kept, in the shape of the labels; None if all are."""
        if id(labels) not in self._masks:
            kept = torch.from_numpy(self._kept[labels.abs().numpy()])
            self._masks[id(labels)] = None if bool(kept.all()) else kept
        return self._masks[id(labels)]

    def of(self, masked: Tensor, mark: Mark) -> list[Tensor]:
        """Return what a pruned tensor must be: nothing if that cannot be told, several if it may be either."""
        possible = [masked]
        for plane in mark.planes:
            mask = self.mask(plane)
            if mask is None:
                continue
            narrower = []
            for wide in possible:
                narrower += _narrowed(wide, mask)
            possible = narrower
        return possible


def expected(
    trace: Trace,
    kept: Kept,
    in_flight: Container[object],
    name: str,
    call: int,
    side: str,
    place: int,
    masked: Tensor,
    _: Tensor,
) -> list[Tensor]:
    """Return what a tensor of the sliced model must be; nothing for any, where its scale is yet to be made up for.

    Args:
        trace: A trace of the model.
        kept: What is kept.
        in_flight: Factors, as marks have them, of tensors whose scale is not yet, or no longer, the same.
        name: Module that the tensor enters or leaves.
        call: Number of the module's call.
        side: "entering" or "leaving".
        place: Which of the tensors that enter or leave it is.
        masked: That of the masked model.
    """
    visits = trace.visits.get(name, [])
    marks = getattr(visits[call], side) if call < len(visits) else []
    if place >= len(marks) or (name and any(factor in in_flight for factor in marks[place].factors)):
        return []
    return kept.of(masked, marks[place])


def _narrowed(masked: Tensor, mask: Tensor) -> list[Tensor]:
    """Leave out what is not kept, along whichever dimension that can be."""
    if mask.ndim != masked.ndim:
        return []
    if mask.shape[0] > 1 and masked.shape[0] % mask.shape[0] == 0:  # a batch that code has put before the heads
        mask = mask.repeat(masked.shape[0] // mask.shape[0], *[1] * (mask.ndim - 1))
    if not is_expandable(mask.shape, masked.shape):
        return []
    dims = wide_dims(mask.shape)
    if len(dims) == 1:
        return [masked.index_select(dims[0], mask.flatten().nonzero().flatten().to(masked.device))]
    possible = []
    for dim in dims:
        taken = _taken(masked, mask, dim)
        if taken is not None:
            possible.append(taken)
    return possible


def _taken(masked: Tensor, mask: Tensor, dim: int) -> Tensor | None:
    """Shorten one dimension to what is kept in each place along the others, if it is equally many."""
    if dim not in varying(mask):
        return None
    count = mask.sum(dim)
    if int(count.min()) != int(count.max()):
        return None
    index = mask.int().argsort(dim=dim, descending=True, stable=True).narrow(dim, 0, int(count.max()))
    shape = list(masked.shape)
    shape[dim] = index.shape[dim]
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


def mapped(value: object, change: Callable[[Tensor], Tensor]) -> Value:
    """Return nested lists, tuples and dicts with each tensor changed, in the order of `trace.tensors`."""
    if isinstance(value, Tensor):
        return change(value)
    if isinstance(value, dict):
        items = zip(value, mapped(list(value.values()), change))
        return type(value)(items) if type(value) in {dict, OrderedDict} else dict(items)
    if isinstance(value, (list, tuple)):
        return _refilled(value, [mapped(item, change) for item in value])
    return value


def _refilled(value: list[object] | tuple[object, ...], parts: list[object]) -> object:
    """Return a list or tuple of the same class with other items; how its class is called, nobody knows."""
    if isinstance(value, list):
        made = copy.copy(value)
        made[:] = parts
        return made
    try:
        return tuple.__new__(type(value), parts)
    except TypeError:  # of a class in C, such as `torch.return_types.max`
        return type(value)(parts)
