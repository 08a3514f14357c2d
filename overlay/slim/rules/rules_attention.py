"""What PyTorch's own attention does to channel labels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..labels.labels import FIXED, core, is_expandable, varying
from ..labels.reason import Reason
from ..labels.tracked import UnknownOperatorError
from ..passes.trace import known

if TYPE_CHECKING:
    from torch import Tensor

    from ..labels.tracked import Call
    from ..passes.trace import Rule, Trace


def attention(trace: Trace, call: Call) -> list[Tensor | None]:
    """softmax(q kᵀ / √d + mask) v, shapes (*, n, d), (*, m, d), (*, m, e): queries and keys go together, values pass.

    A query and a key of which one is zero add nothing to the product. The scale is computed from d unless it is given:
    then no BatchNorm makes up for a d that changes, and both stay; `plain_attention` avoids it where PyTorch can.
    """
    q, k, v = (known(trace, tensor) for tensor in call.args[:3])
    mask = call.kwargs.get("attn_mask", call.args[3] if len(call.args) > 3 else None)  # noqa: PLR2004 - (q, k, v, bias)
    if mask is not None:
        trace.planes.freeze(mask, call.reason)
    if any(labels.ndim - 2 in varying(labels) for labels in (q, k, v)):
        raise UnknownOperatorError
    left, right = core(q), core(k)
    shape = list(map(max, left.shape, right.shape))
    if not (is_expandable(left.shape, shape) and is_expandable(right.shape, shape)):
        raise UnknownOperatorError
    left, right = left.expand(shape), right.expand(shape)
    trace.labels.unite(left, right, call.reason)
    if call.kwargs.get("scale") is None:
        trace.labels.freeze(left, Reason.at("scale of attention", call.where))
    trace.labels.freeze(left[(left < FIXED) & (right < FIXED)], call.reason.before())
    return [core(v).expand(call.outputs[0].shape)]


ATTENTION_RULES: dict[str, Rule] = dict.fromkeys(
    (
        *("_scaled_dot_product_flash_attention_for_cpu", "_scaled_dot_product_flash_attention"),
        *("_scaled_dot_product_efficient_attention", "_scaled_dot_product_cudnn_attention"),
        *("_scaled_dot_product_fused_attention_overrideable",),
    ),
    attention,
)
