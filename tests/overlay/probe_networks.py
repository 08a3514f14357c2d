"""Modules whose code counts on a width, or on all channels, in ways that labels cannot tell."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - its usual name

from .small import block

if TYPE_CHECKING:
    from collections.abc import Callable

WIDTH, HEADS = 16, 2


class Piece(nn.Module):
    """Something between two blocks; it may have layers of its own."""

    act = True

    def __init__(self) -> None:
        super().__init__()
        self.build()

    def build(self) -> None: ...

    def forward(self, x: Tensor) -> Tensor:
        return x


class Net(nn.Module):
    """A stem, a block, the piece, and a block that reads what the piece says."""

    def __init__(self, piece: Callable[[], Piece]) -> None:
        super().__init__()
        self.stem, self.piece = block(3, WIDTH, 3), piece()
        before = block(WIDTH, WIDTH, 3)
        self.before = before if self.piece.act else before[:2]
        self.after, self.head = block(WIDTH, 12), nn.Conv2d(12, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.after(self.piece(self.before(F.max_pool2d(self.stem(x), 4)))))


# Numbers that are computed from a width, and that a layer makes up for.


class OverWidth(Piece):
    def forward(self, x: Tensor) -> Tensor:
        return x / x.size(1)


class RootOfWidth(Piece):
    def forward(self, x: Tensor) -> Tensor:
        return x.mul(x.shape[1] ** -0.5)


class TensorOfWidth(Piece):
    """The number is in a tensor without dimensions."""

    def forward(self, x: Tensor) -> Tensor:
        return x / torch.sqrt(torch.tensor(float(x.shape[1])))


class OwnOutputs(Piece):
    """The number is the width of a layer of its own, which is not what is divided."""

    def build(self) -> None:
        self.other = block(WIDTH, 8)
        self.mix = block(8, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        gate = self.mix(self.other(x)).mean((2, 3), keepdim=True)
        return x * gate.sigmoid() / self.other[0].weight.shape[0]


class MeanOfAll(Piece):
    """A detour through NumPy: the mean over all channels, which has fewer to divide by."""

    def forward(self, x: Tensor) -> Tensor:
        return x * float(x.detach().numpy().mean())


class LinearBranch(Piece):
    """The factor is on a branch that ends in a BatchNorm, and what is added to it has none."""

    def build(self) -> None:
        self.branch = block(WIDTH, WIDTH)[:2]

    def forward(self, x: Tensor) -> Tensor:
        return x + self.branch(x) * x.shape[1] ** -0.5


class ReluBranch(LinearBranch):
    """A ReLU between the BatchNorm and the factor, which lets it pass."""

    def forward(self, x: Tensor) -> Tensor:
        return x + F.relu(self.branch(x)) / math.sqrt(x.shape[1])


class Attention(Piece):
    """Two heads whose scale is computed on the spot; a subclass says how."""

    def build(self) -> None:
        self.q, self.k, self.v = (block(WIDTH, WIDTH)[:2] for _ in range(3))

    def heads(self, x: Tensor) -> Tensor:
        return x.view(len(x), HEADS, -1, x.shape[2] * x.shape[3])

    def weights(self, q: Tensor, k: Tensor) -> Tensor:
        return (q.transpose(-2, -1) @ k / math.sqrt(q.size(-2))).softmax(-1)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (self.heads(layer(x)) for layer in (self.q, self.k, self.v))
        return (v @ self.weights(q, k).transpose(-2, -1)).reshape(len(x), -1, *x.shape[2:])


class EinsumAttention(Attention):
    def weights(self, q: Tensor, k: Tensor) -> Tensor:
        return (torch.einsum("bhdn,bhdm->bhnm", q, k) * q.shape[2] ** -0.5).softmax(-1)


class EachScaled(Attention):
    """Both factors are scaled, by the fourth root each."""

    def weights(self, q: Tensor, k: Tensor) -> Tensor:
        scale = q.shape[2] ** -0.25
        return ((q * scale).transpose(-2, -1) @ (k * scale)).softmax(-1)


class WidthOfTheInput(Attention):
    """The scale is that of all heads together, as the input is wide."""

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (self.heads(layer(x)) for layer in (self.q, self.k, self.v))
        weights = (q.transpose(-2, -1) @ k / x.shape[1] ** 0.5).softmax(-1)
        return x + (v @ weights.transpose(-2, -1)).reshape(x.shape)


class DotProducts(Attention):
    """No softmax: the scale is linear to the end."""

    def weights(self, q: Tensor, k: Tensor) -> Tensor:
        return q.transpose(-2, -1) @ k / q.shape[2]


MADE_UP = [
    *(OverWidth, RootOfWidth, TensorOfWidth, OwnOutputs, MeanOfAll, LinearBranch, ReluBranch, Attention),
    *(EinsumAttention, EachScaled, WidthOfTheInput, DotProducts),
]


# Numbers that nobody can make up for: the width that decides them stays.


class SigmoidOfScaled(Piece):
    def forward(self, x: Tensor) -> Tensor:
        return x * (x / x.shape[1]).sigmoid()


class Gram(Piece):
    """What is divided is quadratic in the channels, and they are read elsewhere as well."""

    def forward(self, x: Tensor) -> Tensor:
        flat = x.flatten(2)
        alike = torch.bmm(flat.transpose(1, 2), flat) / x.shape[1]
        return x * (1 + alike.mean(2).view(len(x), 1, *x.shape[2:]))


class Temperature(Piece):
    """Added, and so no factor."""

    def forward(self, x: Tensor) -> Tensor:
        return x * (x.mean((2, 3), keepdim=True) + x.shape[1] / 10).sigmoid()


class Logarithm(Piece):
    """A number that is no power of the width."""

    def forward(self, x: Tensor) -> Tensor:
        return x / math.log(x.shape[1])


class Exponent(Piece):
    def forward(self, x: Tensor) -> Tensor:
        return x * (x.abs() + 1).mean((2, 3), keepdim=True) ** (8 / x.shape[1])


NUMBERS = [SigmoidOfScaled, Gram, Temperature, Exponent]


# Code that is another at another width, or that looks at all channels.


class Threshold(Piece):
    def forward(self, x: Tensor) -> Tensor:
        return x if x.shape[1] > WIDTH * 3 // 4 else x * 0.5


class EvenOrOdd(Piece):
    def forward(self, x: Tensor) -> Tensor:
        return x.tanh() if x.shape[1] % 2 == 0 else x


class FirstChannel(Piece):
    """Channel 0 is a mask for all, as whoever wrote it thought."""

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.as_tensor(x.detach().numpy()[:, :1]).tanh()


class Standardised(Piece):
    """A statistic over all channels, through NumPy."""

    def forward(self, x: Tensor) -> Tensor:
        return x / float(x.detach().numpy().std())


class UnitVectors(Piece):
    """The norm over channels plus one."""

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.from_numpy(1 / (1 + (x.detach().numpy() ** 2).mean(1, keepdims=True)))


class Ranked(Piece):
    """Each channel's place among all by its mean."""

    def forward(self, x: Tensor) -> Tensor:
        places = x.detach().numpy().mean((2, 3)).argsort(1).argsort(1)
        return x * torch.from_numpy(places).view(len(x), -1, 1, 1)


class WordsOnly(Piece):
    """A list of numbers, a channel each, that is read by position."""

    def build(self) -> None:
        self.scales = [0.1 * i for i in range(WIDTH)]

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.tensor(self.scales[: x.shape[1]]).view(1, -1, 1, 1)


class Windows(Piece):
    """Three neighbours each, taken one by one."""

    def forward(self, x: Tensor) -> Tensor:
        rows = x.detach().numpy()
        shifted = [rows[:, (i + 1) % x.shape[1]] for i in range(x.shape[1])]
        return x + torch.stack([torch.as_tensor(row) for row in shifted], 1)


class OtherLayers(Piece):
    """Which layer runs depends on the width."""

    def build(self) -> None:
        self.wide, self.narrow = block(WIDTH, WIDTH), block(WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        return self.wide(x) if x.shape[1] == WIDTH else self.narrow(x)


DIFFERENT = [Threshold, EvenOrOdd, FirstChannel, Standardised, UnitVectors, Ranked, WordsOnly, Windows]


class OneWidth(Piece):
    """Another at one width alone, which no drop need hit."""

    width = 7

    def forward(self, x: Tensor) -> Tensor:
        return x if x.shape[1] != self.width else x * 0.5


class BestPlaces(Piece):
    """The best places by a score that is the same everywhere, but for rounding."""

    def build(self) -> None:
        self.score = nn.Conv2d(2 * WIDTH, 1, 1, bias=False)
        with torch.no_grad():
            self.score.weight[:, WIDTH:] = -self.score.weight[:, :WIDTH]

    def scores(self, x: Tensor) -> Tensor:
        return 1 + self.score(torch.cat([x, x], 1)).flatten(1)

    def forward(self, x: Tensor) -> Tensor:
        scores = self.scores(x)
        chosen = torch.zeros_like(scores).scatter(1, scores.topk(9, 1).indices, 1.0)
        return x * chosen.view(len(x), 1, *x.shape[2:])


class WorsePlaces(BestPlaces):
    """By a score that knows which channel comes first."""

    def scores(self, x: Tensor) -> Tensor:
        return torch.from_numpy(x.detach().numpy()[:, 0]).flatten(1)


class FixedHeads(Piece):
    """Attention whose own layers are as wide as the code says, beside an input that must be as wide as they are."""

    def build(self) -> None:
        self.q, self.k, self.v = (block(WIDTH, WIDTH)[:2] for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        b, _, h, w = x.shape
        q, k, v = (
            layer(x).detach().numpy().reshape(b, HEADS, WIDTH // HEADS, h * w) for layer in (self.q, self.k, self.v)
        )
        q, k, v = (torch.from_numpy(part) for part in (q, k, v))
        return x + (v @ (q.transpose(-2, -1) @ k).softmax(-1)).view(b, WIDTH, h, w)


def run_on_two_sizes(model: nn.Module) -> list[Any]:
    """Return what a network says of two images each of two sizes."""
    generator = torch.Generator().manual_seed(2)
    images = [torch.rand(2, 3, 32, side, generator=generator) for side in (32, 48)]
    with torch.no_grad():
        return [model(image) for image in images]
