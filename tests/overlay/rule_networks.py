"""What people do to channels between two convolutions: a place a rule, several of a kind, right and wrong ones."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - its usual name

from .small import block

if TYPE_CHECKING:
    from collections.abc import Callable

WIDTH = 16


class Place(nn.Module):
    """A function of a feature map, with parts of its own."""

    def __init__(self, do: Callable[[Any, Tensor], Tensor], **parts: Any) -> None:
        super().__init__()
        self.do = do
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, x: Tensor) -> Tensor:
        return self.do(self, x)


class Around(nn.Module):
    """Two blocks, a place of some width, a block and an output convolution."""

    def __init__(self, place: nn.Module, leaving: int) -> None:
        super().__init__()
        self.stem, self.before, self.place = block(3, WIDTH, 3), block(WIDTH, WIDTH, 3), place
        self.after, self.head = block(leaving, 12, 3), nn.Conv2d(12, 5, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.after(self.place(self.before(self.stem(x)))))


class Case(NamedTuple):
    """A place: what it does, its parts, how wide it leaves, what freezes the channels before it, and what others.

    One that divides by next to nothing magnifies how float32 rounds a batch, and is compared in float64.
    """

    do: Callable[[Any, Tensor], Tensor]
    parts: Callable[[], dict[str, Any]] = dict
    leaving: int = WIDTH
    frozen: str = ""
    beside: str = ""
    kind: torch.dtype = torch.float32

    def build(self) -> Around:
        return Around(Place(self.do, **self.parts()), self.leaving)


def parameter(*shape: int) -> nn.Parameter:
    return nn.Parameter(torch.randn(shape) * 0.5)


class Buffers(nn.Module):
    """A place with buffers."""

    def __init__(self, **buffers: Tensor) -> None:
        super().__init__()
        for name, buffer in buffers.items():
            self.register_buffer(name, buffer)


def gated(x: Tensor, gate: Tensor) -> Tensor:
    """A gate may say anything where its channel is silent."""
    return x * gate


def tokens(x: Tensor) -> Tensor:
    return x.flatten(2).transpose(1, 2)


def images(y: Tensor, x: Tensor) -> Tensor:
    return y.transpose(1, 2).reshape(x.shape[0], -1, *x.shape[2:])


ACTIVATIONS = {
    **{
        name: Case(lambda _, x, name=name: getattr(F, name)(x))
        for name in ("softsign", "tanhshrink", "hardshrink", "softshrink", "elu", "selu", "celu", "relu6", "hardswish")
    },
    "prelu_one": Case(lambda s, x: s.act(x), lambda: {"act": nn.PReLU()}),
    "prelu_each": Case(lambda s, x: s.act(x), lambda: {"act": nn.PReLU(WIDTH)}),
    "rrelu": Case(lambda _, x: F.rrelu(x)),
    "threshold": Case(lambda _, x: F.threshold(x, 0.1, 0.0)),
    "threshold_below": Case(lambda _, x: F.threshold(x, -0.1, -0.3)),
    "threshold_to_a_value": Case(
        lambda _, x: F.threshold(x, 0.1, 0.3), frozen="no BatchNorm before convolution in after.0"
    ),
    "hardtanh_above_zero": Case(
        lambda _, x: F.hardtanh(x, 0.5, 2.0), frozen="no BatchNorm before convolution in after.0"
    ),
    "clamp_around_zero": Case(lambda _, x: x.clamp(-0.2, 0.4)),
    "clamp_min_zero": Case(lambda _, x: x.clamp(min=0)),
    "clamp_above": Case(lambda _, x: x.clamp(min=0.1), frozen="no BatchNorm before convolution in after.0"),
    "logsigmoid": Case(lambda _, x: F.logsigmoid(x), frozen="no BatchNorm before convolution in after.0"),
    "logsigmoid_gate": Case(lambda _, x: gated(x, F.logsigmoid(x))),
    "log_of_zero": Case(lambda _, x: x * x.abs().log().clamp(-1, 1), frozen="log in place"),
    "log_above_zero": Case(lambda _, x: x * (x.abs() + 1).log()),
    "rsqrt_of_zero": Case(lambda _, x: x * x.abs().rsqrt().clamp(max=2), frozen="rsqrt in place"),
    "negative_power": Case(lambda _, x: x * (x.abs() ** -0.5).clamp(max=2), frozen="pow in place"),
    "power_of_a_parameter": Case(
        lambda s, x: gated(x, x.clamp(min=1e-3).pow(s.p).mean((2, 3), keepdim=True).pow(1 / s.p)),
        lambda: {"p": nn.Parameter(torch.tensor([3.0]))},
    ),
    "number_to_a_power": Case(lambda _, x: gated(x, 2**-x)),
}

ELEMENTS = {
    "simam": Case(
        lambda _, x: (
            x
            * torch.sigmoid((d := (x - x.mean((2, 3), keepdim=True)) ** 2) / (4 * (d.mean((2, 3), keepdim=True) + 0.1)))
        )
    ),
    "divided_by_a_sum": Case(lambda _, x: x / (1 + x.abs().mean((2, 3), keepdim=True))),
    "divided_by_zero": Case(lambda _, x: (x / x.abs().amax((2, 3), keepdim=True)).nan_to_num(), frozen="div in place"),
    "one_over": Case(lambda _, x: x * (1 / (1 + x.abs()))),
    "lerp": Case(lambda s, x: torch.lerp(x, s.c(x), 0.3), lambda: {"c": block(WIDTH, WIDTH)}),
    "lerp_by_itself": Case(lambda s, x: torch.lerp(x, s.c(x), x.sigmoid()), lambda: {"c": block(WIDTH, WIDTH)}),
    "addcmul": Case(lambda s, x: torch.addcmul(x, s.c(x), x.sigmoid(), value=0.5), lambda: {"c": block(WIDTH, WIDTH)}),
    "addcdiv": Case(lambda s, x: torch.addcdiv(x, s.c(x), x.exp() + 1), lambda: {"c": block(WIDTH, WIDTH)}),
    "addcdiv_by_zero": Case(
        lambda s, x: torch.addcdiv(x, s.c(x), x.abs()).nan_to_num(0, 0, 0),
        lambda: {"c": block(WIDTH, WIDTH)},
        frozen="addcdiv in place",
        kind=torch.float64,
    ),
    "where": Case(lambda _, x: torch.where(x > x.mean((2, 3), keepdim=True), x, torch.zeros_like(x))),
    "where_number": Case(lambda _, x: torch.where(x > 0.2, x, 0.0)),
    "where_other_number": Case(
        lambda _, x: torch.where(x > 0.2, x, 0.5), frozen="no BatchNorm before convolution in after.0"
    ),
    "where_of_two": Case(lambda s, x: torch.where(x >= 0, x, s.c(x)), lambda: {"c": block(WIDTH, WIDTH)}),
    "masked_fill": Case(lambda _, x: x.masked_fill(x < 0.1, 0)),
    "masked_fill_with_a_value": Case(
        lambda _, x: x.masked_fill(x < 0.1, -1), frozen="no BatchNorm before convolution in after.0"
    ),
    "compared": Case(lambda s, x: x * (x > s.c(x)), lambda: {"c": block(WIDTH, WIDTH)}),
    "both": Case(lambda _, x: x * ((x > 0.1) & (x < 0.9) | ~(x != 0.5))),
    "clamped_by_a_tensor": Case(lambda s, x: gated(x, x.clamp(max=s.c(x))), lambda: {"c": block(WIDTH, WIDTH)}),
    "ones_alike": Case(lambda _, x: x * (torch.ones_like(x) + x.sigmoid())),
    "ones_of_a_size": Case(lambda _, x: x * (x.sigmoid() + torch.ones(x.shape[1], 1, 1))),
    "counted_up": Case(
        lambda _, x: x * torch.arange(x.shape[1], dtype=x.dtype).view(-1, 1, 1).add(1).log(), frozen="mul in place"
    ),
    "glu": Case(lambda s, x: F.glu(s.c(x), 1), lambda: {"c": block(WIDTH, 2 * WIDTH)[:2]}),
    "glu_of_the_channels": Case(lambda _, x: F.glu(x, 1), leaving=WIDTH // 2),
    "glu_along_rows": Case(lambda _, x: F.glu(x, 3)),
}

REDUCTIONS = {
    **{
        name: Case(lambda _, x, f=f: gated(x, f(x)))
        for name, f in {
            "var": lambda x: x.var((2, 3), keepdim=True),
            "std": lambda x: x.std((2, 3), keepdim=True),
            "var_mean": lambda x: sum(torch.var_mean(x, (2, 3), keepdim=True)),
            "largest": lambda x: x.amax((2, 3), keepdim=True) - x.amin((2, 3), keepdim=True),
            "largest_of_a_row": lambda x: x.max(2, keepdim=True)[0],
            "product": lambda x: x.sigmoid().prod(2, keepdim=True),
            "logsumexp": lambda x: x.logsumexp((2, 3), keepdim=True),
            "norm": lambda x: torch.norm(x, p=2, dim=(2, 3), keepdim=True),
            "largest_norm": lambda x: torch.linalg.vector_norm(x, math.inf, (2, 3), keepdim=True),
            "place_of_the_largest": lambda x: x.flatten(2).argmax(2)[..., None, None],
            "softmax_of_pixels": lambda x: x.flatten(2).softmax(-1).view_as(x),
            "log_softmax_of_pixels": lambda x: x.flatten(2).log_softmax(-1).view_as(x),
            "sorted_pixels": lambda x: x.sort(3)[0],
            "best_pixels": lambda x: x.flatten(2).topk(3, 2)[0].mean(2)[..., None, None],
            "norm_over_channels": lambda x: x.norm(dim=1, keepdim=True),
            "sum_over_channels": lambda x: x.sum(1, keepdim=True),
            "sum_of_all": lambda x: x.abs().sum(),
        }.items()
    },
    "normalised_pixels": Case(lambda _, x: F.normalize(x, dim=(2, 3))),
    "normalised_channels": Case(lambda _, x: F.normalize(x, dim=1)),
    "accumulated_rows": Case(lambda _, x: x.cumsum(2) / x.shape[2]),
    "rolled_rows": Case(lambda _, x: x.roll((1, -2), (2, 3))),
    "fourier": Case(lambda _, x: torch.fft.irfft2(torch.fft.rfft2(x) * 0.5, s=x.shape[2:])),
    "fourier_filter": Case(
        lambda s, x: torch.fft.irfft2(torch.fft.rfft2(x) * torch.view_as_complex(s.w), s=x.shape[2:]),
        lambda: {"w": parameter(WIDTH, 1, 1, 2)},
    ),
    "mean_over_channels": Case(lambda _, x: gated(x, x.mean(1, keepdim=True)), frozen="mean in place"),
    "largest_channel": Case(lambda _, x: gated(x, x.amax(1, keepdim=True)), frozen="amax in place"),
    "largest_channel_and_place": Case(lambda _, x: gated(x, x.max(1, keepdim=True)[0]), frozen="max in place"),
    "std_of_channels": Case(lambda _, x: gated(x, x.std(1, keepdim=True)), frozen="std in place"),
    "softmax_of_channels": Case(lambda _, x: gated(x, x.softmax(1)), frozen="softmax in place"),
    "accumulated_channels": Case(lambda _, x: x.cumsum(1), frozen="cumsum in place"),
    "rolled_channels": Case(lambda _, x: x.roll(1, 1), frozen="roll in place"),
    "rolled_flat": Case(lambda _, x: x.roll(3), frozen="roll in place"),
    "fourier_of_channels": Case(lambda _, x: torch.fft.fft(x, dim=1).real, frozen="fft_r2c in place"),
    "sorted_channels": Case(lambda _, x: x.sort(1)[0], frozen="sort in place"),
    "mean_of_all": Case(lambda _, x: gated(x, x.mean()), frozen="mean in place"),
    "sum_of_sigmoids": Case(
        lambda _, x: gated(x, x.sigmoid().sum(1, keepdim=True)), frozen="no BatchNorm before sum in place"
    ),
    "global_response": Case(
        lambda _, x: x * (n := x.norm(dim=(2, 3), keepdim=True)) / (n.mean(1, keepdim=True) + 1), frozen="mean in place"
    ),
}


def stack_of(count: int = 2) -> dict[str, Any]:
    return {"many": nn.ModuleList(block(WIDTH, WIDTH, 1) for _ in range(count))}


def selective(s: Any, x: Tensor) -> Tensor:
    """Selective kernels: branches are weighed against each other."""
    all_ = torch.cat([branch(x).unsqueeze(1) for branch in s.many], 1)
    small = s.squeeze(all_.sum(1).mean((2, 3)))
    weights = torch.stack([grow(small) for grow in s.grow], 1).softmax(1)
    return (all_ * weights[..., None, None]).sum(1)


STACKS = {
    "selective_kernels": Case(
        selective,
        lambda: {
            **stack_of(3),
            "squeeze": nn.Linear(WIDTH, 6),
            "grow": nn.ModuleList(nn.Linear(6, WIDTH) for _ in range(3)),
        },
    ),
    "mean_of_a_stack": Case(lambda s, x: torch.stack([f(x) for f in s.many]).mean(0), stack_of),
    "largest_of_a_last_stack": Case(lambda s, x: torch.stack([f(x) for f in s.many], -1).amax(-1), stack_of),
    "softmax_of_a_last_stack": Case(
        lambda s, x: ((y := torch.stack([f(x) for f in s.many], -1)) * y.softmax(-1)).sum(-1), stack_of
    ),
    "fusion_weights": Case(
        lambda s, x: sum(w * f(x) for w, f in zip(s.w.softmax(0), s.many)),
        lambda: {**stack_of(), "w": parameter(2)},
    ),
    "fast_fusion_weights": Case(
        lambda s, x: sum(f(x) * w for w, f in zip(F.relu(s.w) / (F.relu(s.w).sum() + 1e-4), s.many)),
        lambda: {**stack_of(), "w": parameter(2)},
    ),
    "maps_of_fusion": Case(
        lambda s, x: sum(f(x) * w for w, f in zip(s.c(x).softmax(1).split(1, 1), s.many)),
        lambda: {**stack_of(), "c": nn.Conv2d(WIDTH, 2, 1)},
    ),
    "largest_of_all_in_a_stack": Case(
        lambda s, x: gated(x, torch.stack([f(x) for f in s.many], 1).amax(2)[:, :1]), stack_of, beside="amax in place"
    ),
}


def nothing() -> Tensor:
    """What code begins to join to: PyTorch passes over it, whatever its dimensions."""
    return torch.empty(0)


def ones(x: Tensor, count: int) -> Tensor:
    return torch.ones(len(x), count, *x.shape[2:])


def grown(s: Any, x: Tensor) -> Tensor:
    y = nothing()
    for part in (ones(x, 3), x, s.c(x)):
        y = torch.cat((y, part), 1)
    return y


def joined(do: Callable[[Any, Tensor], list[Tensor]], leaving: int) -> Case:
    """A case that joins what a function gives."""
    return Case(lambda s, x: torch.cat(do(s, x), 1), lambda: {"c": block(WIDTH, WIDTH)}, leaving)


JOINS = {
    "nothing_first": joined(lambda s, x: [nothing(), x, s.c(x)], 2 * WIDTH),
    "nothing_before_what_has_no_labels": joined(lambda s, x: [nothing(), x, ones(x, 3), s.c(x)], 2 * WIDTH + 3),
    "nothing_between_what_has_no_labels": joined(lambda _, x: [ones(x, 2), nothing(), ones(x, 3), x], WIDTH + 5),
    "nothing_last": joined(lambda s, x: [x, s.c(x), nothing()], 2 * WIDTH),
    "nothing_but_one": joined(lambda _, x: [x, nothing()], WIDTH),
    "nothing_twice": joined(lambda s, x: [nothing(), nothing(), ones(x, 3), s.c(x)], WIDTH + 3),
    "grown_from_nothing": Case(grown, lambda: {"c": block(WIDTH, WIDTH)}, 2 * WIDTH + 3),
}
