"""Places that convolve with weights and buffers of their own, or with what they compute from such."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - its usual name

from .rule_networks import WIDTH, Buffers, Case, gated, images, parameter, tokens
from .small import block

if TYPE_CHECKING:
    from collections.abc import Callable


def buffered(do: Any, leaving: int = WIDTH, frozen: str = "", **buffers: Tensor) -> Case:
    """A case whose function is given a module with buffers first."""
    return Case(lambda s, x: do(s.held, x), lambda: {"held": Buffers(**buffers)}, leaving, frozen)


BINOMIAL = torch.tensor([1.0, 2.0, 1.0])[:, None] * torch.tensor([1.0, 2.0, 1.0]) / 16
HAAR = torch.tensor([[[1, 1], [1, 1]], [[1, 1], [-1, -1]], [[1, -1], [1, -1]], [[1, -1], [-1, 1]]]) / 2


class Wavelet(nn.Module):
    """Its kernels are repeated for as many channels as it was built for."""

    def __init__(self) -> None:
        super().__init__()
        self.channels = WIDTH
        self.register_buffer("kernels", HAAR.unsqueeze(1).repeat(WIDTH, 1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.kernels, stride=2, groups=self.channels)


class Back(Wavelet):
    def forward(self, x: Tensor) -> Tensor:
        return F.conv_transpose2d(super().forward(x), self.kernels, stride=2, groups=self.channels)


class Written(Wavelet):
    """Its number of groups is written down, so that it can have no other."""

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.kernels[::4].contiguous(), padding=1, groups=16)


KERNELS = {
    "blur": buffered(
        lambda s, x: F.conv2d(x, s.k, padding=1, groups=x.shape[1]), k=BINOMIAL.expand(WIDTH, 1, 3, 3).clone()
    ),
    "blur_of_each_its_own": buffered(
        lambda s, x: F.conv2d(F.pad(x, (1, 1, 1, 1), mode="reflect"), s.k, stride=2, groups=x.shape[1]),
        k=torch.rand(WIDTH, 1, 3, 3),
    ),
    "blur_expanded": buffered(
        lambda s, x: F.conv2d(x, s.k.expand(x.shape[1], 1, 3, 3), padding=1, groups=x.shape[1]), k=BINOMIAL[None, None]
    ),
    "blur_repeated": buffered(
        lambda s, x: F.conv2d(x, s.k.repeat(x.shape[1], 1, 1, 1), padding=1, groups=x.shape[1]), k=BINOMIAL[None, None]
    ),
    "wavelet": Case(lambda s, x: s.w(x), lambda: {"w": Wavelet()}, 4 * WIDTH),
    "wavelet_and_back": Case(lambda s, x: s.w(x), lambda: {"w": Back()}),
    "groups_written_down": Case(lambda s, x: s.w(x), lambda: {"w": Written()}, frozen="convolution in place.w"),
    "kernels_made_for_a_width": Case(
        lambda _, x: F.conv2d(x, torch.arange(x.shape[1] * 9.0).view(-1, 1, 3, 3).cos(), padding=1, groups=x.shape[1]),
        frozen="convolution in place",
    ),
    "parameter": Case(lambda s, x: F.conv2d(x, s.w, padding=1), lambda: {"w": parameter(10, WIDTH, 3, 3)}, 10),
    "parameter_and_norm": Case(
        lambda s, x: s.n(F.conv2d(x, s.w, s.b, padding=1)),
        lambda: {"w": parameter(10, WIDTH, 3, 3), "b": parameter(10), "n": nn.BatchNorm2d(10)},
        10,
    ),
    "parameter_by_channel": Case(
        lambda s, x: F.conv2d(x, s.w, s.b, padding=1, groups=x.shape[1]) * x,
        lambda: {"w": parameter(WIDTH, 1, 3, 3), "b": parameter(WIDTH)},
    ),
    "parameter_transposed": Case(
        lambda s, x: s.n(F.conv_transpose2d(x, s.w, stride=2)),
        lambda: {"w": parameter(WIDTH, 10, 2, 2), "n": nn.BatchNorm2d(10)},
        10,
    ),
    "parameter_in_groups": Case(
        lambda s, x: s.n(F.conv2d(x, s.w, padding=1, groups=4)),
        lambda: {"w": parameter(12, WIDTH // 4, 3, 3), "n": nn.BatchNorm2d(12)},
        12,
    ),
    "matrix": Case(
        lambda s, x: images(F.linear(tokens(x), s.w, s.b), x),
        lambda: {"w": parameter(10, WIDTH), "b": parameter(10)},
        10,
    ),
    "matrix_from_the_right": Case(lambda s, x: images(tokens(x) @ s.w, x), lambda: {"w": parameter(WIDTH, 10)}, 10),
    "sigmoid_before_a_parameter": Case(
        lambda s, x: F.conv2d(x.sigmoid(), s.w, padding=1),
        lambda: {"w": parameter(10, WIDTH, 3, 3)},
        10,
        "no BatchNorm before convolution in place",
    ),
    "image_channel": Case(
        lambda s, x: x * s.one(x.sum(1, keepdim=True)).sigmoid(), lambda: {"one": nn.Conv2d(1, 1, 3, padding=1)}
    ),
    "one_to_many": Case(
        lambda s, x: gated(x, s.one(x.sum(1, keepdim=True))), lambda: {"one": nn.Conv2d(1, WIDTH, 3, padding=1)}
    ),
}


class Standardised(nn.Conv2d):
    def forward(self, x: Tensor) -> Tensor:
        w = self.weight
        w = (w - w.mean((1, 2, 3), keepdim=True)) / (w.std((1, 2, 3), keepdim=True) + 1e-5)
        return F.conv2d(x, w, self.bias, self.stride, self.padding)


class ByOutput(nn.Conv2d):
    """Each of its kernels is divided by its own length, which what is dropped among its inputs would change."""

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, F.normalize(self.weight.flatten(1), dim=1).view_as(self.weight), padding=1)


class Scaled(nn.Conv2d):
    """Its weights are multiplied by a gate for each input, and by a number for all."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.each = parameter(1, args[0], 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.weight * self.each.sigmoid() * 0.5, padding=1)


class Experts(nn.Module):
    """Conditional convolutions: experts are mixed for each image."""

    def __init__(self, leaving: int) -> None:
        super().__init__()
        self.weight, self.route = parameter(3, leaving, WIDTH, 3, 3), nn.Linear(WIDTH, 3)

    def forward(self, x: Tensor) -> Tensor:
        (b, c, h, w), leaving = x.shape, self.weight.shape[1]
        mixed = (self.route(x.mean((2, 3))).sigmoid() @ self.weight.flatten(1)).view(b * leaving, c, 3, 3)
        return F.conv2d(x.reshape(1, b * c, h, w), mixed, padding=1, groups=b).view(b, leaving, h, w)


class Dynamic(Experts):
    """The same by einsum, and with a gate for each output of each expert."""

    def __init__(self, leaving: int) -> None:
        super().__init__(leaving)
        self.gates = parameter(leaving)

    def forward(self, x: Tensor) -> Tensor:
        share = self.route(x.mean((2, 3))).softmax(1)
        mixed = torch.einsum("bn,noihw->boihw", share, self.weight * self.gates.view(-1, 1, 1, 1))
        b, c, h, w = x.shape
        y = F.conv2d(x.reshape(1, -1, h, w), mixed.reshape(-1, c, 3, 3), padding=1, groups=b)
        return y.view(b, -1, h, w)


class Deformed(nn.Module):
    def __init__(self, leaving: int, *, mask: bool) -> None:
        super().__init__()
        self.weight, self.bias = parameter(leaving, WIDTH, 3, 3), parameter(leaving)
        self.off = nn.Conv2d(WIDTH, 27 if mask else 18, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        from torchvision.ops import deform_conv2d

        y = self.off(x)
        mask = y[:, 18:].sigmoid() if y.shape[1] > 18 else None
        return deform_conv2d(x, y[:, :18], self.weight, self.bias, padding=1, mask=mask)


def central_difference(s: Any, x: Tensor) -> Tensor:
    return s.n(s.c(x) - 0.7 * F.conv2d(x, s.c.weight.sum((2, 3), keepdim=True)))


def normed(layer: Any, leaving: int = 10) -> Any:
    return lambda: {"c": layer(), "n": nn.BatchNorm2d(leaving)}


def through(s: Any, x: Tensor) -> Tensor:
    return s.n(s.c(x))


def plain(kind: type[nn.Conv2d] = nn.Conv2d) -> nn.Conv2d:
    return kind(WIDTH, 10, 3, padding=1, bias=False)


class Renewed(nn.Module):
    """Gives a layer a weight anew in each pass, of a Parameter and a gain for each output, as GANs are written."""

    def __init__(self, layer: Any, *, ran: bool = False) -> None:
        super().__init__()
        self.layer, weight = layer, layer.weight
        self.gain = parameter(len(weight), *[1] * (weight.ndim - 1))
        del layer.weight
        layer.weight_bar = weight
        if ran:
            self.layer.weight = weight.detach() * 1

    def forward(self, x: Tensor) -> Tensor:
        self.layer.weight = self.layer.weight_bar * self.gain
        return self.layer(x)


def renewed_tokens(s: Any, x: Tensor) -> Tensor:
    return s.n(images(s.c(tokens(x)), x))


COMPUTED = {
    "renewed": Case(through, normed(lambda: Renewed(nn.Conv2d(WIDTH, 10, 3, padding=1))), 10),
    "renewed_after_a_pass": Case(through, normed(lambda: Renewed(plain(), ran=True)), 10),
    "renewed_linear": Case(renewed_tokens, normed(lambda: Renewed(nn.Linear(WIDTH, 10))), 10),
    "renewed_by_channel": Case(
        through,
        normed(lambda: Renewed(nn.Conv2d(WIDTH, WIDTH, 3, padding=1, groups=WIDTH)), WIDTH),
        frozen="convolution in place.c.layer",
    ),
    "standardised": Case(through, normed(lambda: plain(Standardised)), 10, "mean in place.c"),
    "by_output": Case(
        through, normed(lambda: plain(ByOutput)), 10, "no BatchNorm before linalg_vector_norm in place.c"
    ),
    "scaled": Case(through, normed(lambda: plain(Scaled)), 10),
    "central_difference": Case(central_difference, normed(plain), 10),
    "experts": Case(through, normed(lambda: Experts(10)), 10),
    "experts_by_einsum": Case(through, normed(lambda: Dynamic(10)), 10),
    "deformed": Case(through, normed(lambda: Deformed(10, mask=False)), 10),
    "deformed_and_masked": Case(through, normed(lambda: Deformed(10, mask=True)), 10),
    "deformed_without_norm": Case(lambda s, x: s.c(x), lambda: {"c": Deformed(10, mask=False)}, 10),
    "weight_of_another": Case(lambda s, x: s.n(F.conv2d(x, s.c.weight.flip(3), padding=1) + s.c(x)), normed(plain), 10),
    "weight_over_experts_and_inputs": Case(
        lambda s, x: s.n(F.conv2d(x, s.w / s.w.abs().amax((1, 2, 3), keepdim=True), padding=1)),
        lambda: {"w": parameter(10, WIDTH, 3, 3), "n": nn.BatchNorm2d(10)},
        10,
        "amax in place",
    ),
    "softmax_of_a_weight": Case(
        lambda s, x: s.n(F.conv2d(x, s.w.softmax(1), padding=1)),
        lambda: {"w": parameter(10, WIDTH, 3, 3), "n": nn.BatchNorm2d(10)},
        10,
        "convolution in place",
    ),
    "weight_in_python": Case(
        lambda s, x: s.n(F.conv2d(x, s.w * float(s.w.std()), padding=1)),
        lambda: {"w": parameter(10, WIDTH, 1, 1), "n": nn.BatchNorm2d(10)},
        10,
        "std in place",
    ),
}


def read_twice(weigh: Callable[[Tensor, Tensor], Tensor], gate: Callable[[Any, Tensor], Tensor]) -> Case:
    """A weight computed from a gate that one operator reads twice, and which the result is then multiplied by."""

    def do(s: Any, x: Tensor) -> Tensor:
        g = gate(s, x)
        return s.n(F.conv2d(x, weigh(s.w, g)) * g.view(1, -1, 1, 1))

    parts = {"w": (WIDTH, WIDTH, 1, 1), "g": (WIDTH, 1, 1, 1)}
    return Case(
        do,
        lambda: {
            **{name: parameter(*shape) for name, shape in parts.items()},
            "c": block(WIDTH, WIDTH),
            "n": nn.BatchNorm2d(WIDTH),
        },
    )


def two_weights(s: Any, x: Tensor) -> Tensor:
    return s.m(F.conv2d(s.n(F.conv2d(x, torch.addcmul(s.w, s.g, s.g))), s.v * s.g))


TWICE = {
    "a_parameter": read_twice(lambda w, g: torch.addcmul(w, g, g), lambda s, _: s.g),
    "a_computed_gate": read_twice(lambda w, g: torch.addcmul(w, g, g), lambda s, _: s.g.sigmoid()),
    "a_gate_of_activations": read_twice(
        lambda w, g: torch.addcmul(w, g, g), lambda s, x: s.c(x).mean((0, 2, 3)).view(-1, 1, 1, 1)
    ),
    "a_gate_and_its_share": read_twice(lambda w, g: torch.lerp(w, g, g), lambda s, _: s.g.sigmoid()),
    "both_bounds": read_twice(lambda w, g: torch.clamp(w, g, g) + w, lambda s, _: s.g.sigmoid()),
    "a_condition": read_twice(lambda w, g: torch.where(g > 0, g * w, w) + torch.addcmul(w, g, g), lambda s, _: s.g * 1),
    "in_place": read_twice(lambda w, g: (w * 1).addcmul_(g, g), lambda s, _: s.g.sigmoid()),
    "two_weights": Case(
        two_weights,
        lambda: {
            "w": parameter(WIDTH, WIDTH, 1, 1),
            "v": parameter(WIDTH, WIDTH, 1, 1),
            "g": parameter(WIDTH, 1, 1, 1),
            "n": nn.BatchNorm2d(WIDTH),
            "m": nn.BatchNorm2d(WIDTH),
        },
    ),
}
