"""Places with a value a channel, norms, attention as PyTorch spells it, and groups folded into the batch."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - its usual name

from .rule_networks import WIDTH, Case, gated, images, parameter, tokens
from .small import block
from .weight_networks import buffered

VALUES = {
    "scale": Case(lambda s, x: x * s.g, lambda: {"g": parameter(1, WIDTH, 1, 1)}),
    "scale_of_tokens": Case(lambda s, x: images(tokens(x) * s.g, x), lambda: {"g": parameter(WIDTH)}),
    "frozen_norm": buffered(
        lambda s, x: gated(x, (x - s.m.view(1, -1, 1, 1)) * s.v.rsqrt().view(1, -1, 1, 1)),
        m=torch.rand(WIDTH),
        v=torch.rand(WIDTH) + 0.5,
    ),
    "cosines_of_each": buffered(
        lambda s, x: gated(x, (F.adaptive_avg_pool2d(x, 5) * s.w).sum((2, 3), keepdim=True)), w=torch.randn(WIDTH, 5, 5)
    ),
    "cosines_of_all": buffered(
        lambda s, x: gated(x, (F.adaptive_avg_pool2d(x, 16) * s.w).sum((2, 3), keepdim=True)), w=torch.randn(16, 16)
    ),
    "as_wide_as_high": buffered(lambda s, x: x * s.w, w=torch.randn(32)),
    "positions": Case(
        lambda s, x: images(gated(tokens(x), tokens(x) + s.p), x), lambda: {"p": parameter(1, 1024, WIDTH)}
    ),
    "scale_that_is_sorted": Case(
        lambda s, x: x * s.g.sort()[0].view(1, -1, 1, 1), lambda: {"g": parameter(WIDTH)}, frozen="mul in place"
    ),
    "scale_that_is_averaged": Case(
        lambda s, x: x * (s.g - s.g.mean()).view(1, -1, 1, 1), lambda: {"g": parameter(WIDTH)}, frozen="mean in place"
    ),
    "scale_used_along_rows_too": Case(
        lambda s, x: x[..., :16, :16] * s.g * s.g.view(-1, 1, 1),
        lambda: {"g": parameter(WIDTH)},
        frozen="mul in place",
    ),
    "norm_weights": Case(
        lambda s, x: x * ((y := s.n(x)) * (s.n.weight.abs() / s.n.weight.abs().sum()).view(1, -1, 1, 1) + y).sigmoid(),
        lambda: {"n": nn.BatchNorm2d(WIDTH)},
    ),
    "norm_weights_averaged": Case(
        lambda s, x: s.n(x) * (s.n.weight / s.n.weight.mean()).view(1, -1, 1, 1),
        lambda: {"n": nn.BatchNorm2d(WIDTH)},
        frozen="mean in place",
    ),
    "list": Case(lambda s, x: sum(x * g for g in s.g), lambda: {"g": nn.ParameterList([parameter(WIDTH, 1, 1)] * 1)}),
}

NORMS = {
    "group_of_one": Case(lambda s, x: gated(x, s.n(x)), lambda: {"n": nn.GroupNorm(WIDTH, WIDTH)}),
    "group_of_one_functional": Case(lambda _, x: F.group_norm(x, x.shape[1])),
    "group_of_four": Case(
        lambda s, x: s.n(x), lambda: {"n": nn.GroupNorm(4, WIDTH)}, frozen="native_group_norm in place.n"
    ),
    "instance": Case(lambda s, x: s.n(x), lambda: {"n": nn.InstanceNorm2d(WIDTH)}),
    "instance_affine": Case(lambda s, x: gated(x, s.n(x)), lambda: {"n": nn.InstanceNorm2d(WIDTH, affine=True)}),
    "instance_tracked": Case(
        lambda s, x: gated(x, s.n(x)), lambda: {"n": nn.InstanceNorm2d(WIDTH, affine=True, track_running_stats=True)}
    ),
    "instance_shift": Case(
        lambda s, x: s.n(x),
        lambda: {"n": nn.InstanceNorm2d(WIDTH, affine=True)},
        frozen="no BatchNorm before convolution in after.0",
    ),
    "layer_of_channels": Case(
        lambda s, x: images(s.n(tokens(x)), x),
        lambda: {"n": nn.LayerNorm(WIDTH)},
        frozen="native_layer_norm in place.n",
    ),
    "layer_of_rows": Case(lambda _, x: F.layer_norm(x, x.shape[3:])),
    "layer_of_pixels": Case(lambda s, x: gated(x, s.n(x)), lambda: {"n": nn.LayerNorm([32, 32])}),
    "root_mean_square": Case(lambda _, x: x * (x.pow(2).mean(1, keepdim=True) + 1).rsqrt(), frozen="mean in place"),
}


def split_heads(x: Tensor, heads: int) -> Tensor:
    """(b, heads * d, h, w) to (b, heads, n, d)."""
    return x.view(len(x), heads, -1, x.shape[2] * x.shape[3]).transpose(-2, -1)


def attend(s: Any, x: Tensor, **options: Any) -> Tensor:
    x = F.max_pool2d(x, 4)
    q, k, v = (split_heads(f(x), 2) for f in (s.q, s.k, s.v))
    y = F.scaled_dot_product_attention(q, k, v, **options)
    return y.transpose(-2, -1).reshape(len(x), -1, *x.shape[2:])


def heads() -> dict[str, Any]:
    return {name: block(WIDTH, WIDTH)[:2] for name in "qkv"}


ATTENTION = {
    "scaled_by_a_number": Case(lambda s, x: attend(s, x, scale=0.4), heads),
    "scaled_by_its_width": Case(attend, heads),
    "gram": Case(
        lambda _, x: (x.flatten(2).transpose(1, 2) @ x.flatten(2)).softmax(-1).mean(2).view(len(x), 1, *x.shape[2:]) * x
    ),
    "gram_of_channels": Case(
        lambda _, x: ((y := x.flatten(2)) @ y.transpose(1, 2)).softmax(-1).matmul(y).view_as(x),
        frozen="bmm in place",
    ),
    "products_of_matrices": Case(
        lambda s, x: x * torch.mm(s.c(x)[0].flatten(1).t(), x[0].flatten(1)).mean().sigmoid(),
        lambda: {"c": block(WIDTH, WIDTH)},
    ),
}


class Grouped(nn.Module):
    """Groups of channels are folded into the batch, and one small convolution reads each."""

    def __init__(self, kind: Any) -> None:
        super().__init__()
        self.inner, self.groups = kind(WIDTH // 4), 4

    def forward(self, x: Tensor) -> Tensor:
        b, c, h, w = x.shape
        y = x.reshape(b * self.groups, -1, h, w)
        return (y * self.inner(y).sigmoid()).reshape(b, c, h, w)


FOLDED = {
    "convolved_groups": Case(lambda s, x: s.g(x), lambda: {"g": Grouped(lambda c: nn.Conv2d(c, c, 3, padding=1))}),
    "normed_groups": Case(lambda s, x: s.g(x), lambda: {"g": Grouped(lambda c: nn.GroupNorm(c, c))}),
    "scaled_groups": Case(lambda s, x: s.g(x), lambda: {"g": Grouped(nn.BatchNorm2d)}),
    "half_groups": Case(
        lambda s, x: s.g(x),
        lambda: {"g": Grouped(lambda c: nn.GroupNorm(1, c))},
        frozen="native_group_norm in place.g.inner",
    ),
}
