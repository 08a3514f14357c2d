"""The weights of one convolution with which it says, of what now reaches it, what it said of all that reached it.

Weighted ridge regression towards the weights it has. Rows are places of the output, each with a patch of the input.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - its usual name

RIDGE = 1e-2  # of the mean variance of the inputs; a tenth of it gives as much accuracy, ten times less
ROWS = 16  # for each unknown of an output
FEWEST = 16384  # rows


@dataclass(frozen=True)
class Rows:
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
    high, wide = (int(size) for size in layer.padding)
    padded = F.pad(entering, (wide, wide, high, high))
    rows, columns = (
        place[:, None] * stride + torch.arange(size, device=place.device) * dilation
        for place, stride, size, dilation in zip(places.T[1:], layer.stride, layer.kernel_size, layer.dilation)
    )
    taken = padded[places[:, 0, None, None], :, rows[:, :, None], columns[:, None, :]]  # (n, kh, kw, in)
    return taken.permute(0, 3, 1, 2).flatten(1)


def solve(x: Tensor, rows: Rows, weight: Tensor, *, centred: bool) -> tuple[Tensor, Tensor]:
    """Return the weights, in the shape of those that there are, and what is to be added to each output, (out,).

    Args:
        x: The patches, (n, in · kh · kw).
        rows: What is wanted of them.
        weight: What to stay close to, (out, in, kh, kw).
        centred: Whether anything can be added to the outputs.
    """
    counts = (rows.weights / rows.weights.sum()).double()[:, None]
    x, y = x.double(), rows.wanted.double()
    x_mean, y_mean = ((side * counts).sum(0) * float(centred) for side in (x, y))
    x, y = (x - x_mean) * counts.sqrt(), (y - y_mean) * counts.sqrt()
    square, own = x.T @ x, weight.detach().flatten(1).double().T
    square.diagonal().add_(RIDGE * float(square.diagonal().mean()) + torch.finfo(torch.float32).tiny)
    fitted = own + torch.linalg.solve(square, x.T @ (y - x @ own))
    return fitted.T.reshape(weight.shape).to(weight), (y_mean - x_mean @ fitted).to(weight)


def error(x: Tensor, rows: Rows, weight: Tensor, added: Tensor) -> float:
    """Return the weighted squared difference from what is wanted, as a share of its variance."""
    counts, y = rows.weights.double()[:, None], rows.wanted.double()
    missed = x.double() @ weight.detach().flatten(1).double().T + added.double() - y
    spread = (counts * (y - (counts * y).sum(0) / counts.sum()).square()).sum()
    return float((counts * missed.square()).sum() / spread.clamp_min(1e-30))
