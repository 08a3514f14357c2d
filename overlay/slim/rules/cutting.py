"""What cutting does to channel labels: split, chunk, slices, single channels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from ..labels.binding import bind, bind_alike, tie, unbind_alike
from ..labels.labels import FIXED, flexible_dim, rows_of, varying
from ..labels.sizes import Size, Source
from ..labels.tracked import UnknownOperatorError
from ..passes.trace import known

if TYPE_CHECKING:
    from torch import Tensor

    from ..labels.tracked import Call
    from ..passes.trace import Rule, Trace


def split(trace: Trace, call: Call) -> list[Tensor | None]:
    """Cut labels into parts. `chunk` follows a changed width by itself; a size comes from somewhere."""
    labels = known(trace, call.args[0])
    parts = list(call.func(labels, *call.args[1:], **call.kwargs))
    dim = (call.args[2] if len(call.args) > 2 else call.kwargs.get("dim", 0)) % labels.ndim  # noqa: PLR2004
    if dim in varying(labels) and len(parts) > 1:
        _need_flexible(trace, labels, dim)
        unbind_alike(trace, rows_of(labels, dim))
        sizes = trace.asked.parts()
        if sizes is None:
            _cut_evenly(trace, call, parts, dim)
        else:
            if len(sizes) != len(parts):
                _need_even(parts, dim)
                sizes *= len(parts)
            for part, size in zip(parts, sizes):
                bind(trace, _cut_rows(trace, part, dim), size, call.reason)
    return list(parts)


def _cut_evenly(trace: Trace, call: Call, parts: list[Tensor], dim: int) -> None:
    """Let the parts of a chunk stay as long as each other."""
    _need_even(parts, dim)
    rows: list[Tensor] = []
    for part in parts:
        rows += _cut_rows(trace, part, dim)
    name, module = trace.stack[-1]
    if vars(module).get("c") == parts[0].shape[dim] and trace.asked.name == "chunk":
        # C2f's other way to run, its `forward_split`, has the size from there.
        bind(trace, rows, Size.of(parts[0].shape[dim], Source(name, "c")), call.reason)
    else:
        bind_alike(trace, rows, call.reason)


def _need_even(parts: list[Tensor], dim: int) -> None:
    """Demand that no part is shorter than the others, as the last is where a size does not divide the whole.

    Raises:
        UnknownOperatorError: One is.
    """
    if len({part.shape[dim] for part in parts}) > 1:
        raise UnknownOperatorError


def sliced(trace: Trace, call: Call) -> list[Tensor | None]:
    """Take channels from one bound to another; what lies before a bound keeps as many channels as the bound says."""
    labels = known(trace, call.args[0])
    result = call.func(labels, *call.args[1:], **call.kwargs)
    dim = (call.args[1] if len(call.args) > 1 else 0) % labels.ndim
    if result.shape[dim] == labels.shape[dim] or dim not in varying(labels):
        return [result]
    given = call.args[2:]  # of (x, dim, start, end, step)
    bounds = [*given, *(None, None, 1)[len(given) :]]
    start, stop, step = bounds
    if not _need_flexible(trace, labels, dim):
        return [result]
    if step != 1:
        return [_strided(trace, call, labels, dim, (start or 0, stop, step))]
    first, last, _ = slice(start, stop).indices(labels.shape[dim])
    unbind_alike(trace, rows_of(labels, dim))
    even = trace.asked.counts_parts()
    if even:
        _cut_evenly(trace, call, list(labels.tensor_split(even, dim)), dim)
    else:
        for place, bound in zip((first, last), trace.asked.bounds(dim, first, last)):
            _bind_bound(trace, call, labels, dim, (place, bound))
    for row in _cut_rows(trace, result, dim):
        trace.cut(f"part from {int(row[0].abs())} of {len(row)}", call.reason, [row])  # which must not lose all
    return [result]


def _bind_bound(trace: Trace, call: Call, labels: Tensor, dim: int, at: tuple[int, object]) -> None:
    """Bind what lies before a bound, or behind one that is counted from the end."""
    (place, size), width = at, labels.shape[dim]
    if place in {0, width}:
        return
    if isinstance(size, int) and size < 0:
        rest, size = labels.narrow(dim, place, width - place), -size
    else:
        rest = labels.narrow(dim, 0, place)
    bind(trace, rows_of(rest, dim), size, call.reason)


def _strided(trace: Trace, call: Call, labels: Tensor, dim: int, bounds: tuple[int, int | None, int]) -> Tensor:
    """Take every n-th channel: those between go with it."""
    start, stop, step = bounds
    width = labels.shape[dim]
    if start >= step or width % step or (stop is not None and stop < width):
        raise UnknownOperatorError
    shape = (*labels.shape[:dim], width // step, step, *labels.shape[dim + 1 :])
    return tie(trace, labels.reshape(shape), [dim + 1], call.reason).select(dim + 1, start)


def selected(trace: Trace, call: Call) -> list[Tensor | None]:
    """Take one place along a dimension: of heads or a stack any; a single channel stays, with those before it."""
    labels = known(trace, call.args[0])
    dim, index = call.args[1] % labels.ndim, call.args[2]
    if dim in varying(labels) and _need_flexible(trace, labels, dim):
        place = index % labels.shape[dim]
        kept = labels.narrow(dim, 0, place + 1) if index >= 0 else labels.narrow(dim, place, labels.shape[dim] - place)
        trace.labels.freeze(kept, call.reason)
    return [labels.select(dim, index)]


def unbound(trace: Trace, call: Call) -> list[Tensor | None]:
    """Take every place along a dimension of heads, or of a stack; code that takes every channel counts them."""
    labels = known(trace, call.args[0])
    dim = (call.args[1] if len(call.args) > 1 else call.kwargs.get("dim", 0)) % labels.ndim
    if dim in varying(labels) and _need_flexible(trace, labels, dim):
        raise UnknownOperatorError
    return list(labels.unbind(dim))


def copied(trace: Trace, call: Call) -> list[Tensor | None]:
    """`copy_`: what is written over goes with what is written; a constant written over channels keeps them."""
    labels, source = map(trace.labels_of, call.args[:2])
    shape = call.args[0].shape
    if source is None:
        raise UnknownOperatorError
    source = source.expand(shape)
    if labels is not None:
        trace.labels.unite(torch.where(labels == FIXED, source, labels), source, call.reason)
    return [source]


def _need_flexible(trace: Trace, labels: Tensor, dim: int) -> bool:
    """Whether this is the dimension that may get shorter.

    Raises:
        UnknownOperatorError: None is known to be.
    """
    flexible = flexible_dim(labels, trace.rows)
    if flexible is None:
        raise UnknownOperatorError
    return flexible == dim


def _cut_rows(trace: Trace, part: Tensor, dim: int) -> list[Tensor]:
    """Return the rows of a part, and remember that they may get shorter."""
    rows = rows_of(part, dim)
    trace.shorten(rows)
    return rows


CUTTING_RULES: dict[str, Rule] = {
    **dict.fromkeys(("split", "split_with_sizes"), split),
    "slice": sliced,
    "select": selected,
    "unbind": unbound,
    "copy": copied,
}
