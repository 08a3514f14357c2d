"""What operators that move values about do to channel labels: views, permutations, shuffles.

A view may give channels a second dimension: heads, groups, or the three of queries, keys and values. Of these
dimensions only one can get shorter, and which one the sizes say that the code asks for: one that follows a width, one
that PyTorch infers, or one that an attribute holds. The others stay: before it, each row keeps equally many channels;
after it, what lies side by side goes together. Where dimensions are joined in another order than they were cut, as
shuffles do, the rows go one to one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..labels.asking import FOLLOWED, INFERRED
from ..labels.binding import bind, bind_alike, tie
from ..labels.labels import flexible_dim, rows_of, unsigned, varying, wide_dims
from ..labels.sizes import part_of, terms_of
from ..labels.tracked import UnknownOperatorError
from ..passes.trace import known

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import Tensor

    from ..labels.tracked import Call
    from ..passes.trace import Rule, Trace

Dims = list[int]


def moved(trace: Trace, call: Call) -> list[Tensor | None]:
    """Do to the labels what is done to the values."""
    labels = known(trace, call.args[0])
    result = call.func(labels, *call.args[1:], **call.kwargs)
    if len(varying(result)) > max(1, len(varying(labels))):
        raise UnknownOperatorError
    return [result]


def viewed(trace: Trace, call: Call) -> list[Tensor | None]:
    """Give labels another shape, and bind their numbers to the sizes that were asked for."""
    labels = known(trace, call.args[0])
    shape = call.outputs[0].shape
    asked = trace.asked.sizes(len(shape))
    for before, after in _regrouped(labels.shape, shape):
        within = _varying_among(labels, before)
        if len(within) > 1 and len(after) == 1:
            labels = _joined(trace, call, labels, within)
    result = labels.reshape(shape)
    for before, after in _regrouped(labels.shape, shape):
        within, found = _varying_among(labels, before), _varying_among(result, after)
        if len(found) > 1 and len(within) == 1:
            result = _split(trace, call, result, found, asked)
        elif len(found) == 1:
            _bind_whole(trace, call, (labels, before), (result, found[0]), asked[found[0]])
        elif len(found) != len(within):
            raise UnknownOperatorError
    return [result]


def _varying_among(labels: Tensor, dims: Dims) -> Dims:
    """Return those of some dimensions along which the labels differ."""
    return [dim for dim in varying(labels) if dim in dims]


def _regrouped(before: Sequence[int], after: Sequence[int]) -> Iterator[tuple[Dims, Dims]]:
    """Yield the dimensions of a view that hold the same values, before and after; those of size 1 are left out."""
    old, new = wide_dims(before), wide_dims(after)
    while old or new:
        mine, yours = [old.pop(0)], [new.pop(0)]
        sizes = [before[mine[0]], after[yours[0]]]
        while sizes[0] != sizes[1]:
            if sizes[0] < sizes[1]:
                mine.append(old.pop(0))
                sizes[0] *= before[mine[-1]]
            else:
                yours.append(new.pop(0))
                sizes[1] *= after[yours[-1]]
        yield mine, yours


def _split(trace: Trace, call: Call, result: Tensor, dims: Dims, asked: list[int | None]) -> Tensor:
    """Choose which of several dimensions that channels are given may get shorter, and bind it."""
    flexible = _flexible(asked, dims)
    if flexible is None:  # written down, all of them
        flexible = dims[-1]
        trace.labels.freeze(result, call.reason)
    result = _tie_behind(trace, call, result, flexible, dims)
    rows = rows_of(result, flexible)
    trace.shorten(rows)
    if terms_of(asked[flexible]):
        bind(trace, rows, asked[flexible], call.reason)
    bind_alike(trace, rows, call.reason)
    return result


def _flexible(asked: list[int | None], dims: Dims) -> int | None:
    """Return the dimension whose size follows a width; else the last that is inferred or held by an attribute."""
    following = other = None
    for dim in dims:
        size = asked[dim]
        if size is FOLLOWED:
            raise UnknownOperatorError  # PyTorch's own code, which has its reasons
        if _follows_width(size):
            following = dim
        elif terms_of(size) or size == INFERRED:
            other = dim
    return other if following is None else following


def _follows_width(size: int | None) -> bool:
    return any(source.row for source, _ in terms_of(size))


def _joined(trace: Trace, call: Call, labels: Tensor, dims: Dims) -> Tensor:
    """Let what lies behind the dimension that may get shorter go together, before they are joined."""
    flexible = flexible_dim(labels, trace.rows)
    if flexible is None:
        raise UnknownOperatorError
    if flexible not in dims:
        return labels
    return _tie_behind(trace, call, labels, flexible, dims)


def _tie_behind(trace: Trace, call: Call, labels: Tensor, flexible: int, dims: Dims) -> Tensor:
    """Let what lies along dimensions behind the one that may get shorter live and die together."""
    return tie(trace, labels, [dim for dim in dims if dim > flexible], call.reason)


def _bind_whole(
    trace: Trace, call: Call, before: tuple[Tensor, Dims], after: tuple[Tensor, int], asked: int | None
) -> None:
    """Bind the channels along one dimension, joined or not, to the size that was asked for."""
    (labels, dims), (result, dim) = before, after
    within = _varying_among(labels, dims)
    flexible = flexible_dim(labels, trace.rows)
    if flexible is None or (len(within) > 1 and flexible not in within):
        flexible = within[-1]
    rows = rows_of(labels, flexible)
    repeated = rows_of(result, dim)
    name, _ = trace.stack[-1]
    trace.attention.shaped[name].append(unsigned(rows))
    if len(repeated[0]) < len(rows[0]):  # split, the other dimensions hold equals
        rows = repeated
    if asked is not FOLLOWED and asked != INFERRED and flexible in within:
        times = len(repeated[0]) // len(rows[0])
        bind(trace, rows, asked if times == 1 else part_of(asked, times), call.reason)


def shuffled(trace: Trace, call: Call) -> list[Tensor | None]:
    """`channel_shuffle`: groups of channels interleaved, so that those at one place in each go together."""
    labels, groups = known(trace, call.args[0]), call.args[1]
    shape = labels.shape
    cut = labels.reshape(shape[0], groups, -1, *shape[2:])
    cut = tie(trace, cut, [1], call.reason)
    return [cut.transpose(1, 2).reshape(shape)]


VIEW_RULES: dict[str, Rule] = {
    **dict.fromkeys(("view", "_unsafe_view", "reshape", "_reshape_alias"), viewed),
    **dict.fromkeys(
        (*("permute", "transpose", "t", "expand", "squeeze", "unsqueeze", "repeat", "flip", "movedim"),),
        moved,
    ),
    **dict.fromkeys(("channel_shuffle", "native_channel_shuffle"), shuffled),
}
