"""What element-wise operators do to channel labels: which channels they unite, and whether zero stays zero."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..labels.labels import FIXED, core, expanded, flexible_dim, varying
from ..labels.tracked import UnknownOperatorError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ..labels.tracked import Call, Value
    from ..passes.trace import Rule, Trace

    Silent = Tensor | bool  # whether a value is zero where its channel is silent: of each channel, or of all
    Zero = Callable[..., Silent]


def same(trace: Trace, call: Call) -> list[Tensor | None]:
    """Keep the labels: zero in, zero out."""
    return [trace.labels_of(call.args[0])]


def shifted(trace: Trace, call: Call) -> list[Tensor | None]:
    """Keep the labels of an operator that does not map zero to zero, such as a sigmoid."""
    labels = trace.labels_of(call.args[0])
    return [None if labels is None else -labels.abs()] * len(call.outputs)


def poles(trace: Trace, call: Call) -> list[Tensor | None]:
    """Keep the labels of an operator that is infinite at zero, as `log`, where no channel is zero: 0 × ∞ is NaN."""
    labels = trace.labels_of(call.args[0])
    if labels is not None and bool((labels > FIXED).any()):
        raise UnknownOperatorError
    return shifted(trace, call)


def clamped(trace: Trace, call: Call) -> list[Tensor | None]:
    """Keep the labels; zero stays zero where it lies between the bounds."""
    names = {"clamp_min": ("min",), "clamp_max": ("max",)}.get(call.name, ("min", "max"))
    bounds = {**dict(zip(names, call.args[1:])), **call.kwargs}
    low, high = bounds.get("min"), bounds.get("max")
    if isinstance(low, Tensor) or isinstance(high, Tensor):
        parts = [part for part in (call.args[0], low, high) if part is not None]
        return [combined(trace, call, parts, lambda *_: False)]
    kept = (low is None or low <= 0) and (high is None or high >= 0)
    return (same if kept else shifted)(trace, call)


def thresholded(trace: Trace, call: Call) -> list[Tensor | None]:
    """`x if x > threshold else value`: zero stays zero if it is above the threshold, or the value is zero."""
    _, threshold, value = call.args[:3]
    return (same if threshold < 0 or value == 0 else shifted)(trace, call)


def power(trace: Trace, call: Call) -> list[Tensor | None]:
    """Keep the labels; only a positive exponent keeps zero, and a negative one makes it infinite."""
    base, exponent = call.args[:2]
    if isinstance(base, Tensor) and isinstance(exponent, (int, float)):
        return (same if exponent > 0 else shifted if exponent == 0 else poles)(trace, call)
    labels = trace.labels_of(base)
    if labels is not None and bool((labels > FIXED).any()):
        raise UnknownOperatorError  # the exponent may be negative
    return [combined(trace, call, (base, exponent), lambda *_: False)]


def added(trace: Trace, call: Call) -> list[Tensor | None]:
    """Unite what is added; adding anything without labels leaves a dropped channel worth more than zero."""
    one, other = call.args[:2]
    nothing = isinstance(other, (int, float)) and other == 0  # `sum()` and absent branches start from 0
    return [trace.labels_of(one) if nothing else combined(trace, call, (one, other), lambda a, b: a & b)]


def multiplied(trace: Trace, call: Call) -> list[Tensor | None]:
    """Unite what is multiplied; one zero factor is enough."""
    return [combined(trace, call, call.args[:2], lambda a, b: a | b)]


def divided(trace: Trace, call: Call) -> list[Tensor | None]:
    """Unite what is divided; zero stays zero, unless it is divided by what is zero as well."""
    return [combined(trace, call, call.args[:2], _quotient)]


def _quotient(a: Silent, b: Silent) -> Silent:
    if isinstance(b, Tensor) and bool(b.any()):
        raise UnknownOperatorError
    return a


def chosen(trace: Trace, call: Call) -> list[Tensor | None]:
    """`where(condition, one, other)`: zero if both are."""
    return [combined(trace, call, call.args[:3], lambda _, a, b: a & b)]


def filled(trace: Trace, call: Call) -> list[Tensor | None]:
    """`masked_fill(x, mask, value)`: zero stays zero if the value is."""
    return [combined(trace, call, call.args[:3], lambda x, _, value: x & value)]


def compared(trace: Trace, call: Call) -> list[Tensor | None]:
    """Unite what is compared; what comes of zeros counts as anything."""
    return [combined(trace, call, call.args[:2], lambda *_: False)]


def mixed(trace: Trace, call: Call) -> list[Tensor | None]:
    """`lerp(a, b, weight)`: zero if both are."""
    return [combined(trace, call, call.args[:3], lambda a, b, _: a & b)]


def added_product(trace: Trace, call: Call) -> list[Tensor | None]:
    """`a + value * b * c`, or `/ c`."""

    def zero(a: Silent, b: Silent, c: Silent) -> Silent:
        return a & (_quotient(b, c) if call.name == "addcdiv" else b | c)

    return [combined(trace, call, call.args[:3], zero)]


def alike(trace: Trace, call: Call) -> list[Tensor | None]:
    """A tensor of the same shape and of other values, as for noise: it gets narrower where its model does."""
    labels = trace.labels_of(call.args[0])
    zero = call.name in {"zeros_like", "fill", "zero"}
    return [None if labels is None else labels.abs() if zero else -labels.abs()]


def overwritten(trace: Trace, call: Call) -> list[Tensor | None]:
    """`fill_` and `zero_`: the same number everywhere, in a tensor of the same shape."""
    value = call.args[1] if len(call.args) > 1 else 0
    return (alike if _nothing(trace, value) else shifted)(trace, call)


def dropped(trace: Trace, call: Call) -> list[Tensor | None]:
    """Dropout, and what it has dropped."""
    labels = trace.labels_of(call.args[0])
    return [labels, None if labels is None else -labels.abs()]


def halved(trace: Trace, call: Call) -> list[Tensor | None]:
    """`glu`: the first half times the sigmoid of the second, one to one; zero where the first is."""
    labels = trace.labels_of(call.args[0])
    dim = call.args[1] if len(call.args) > 1 else call.kwargs.get("dim", -1)
    if labels is None:
        raise UnknownOperatorError
    first, second = labels.chunk(2, dim)
    trace.labels.unite(first, second, call.reason)
    return [first]


def combined(trace: Trace, call: Call, parts: Sequence[Value], zero: Zero) -> Tensor:
    """Return the labels of an element-wise combination.

    Args:
        trace: The trace.
        call: The operator.
        parts: What it combines, numbers and tensors.
        zero: Told of each part whether it is zero where the channel is silent, says so of the result.
    """
    shape = call.outputs[0].shape
    sizes = [sized(part, len(shape)) for part in parts]
    labels = list(map(trace.labels_of, parts))
    known: list[tuple[int, Tensor]] = []
    for place, found in enumerate(labels):
        if found is not None:
            known.append((place, core(found.reshape(sizes[place]))))
    if not known:
        raise UnknownOperatorError
    (first, total), *others = known
    silent = {first: total > FIXED}
    size = sizes[first]
    for place, labels_there in others:
        total, deaf = joined(trace, call, (total, size), (labels_there, sizes[place]))
        before = list(silent)
        silent[place] = labels_there > FIXED
        for spread in before if deaf == "first" else (place,) if deaf == "second" else ():
            silent[spread] = torch.zeros_like(silent[spread])
        size = torch.Size(map(max, size, sizes[place]))
    flexible = flexible_dim(total, trace.rows)
    for part, its, found in zip(parts, sizes, labels):
        dims = [dim for dim in varying(total) if its[dim] > 1 and flexible in {dim, None}]
        if found is None and dims and not _constant(part, len(its) - part.ndim, dims):
            raise UnknownOperatorError  # one value per channel, and nobody to slice it
    told = [silent[place] if place in silent else _nothing(trace, part) for place, part in enumerate(parts)]
    return torch.where(torch.as_tensor(zero(*told)), total.abs(), -total.abs()).expand(shape)


def joined(
    trace: Trace, call: Call, one: tuple[Tensor, torch.Size], other: tuple[Tensor, torch.Size]
) -> tuple[Tensor, str]:
    """Unite the labels of two parts, unless one is a single channel that is spread over all of the other.

    Such a channel is never dropped from then on: its values count for nothing, and the sign of the other's alone does.

    Returns:
        The labels of both together, and which of them is such a channel, "first", "second" or "".
    """
    (a, a_shape), (b, b_shape) = one, other
    if not set(varying(a)) & set(varying(b)):
        a_spread = _is_single(a_shape, b_shape, varying(b))
        b_spread = _is_single(b_shape, a_shape, varying(a))
        if a_spread and b_spread:
            raise UnknownOperatorError
        if varying(a) and varying(b) and not a_spread and not b_spread:
            raise UnknownOperatorError  # each has values for the other's channels
        if a_spread or b_spread:
            trace.labels.freeze(a if a_spread else b, call.reason)
            return (b, "first") if a_spread else (a, "second")
    a_wide, b_wide = expanded(a, b)
    trace.labels.unite(a_wide, b_wide, call.reason)
    return (a_wide if len(varying(a_wide)) >= len(varying(b_wide)) else b_wide), ""


def _is_single(shape: torch.Size, other: torch.Size, dims: list[int]) -> bool:
    """Whether a part has one place, and another has more, along any of some dimensions."""
    return any(shape[dim] == 1 < other[dim] for dim in dims)


def sized(value: object, ndim: int) -> torch.Size:
    """Return the shape of a number or tensor, with leading ones up to `ndim` dimensions."""
    shape = tuple(value.shape) if isinstance(value, Tensor) else ()
    return torch.Size((1,) * (ndim - len(shape)) + shape)


def _constant(part: Tensor, shift: int, dims: list[int]) -> bool:
    """Whether a tensor without labels is the same for all channels, as one that was made of ones for each."""
    return all(bool((part == part.narrow(dim - shift, 0, 1)).all()) for dim in dims)


def _nothing(trace: Trace, part: object) -> bool:
    """Whether a number is zero, also one that PyTorch has put in a tensor."""
    return trace.zeros.get(part, False) if isinstance(part, Tensor) else bool(part == 0)


ARITHMETIC_RULES: dict[str, Rule] = {
    **dict.fromkeys(
        (
            *("silu", "relu", "relu6", "leaky_relu", "gelu", "mish", "hardswish", "elu", "celu", "selu"),
            *("tanh", "abs", "neg", "sqrt", "square", "sign", "sgn", "erf", "sin", "expm1", "log1p", "softshrink"),
            *("hardshrink", "rrelu_with_noise", "tan", "atan", "asin", "sinh", "asinh", "atanh", "ceil", "floor"),
            *("trunc", "frac", "nan_to_num", "conj", "_conj", "_conj_physical", "real", "imag", "angle"),
            *("clone", "detach", "alias", "contiguous", "lift_fresh", "_to_copy", "positive", "dropout", "round"),
        ),
        same,
    ),
    **dict.fromkeys(
        (
            *("sigmoid", "hardsigmoid", "softplus", "exp", "exp2", "cos", "cosh", "acos", "erfc", "logical_not"),
            *("bitwise_not", "log_sigmoid_forward", "isnan", "isinf", "isfinite", "bernoulli", "normal"),
            *("uniform", "exponential", "geometric", "random", "sinc"),
        ),
        shifted,
    ),
    **dict.fromkeys(("log", "log2", "log10", "logit", "rsqrt", "reciprocal"), poles),
    **dict.fromkeys(("clamp", "clamp_min", "clamp_max", "hardtanh"), clamped),
    "threshold": thresholded,
    "pow": power,
    **dict.fromkeys(("add", "sub", "rsub", "maximum", "minimum", "fmax", "fmin", "hypot", "atan2"), added),
    **dict.fromkeys(("mul", "_prelu_kernel"), multiplied),
    **dict.fromkeys(("div", "fmod", "remainder", "floor_divide"), divided),
    "where": chosen,
    "masked_fill": filled,
    **dict.fromkeys(
        (
            *("eq", "ne", "lt", "le", "gt", "ge", "logical_and", "logical_or", "logical_xor", "logaddexp"),
            *("bitwise_and", "bitwise_or", "bitwise_xor", "__and__", "__or__"),
        ),
        compared,
    ),
    "lerp": mixed,
    **dict.fromkeys(("addcmul", "addcdiv"), added_product),
    **dict.fromkeys(("zeros_like", "ones_like", "empty_like", "full_like", "rand_like", "randn_like"), alike),
    **dict.fromkeys(("fill", "zero"), overwritten),
    "native_dropout": dropped,
    "glu": halved,
}
