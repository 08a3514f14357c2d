"""The weights of one convolution with which it says, of what now reaches it, what it said of all that reached it.

Weighted ridge regression towards the weights it has. A row is a place of the output, with a patch of the input. Rows
are added up a few thousand at a time: what is kept of them is as large as the square of what an output reads.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - its usual name

RIDGE = 1e-2  # of the mean variance of the inputs; a tenth of it gives as much accuracy, ten times less
ROWS = 4  # for each unknown of an output
FEWEST = 16384  # rows
CHUNK = 4096  # rows at a time
EXACT = 1e-5  # of the mean square of the inputs: what is less is rounding, which must not pass for a variance


class Rows(NamedTuple):
    """What a convolution is to say at some places of its output.

    Attributes:
        places: Image, row and column of each, (n, 3).
        wanted: (n, out).
        weights: How much each counts, (n,).
    """

    places: Tensor
    wanted: Tensor
    weights: Tensor

    def where(self, chosen: Tensor) -> Rows:
        """Return some of them."""
        return Rows(self.places[chosen], self.wanted[chosen], self.weights[chosen])


def rows_for(layer: nn.Conv2d) -> int:
    """Return how many places a layer is fitted on."""
    height, width = layer.kernel_size
    return max(FEWEST, ROWS * layer.in_channels * height * width)


def patches(layer: nn.Conv2d, entering: Tensor, places: Tensor) -> Tensor:
    """Return what a convolution multiplies at some places, (n, in · kh · kw).

    Args:
        layer: A convolution that pads with zeros.
        entering: What reaches it, (b, in, h, w).
        places: Of its output, (n, 3).
    """
    high, wide = map(int, layer.padding)
    padded = F.pad(entering, (wide, wide, high, high))
    rows, columns = _read_along(0, layer, places[:, 1]), _read_along(1, layer, places[:, 2])
    taken = padded[places[:, 0, None, None], :, rows[:, :, None], columns[:, None, :]]  # (n, kh, kw, in)
    return taken.permute(0, 3, 1, 2).flatten(1)


def _read_along(axis: int, layer: nn.Conv2d, places: Tensor) -> Tensor:
    """Return which rows (axis 0) or columns (1) of its padded input each place of the output reads, (n, k)."""
    taps = torch.arange(layer.kernel_size[axis], device=places.device) * layer.dilation[axis]
    return places[:, None] * layer.stride[axis] + taps


@dataclass
class Moments:
    """Weighted sums over rows of patches x, (in · kh · kw), and of what is wanted y, (out), in float64.

    Attributes:
        count: Of the weights.
        x: Of x.
        y: Of y.
        xx: Of x·xᵀ.
        xy: Of x·yᵀ.
        yy: Of y², by output.
    """

    count: float
    x: Tensor
    y: Tensor
    xx: Tensor
    xy: Tensor
    yy: Tensor

    @classmethod
    def of(cls, layer: nn.Conv2d, entering: Tensor, rows: Rows) -> Moments:
        """Add up the rows of a layer.

        Args:
            layer: The convolution.
            entering: What reaches it, (b, in, h, w).
            rows: What it is to say.
        """
        unknowns, outputs = layer.weight[0].numel(), rows.wanted.shape[1]
        shapes = ((unknowns,), (outputs,), (unknowns, unknowns), (unknowns, outputs), (outputs,))
        sums = [torch.zeros(shape, dtype=torch.float64, device=entering.device) for shape in shapes]
        for start in range(0, len(rows.weights), CHUNK):
            few = rows.where(torch.arange(start, min(start + CHUNK, len(rows.weights)), device=rows.weights.device))
            x, y, weights = (
                patches(layer, entering, few.places).double(),
                few.wanted.double(),
                few.weights[:, None].double(),
            )
            heavy = x * weights
            parts = (heavy.sum(0), (y * weights).sum(0), x.T @ heavy, heavy.T @ y, (y.square() * weights).sum(0))
            for total, part in zip(sums, parts):
                total.add_(part)
        return cls(float(rows.weights.sum()), *sums)

    def __add__(self, other: Moments) -> Moments:
        """Add the rows of another."""
        return Moments(
            self.count + other.count,
            self.x + other.x,
            self.y + other.y,
            self.xx + other.xx,
            self.xy + other.xy,
            self.yy + other.yy,
        )

    def solve(self, weight: Tensor, *, centred: bool, most: float = math.inf) -> tuple[Tensor, Tensor]:
        """Return the weights, in the shape of those that there are, and what is to be added to each output, (out,).

        Args:
            weight: What to stay close to, (out, in, kh, kw).
            centred: Whether anything can be added to the outputs.
            most: How large a weight may become; else they stay, and only what is added makes up for what is missing.
        """
        x, y = self.x / self.count * float(centred), self.y / self.count * float(centred)
        square = self.xx / self.count - torch.outer(x, x)
        own = _matrix(weight)
        missing = self.xy / self.count - torch.outer(x, y) - square @ own
        noise = EXACT * float(self.xx.diagonal().mean()) / self.count + torch.finfo(torch.float32).tiny
        square.diagonal().add_(RIDGE * float(square.diagonal().mean()) + noise)
        fitted = own + torch.linalg.solve(square, missing)
        if not float(fitted.abs().max()) <= most:
            fitted = own
        return fitted.T.reshape(weight.shape).to(weight), (y - x @ fitted).to(weight)

    def error(self, weight: Tensor, added: Tensor) -> float:
        """Return the squared difference from what is wanted, as a share of its variance."""
        own, added = _matrix(weight), added.double()
        missed = (own * (self.xx @ own - 2 * self.xy)).sum(0) + 2 * added * (self.x @ own - self.y)
        spread = (self.yy - self.y.square() / self.count).sum().clamp_min(1e-30)
        return float((missed + self.count * added.square() + self.yy).sum() / spread)


def _matrix(weight: Tensor) -> Tensor:
    """Return the weights as (in · kh · kw, out)."""
    return weight.detach().flatten(1).double().T
