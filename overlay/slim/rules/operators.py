"""What operators without layers do to channel labels: the table of all rules, and how tensors are joined.

Arithmetic is in `rules_arithmetic`, what works along a dimension in `rules_reductions`, on images in `rules_spatial`,
with weights as arguments in `rules_weights`; attention is in `rules_attention` and `heads`, what moves values about in
`views`. What is listed nowhere, nor in `layers`, freezes the labels that enter it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from ..labels.binding import bind_alike
from ..labels.labels import FIXED, flexible_dim, rows_of, varying
from .cutting import CUTTING_RULES
from .rules_arithmetic import ARITHMETIC_RULES
from .rules_attention import ATTENTION_RULES
from .rules_reductions import REDUCTION_RULES
from .rules_spatial import SPATIAL_RULES
from .rules_weights import WEIGHT_RULES
from .views import VIEW_RULES

if TYPE_CHECKING:
    from torch import Tensor

    from ..labels.tracked import Call
    from ..passes.trace import Rule, Trace

NOTHING = (0,)  # the shape of `torch.empty(0)`, which may be joined to anything


def concatenated(trace: Trace, call: Call) -> list[Tensor | None]:
    """Join or stack labels; a part that carries none counts as fixed, and `cat` passes over an empty list's tensor."""
    parts, dim = call.args[0], call.args[1] if len(call.args) > 1 else call.kwargs.get("dim", 0)
    filled: list[Tensor] = []
    for part in parts:
        if part.shape == NOTHING:
            continue
        labels = trace.labels_of(part)
        filled.append(torch.full((1,), FIXED).expand(part.shape) if labels is None else labels)
    result: Tensor = call.func(filled, dim)
    for part in filled if len(varying(result)) > 1 else ():
        note_rows(trace, part, dim % part.ndim if call.name == "cat" else None)
    _note_stack(trace, call, filled, result, dim % result.ndim)
    return [result]


def note_rows(trace: Trace, part: Tensor, joined: int | None) -> None:
    """Remember which dimension of what is joined or stacked may get shorter, now that there is one more."""
    flexible = flexible_dim(part, trace.rows)
    if flexible is not None and flexible != joined:
        trace.shorten(rows_of(part, flexible))


def _note_stack(trace: Trace, call: Call, parts: list[Tensor], result: Tensor, dim: int) -> None:
    """Demand that tensors which lie beside each other have equally many channels, as PyTorch does."""
    beside = varying(result)
    if dim not in beside:
        return
    beside.remove(dim)
    alone = call.name == "stack" or not any(dim in varying(part) for part in parts)
    if len(beside) == 1 and alone:
        bind_alike(trace, rows_of(result, beside[0]), call.reason)


RULES: dict[str, Rule] = {
    **VIEW_RULES,
    **CUTTING_RULES,
    **ARITHMETIC_RULES,
    **REDUCTION_RULES,
    **SPATIAL_RULES,
    **WEIGHT_RULES,
    **ATTENTION_RULES,
    **dict.fromkeys(("cat", "stack"), concatenated),
}
