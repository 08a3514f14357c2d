"""Products of activations, as in attention: queries with keys, weights with values.

A query goes with its key, of which one with a scale of zero says nothing whatever the other says. How many heads there
are does not change (`views`): upstream gives attention's output the shape of its input, so that a head could go only
with its share of the residual stream, and any width that fewer heads would leave, narrower ones leave as well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..labels.labels import FIXED, core, expanded, is_expandable, varying
from ..labels.tracked import UnknownOperatorError

if TYPE_CHECKING:
    from torch import Tensor

    from ..labels.tracked import Call
    from ..passes.trace import Trace


def product(trace: Trace, call: Call) -> list[Tensor | None]:
    """Multiply matrices, (b, n, m) and (b, m, p): unite what is summed over; the other channels stay what they are."""
    one, other = map(trace.labels_of, call.args[:2])
    summed = [_varies(one, 2), _varies(other, 1)]
    beside = [_varies(one, 1), _varies(other, 2)]
    if one is not None and other is not None and all(summed) and not any(beside):
        left, right = expanded(core(one.transpose(1, 2)), core(other))
        if not bool(((left > FIXED) | (right > FIXED)).all()):
            raise UnknownOperatorError
        trace.labels.unite(left, right, call.reason)
        trace.attention.note(trace.stack[-1][0], left)
        return [None]
    if any(summed) or all(beside):
        raise UnknownOperatorError
    labels = one if beside[0] else other
    if labels is None:
        raise UnknownOperatorError
    small = core(labels)
    if not is_expandable(small.shape, call.outputs[0].shape):
        raise UnknownOperatorError
    trace.attention.note(trace.stack[-1][0], small)
    return [small.expand(call.outputs[0].shape)]


def _varies(labels: Tensor | None, dim: int) -> bool:
    return labels is not None and dim in varying(labels)
