"""What operators without weights do to channel labels: pooling, arithmetic, joining.

What moves values about is in `views`. What is listed nowhere, nor in `layers`, freezes the labels that enter it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from .cutting import CUTTING_RULES
from .heads import product
from .labels import FIXED, core, fit, flexible_dim, rows_of, varying
from .trace import UnknownOperatorError, known
from .views import VIEW_RULES

if TYPE_CHECKING:
    from .trace import Call, Rule, Trace


def same(trace: Trace, call: Call) -> list[Tensor | None]:
    """Keep the labels: zero in, zero out."""
    return [trace.labels_of(call.args[0])]


def shifted(trace: Trace, call: Call) -> list[Tensor | None]:
    """Keep the labels of an operator that does not map zero to zero, such as a sigmoid."""
    labels = trace.labels_of(call.args[0])
    return [None if labels is None else -labels.abs()]


def power(trace: Trace, call: Call) -> list[Tensor | None]:
    """Keep the labels; only a positive exponent keeps zero."""
    exponent = call.args[1]
    return (same if isinstance(exponent, (int, float)) and exponent > 0 else shifted)(trace, call)


def resized(trace: Trace, call: Call) -> list[Tensor | None]:
    """Pool or interpolate: keep the labels where only dimensions without labels change."""
    labels = fit(known(trace, call.args[0]), call.outputs[0].shape)
    if labels is None:
        raise UnknownOperatorError
    return [labels]


def padded(trace: Trace, call: Call) -> list[Tensor | None]:
    """Pad with zeros, or with what is there already."""
    if call.name == "constant_pad_nd" and len(call.args) > 2 and call.args[2] != 0:  # noqa: PLR2004 - (x, pad, value)
        raise UnknownOperatorError
    return resized(trace, call)


def concatenated(trace: Trace, call: Call) -> list[Tensor | None]:
    """Join or stack labels; a part that carries none counts as fixed."""
    parts, dim = call.args[0], call.args[1] if len(call.args) > 1 else call.kwargs.get("dim", 0)
    labels = [trace.labels_of(part) for part in parts if part.ndim == parts[-1].ndim]
    filled = [
        torch.full((1,), FIXED).expand(part.shape) if found is None else found for found, part in zip(labels, parts)
    ]
    result: Tensor = call.func(filled, dim)
    for part in filled if len(varying(result)) > 1 else ():
        note_rows(trace, part, dim % part.ndim if call.name == "cat" else None)
    return [result]


def note_rows(trace: Trace, part: Tensor, joined: int | None) -> None:
    """Remember which dimension of what is joined or stacked may get shorter, now that there is one more."""
    flexible = flexible_dim(part, trace.rows)
    if flexible is not None and flexible != joined:
        trace.rows.update(tuple(row.abs().tolist()) for row in rows_of(part, flexible))


def added(trace: Trace, call: Call) -> list[Tensor | None]:
    """Unite what is added; adding anything without labels leaves a dropped channel worth more than zero."""
    one, other = call.args[:2]
    nothing = isinstance(other, (int, float)) and other == 0  # `sum()` and absent branches start from 0
    return [trace.labels_of(one) if nothing else paired(trace, call, one, other, zero_by=all)]


def multiplied(trace: Trace, call: Call) -> list[Tensor | None]:
    """Unite what is multiplied; one zero factor is enough."""
    one, other = call.args[:2]
    if call.name == "div" and trace.labels_of(other) is not None:
        raise UnknownOperatorError
    return [paired(trace, call, one, other, zero_by=any)]


def paired(trace: Trace, call: Call, one: Any, other: Any, *, zero_by: Any) -> Tensor:
    """Return the labels of an element-wise combination, which is zero if `zero_by` (all, any) of its parts are."""
    shape = call.outputs[0].shape
    sides = [(trace.labels_of(value), sized(value, len(shape))) for value in (one, other)]
    (a, a_shape), (b, b_shape) = sides if sides[0][0] is not None else sides[::-1]
    if a is None:
        raise UnknownOperatorError
    a = core(a.reshape(a_shape))
    if b is None:
        flexible = flexible_dim(a, trace.rows)
        if any(b_shape[dim] > 1 for dim in varying(a) if flexible in {dim, None}):
            raise UnknownOperatorError  # one value per channel, and nobody to slice it
        zero = zero_by((True, False))
        return (a if zero else -a.abs()).expand(shape)
    b = core(b.reshape(b_shape))
    a, b = broadcast(trace, call, a, b, (a_shape, b_shape))
    zero = torch.stack((a > FIXED, b > FIXED))
    zero = zero.all(0) if zero_by is all else zero.any(0)
    return torch.where(zero, a.abs(), -a.abs()).expand(shape)


def broadcast(
    trace: Trace, call: Call, a: Tensor, b: Tensor, shapes: tuple[torch.Size, torch.Size]
) -> tuple[Tensor, Tensor]:
    """Unite the labels of two factors, unless one is a single channel that is spread over all of the other."""
    a_spread = any(shapes[0][dim] == 1 < shapes[1][dim] for dim in varying(b))
    b_spread = any(shapes[1][dim] == 1 < shapes[0][dim] for dim in varying(a))
    if a_spread and b_spread:
        raise UnknownOperatorError
    joint = [max(sizes) for sizes in zip(a.shape, b.shape)]
    a_wide, b_wide = a.expand(joint), b.expand(joint)
    if not a_spread and not b_spread:
        trace.labels.unite(a_wide, b_wide, call.reason)
        return a_wide, b_wide
    trace.labels.freeze(a if a_spread else b, call.reason)
    # The single channel is never dropped, so its values count for nothing: only the sign of the other does.
    wide, narrow = (b_wide, a_wide) if a_spread else (a_wide, b_wide)
    return wide, torch.full_like(narrow, -1)


def reduced(trace: Trace, call: Call) -> list[Tensor | None]:
    """Reduce dimensions without labels; over a stack, unite what is reduced into one."""
    labels = known(trace, call.args[0])
    if len(call.args) < 2 or call.args[1] is None:  # noqa: PLR2004 - (x, dims)
        raise UnknownOperatorError
    dims = [call.args[1]] if isinstance(call.args[1], int) else list(call.args[1])
    if not dims:
        raise UnknownOperatorError
    for dim in dims:
        labels = flattened(trace, call, labels, dim % labels.ndim)
    keep = call.outputs[0].ndim == labels.ndim
    for dim in () if keep else sorted((dim % labels.ndim for dim in dims), reverse=True):
        labels = labels.squeeze(dim)
    return [labels]


def flattened(trace: Trace, call: Call, labels: Tensor, dim: int) -> Tensor:
    """Shrink one dimension to size 1, uniting the labels along it."""
    first = labels.narrow(dim, 0, 1)
    if dim not in varying(labels):
        return first
    if call.name not in {"sum", "mean"} or not varying(first):
        raise UnknownOperatorError
    trace.labels.unite(core(first.expand_as(labels)).expand_as(labels), labels, call.reason)
    all_zero = (labels > FIXED).all(dim, keepdim=True)
    return torch.where(all_zero, first.abs(), -first.abs())


def sized(value: Any, ndim: int) -> torch.Size:
    """Return the shape of a number or tensor, with leading ones up to `ndim` dimensions."""
    shape = tuple(value.shape) if isinstance(value, Tensor) else ()
    return torch.Size((1,) * (ndim - len(shape)) + shape)


RULES: dict[str, Rule] = {
    **VIEW_RULES,
    **CUTTING_RULES,
    **dict.fromkeys(
        (
            *("silu", "relu", "relu6", "leaky_relu", "gelu", "mish", "hardswish", "hardtanh", "elu", "celu", "selu"),
            *("tanh", "abs", "neg", "sqrt", "square", "sign", "sgn", "erf", "sin", "expm1", "log1p", "softshrink"),
            *("clone", "detach", "alias", "contiguous", "lift_fresh", "_to_copy", "positive", "dropout", "round"),
        ),
        same,
    ),
    **dict.fromkeys(
        ("sigmoid", "hardsigmoid", "softplus", "exp", "log", "cos", "rsqrt", "clamp", "clamp_min"), shifted
    ),
    "pow": power,
    **dict.fromkeys(
        (
            *("max_pool2d_with_indices", "max_pool2d", "avg_pool2d", "_adaptive_avg_pool2d", "adaptive_max_pool2d"),
            *("upsample_nearest2d", "_upsample_nearest_exact2d", "upsample_bilinear2d", "upsample_bicubic2d"),
            *("reflection_pad2d", "replication_pad2d"),
        ),
        resized,
    ),
    "constant_pad_nd": padded,
    **dict.fromkeys(("cat", "stack"), concatenated),
    **dict.fromkeys(("add", "sub", "rsub", "maximum", "minimum"), added),
    **dict.fromkeys(("mul", "div", "_prelu_kernel"), multiplied),
    **dict.fromkeys(("sum", "mean", "amax", "amin"), reduced),
    "bmm": product,
}
