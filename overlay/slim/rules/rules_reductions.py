"""What operators along a dimension do to channel labels: sums, softmax, sorting, and what only moves along it.

Over a dimension without labels all of them leave the channels what they are. Over the channels a sum does not notice
those that are zero, and so has none left; any other operator would, and freezes them. Over a dimension that lies beside
the channels and stays as long, such as a stack of branches, the rows are tied one to one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..labels.labels import FIXED, core, fit, flexible_dim, varying
from ..labels.tracked import UnknownOperatorError
from ..passes.trace import known

if TYPE_CHECKING:
    from ..labels.tracked import Call
    from ..passes.trace import Rule, Trace

# The place of the dimensions among the arguments of an operator.
DIMS = {"linalg_vector_norm": 2, "norm": 2, "renorm": 2, "roll": 2}
SHIFTED = {"logsumexp", "argmax", "argmin", "any", "all", "count_nonzero"}  # what they make of zeros counts as anything
TIED = {"sum", "mean"}  # so common over a stack that a stack is what they are taken to be used on


def reduced(trace: Trace, call: Call) -> list[Tensor | None]:
    """Reduce dimensions."""
    labels = known(trace, call.args[0])
    if len(call.args) > 1 and isinstance(call.args[1], Tensor):  # the larger of two, which is no reduction
        raise UnknownOperatorError
    dims = dims_of(call, labels.ndim)
    for dim in dims:
        labels = shrunk(trace, call, labels, dim)
    if call.outputs[0].ndim < labels.ndim:
        for dim in sorted(dims, reverse=True):
            labels = labels.squeeze(dim)
    if not bool((labels != FIXED).any()):
        return [None]
    return with_places(call, -labels.abs() if call.name in SHIFTED else labels)


def with_places(call: Call, labels: Tensor) -> list[Tensor | None]:
    """Return the labels of an operator's first output, and of those beside it, such as places, which may be any."""
    return [labels, *[-labels.abs()] * (len(call.outputs) - 1)]


def dims_of(call: Call, ndim: int) -> list[int]:
    """Return the dimensions that an operator works along: all, where it names none."""
    place = DIMS.get(call.name, 1)
    given = call.args[place] if len(call.args) > place else call.kwargs.get("dim")
    if given is None or (isinstance(given, (list, tuple)) and not given):
        return list(range(ndim))
    return [dim % ndim for dim in ([given] if isinstance(given, int) else given)]


def shrunk(trace: Trace, call: Call, labels: Tensor, dim: int) -> Tensor:
    """Shrink one dimension to size 1."""
    first = labels.narrow(dim, 0, 1)
    if dim not in varying(labels):
        return first
    if not is_flexible(trace, call, labels, dim):
        return tied(trace, call, labels, dim)
    if not _ignores_zeros(call):
        raise UnknownOperatorError
    trace.labels.freeze(labels[labels < FIXED], call.reason.before())
    if labels.ndim > 1:  # not of a BatchNorm's scales, which are zero then
        trace.unfolded[call.where] += core(labels).flatten().tolist()
    return torch.full_like(first, FIXED)


def _ignores_zeros(call: Call) -> bool:
    """Whether it is the same with any number of zeros more: a sum, or a norm, which is the root of a sum of powers."""
    order = call.args[1] if len(call.args) > 1 else call.kwargs.get("ord", 2)
    norm = call.name in {"linalg_vector_norm", "norm"} and (order is None or (order != "nuc" and float(order) > 0))
    return call.name == "sum" or norm


def is_flexible(trace: Trace, call: Call, labels: Tensor, dim: int) -> bool:
    """Whether there may be fewer along a dimension along which labels vary; a stack's stays as long.

    Raises:
        UnknownOperatorError: If it cannot be told.
    """
    flexible = flexible_dim(labels, trace.rows)
    if flexible is not None:
        return flexible == dim
    if call.name in TIED:
        return False
    raise UnknownOperatorError


def tied(trace: Trace, call: Call, labels: Tensor, dim: int) -> Tensor:
    """Shrink a dimension that stays as long to size 1: what lies along it goes together, and is zero if all are."""
    first = labels.narrow(dim, 0, 1)
    trace.labels.unite(core(first.expand_as(labels)).expand_as(labels), labels, call.reason)
    all_zero = (labels > FIXED).all(dim, keepdim=True)
    return torch.where(all_zero, first.abs(), -first.abs())


def softmax(trace: Trace, call: Call) -> list[Tensor | None]:
    """Share out along a dimension; zero is not zero then."""
    labels = known(trace, call.args[0])
    dim = call.args[1] % labels.ndim
    if dim in varying(labels):
        if is_flexible(trace, call, labels, dim):
            raise UnknownOperatorError
        labels = tied(trace, call, labels, dim).expand_as(labels)
    return [-labels.abs()]


def ordered(trace: Trace, call: Call) -> list[Tensor | None]:
    """Sort, choose the largest, or accumulate along a dimension without labels: zeros stay zero, places may be any."""
    labels = known(trace, call.args[0])
    kept = untouched(call, labels, [_dim_of(call) % labels.ndim])
    return with_places(call, -kept.abs() if call.name in {"argsort", "logcumsumexp"} else kept)


def _dim_of(call: Call) -> int:
    """Return the dimension along which an operator sorts, chooses or accumulates."""
    first = 2 if call.name == "topk" else 1  # (x, k, dim)
    for value in call.args[first:]:
        if isinstance(value, int) and not isinstance(value, bool):
            return value
    dim: int = call.kwargs.get("dim", -1)
    return dim


def shifted_along(trace: Trace, call: Call) -> list[Tensor | None]:
    """`roll`, a Fourier transform: linear along dimensions without labels."""
    labels = known(trace, call.args[0])
    return [untouched(call, labels, dims_of(call, labels.ndim))]


def untouched(call: Call, labels: Tensor, dims: list[int]) -> Tensor:
    """Return the labels of an operator that mixes some dimensions, along which they may not vary.

    Raises:
        UnknownOperatorError: If they do, or another dimension changes.
    """
    fitted = None if set(dims) & set(varying(labels)) else fit(labels, call.outputs[0].shape)
    if fitted is None:
        raise UnknownOperatorError
    return fitted


def as_real(trace: Trace, call: Call) -> list[Tensor | None]:
    """Complex numbers as pairs along a last dimension, and back."""
    labels = known(trace, call.args[0])
    if call.name == "view_as_real":
        return [labels.unsqueeze(-1).expand(call.outputs[0].shape)]
    if labels.ndim - 1 in varying(labels):
        raise UnknownOperatorError
    return [labels[..., 0]]


REDUCTION_RULES: dict[str, Rule] = {
    **dict.fromkeys(
        (
            *("sum", "mean", "amax", "amin", "prod", "var", "std", "var_mean", "std_mean", "linalg_vector_norm"),
            *("norm", "max", "min", "logsumexp", "argmax", "argmin", "any", "all", "count_nonzero", "median", "nansum"),
        ),
        reduced,
    ),
    **dict.fromkeys(("_softmax", "_log_softmax", "_safe_softmax", "softmax", "log_softmax"), softmax),
    **dict.fromkeys(("sort", "argsort", "topk", "cumsum", "cumprod", "cummax", "cummin", "logcumsumexp"), ordered),
    **dict.fromkeys(("roll", "_fft_r2c", "_fft_c2r", "_fft_c2c"), shifted_along),
    **dict.fromkeys(("view_as_real", "view_as_complex"), as_real),
}
