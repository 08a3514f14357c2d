"""Attention as one operator, as PyTorch runs it where `plain_attention` has not had it spelled out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional as F  # noqa: N812 - its usual name

from slim.analysis.channels import traced
from tests.overlay.norm_networks import heads, split_heads
from tests.overlay.rule_networks import Case

if TYPE_CHECKING:
    from torch import Tensor


def attend(s: Any, x: Tensor) -> Tensor:
    q, k, v = (split_heads(f(x), 2).contiguous() for f in (s.q, s.k, s.v))  # which is when it is one operator
    return F.scaled_dot_product_attention(q, k, v, scale=0.4).transpose(-2, -1).reshape(x.shape)


def test_queries_go_with_their_keys_where_no_mask_is_given() -> None:
    with torch.inference_mode(mode=False):
        trace, _ = traced(Case(attend, heads).build().eval(), torch.zeros(1, 3, 32, 32))
    queries, keys = (trace.labels.find_all(trace.outputs[f"place.{name}.1"].tolist()) for name in "qk")
    assert queries == keys
    assert [trace.labels.reason(label) for label in queries] == [None] * len(queries)
