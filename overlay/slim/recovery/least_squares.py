"""The weights of one convolution with which it says, of what now reaches it, what it said of all that reached it.

Ridge regression towards the weights it has. Rows are places of the output, each a patch of the input.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - its usual name

RIDGE = 1e-3  # of the mean variance of the inputs
ROWS = 16  # for each unknown of an output
FEWEST = 16384  # rows


@dataclass
class Rows:
    """Patches that enter a convolution, and what is wanted of them.

    Attributes:
        patches: (n, in · kh · kw), a batch each.
        wanted: (n, out).
    """

    patches: list[Tensor] = field(default_factory=list)
    wanted: list[Tensor] = field(default_factory=list)

    def __len__(self) -> int:
        """Return how many batches there are."""
        return len(self.patches)

    def add(self, layer: nn.Conv2d, entering: Tensor, leaving: Tensor, count: int, chance: torch.Generator) -> None:
        """Take in as many places of a batch as are asked for, chosen at random.

        Args:
            layer: The convolution.
            entering: What reaches it, (b, in, h, w).
            leaving: What it is to say, (b, out, h', w').
            count: Places at most.
            chance: Chooses.
        """
        images, _, high, wide = leaving.shape
        places = torch.randperm(images * high * wide, generator=chance)[:count]
        image, rest = places // (high * wide), places % (high * wide)
        self.patches.append(patches(layer, entering, image, rest // wide, rest % wide))
        self.wanted.append(leaving[image, :, rest // wide, rest % wide])


def patches(layer: nn.Conv2d, entering: Tensor, image: Tensor, row: Tensor, column: Tensor) -> Tensor:
    """Return what a convolution multiplies at some places of its output, (n, in · kh · kw)."""
    high, wide = (int(size) for size in layer.padding)
    padded = F.pad(entering, (wide, wide, high, high))
    rows, columns = (
        place[:, None] * stride + torch.arange(size) * dilation
        for place, stride, size, dilation in zip((row, column), layer.stride, layer.kernel_size, layer.dilation)
    )
    taken = padded[image[:, None, None], :, rows[:, :, None], columns[:, None, :]]  # (n, kh, kw, in)
    return taken.permute(0, 3, 1, 2).flatten(1)


def solve(rows: Rows, weight: Tensor, *, centred: bool) -> tuple[Tensor, Tensor]:
    """Return the weights, in the shape of those that there are, and what is to be added to each output, (out,).

    Args:
        rows: What to fit.
        weight: What to stay close to, (out, in, kh, kw).
        centred: Whether anything can be added to the outputs.
    """
    x, y = (torch.cat(side).double() for side in (rows.patches, rows.wanted))
    x_mean, y_mean = (side.mean(0) if centred else torch.zeros(side.shape[1]).double() for side in (x, y))
    x, y = x - x_mean, y - y_mean
    square, own = x.T @ x, weight.detach().flatten(1).double().T
    square.diagonal().add_(RIDGE * float(square.diagonal().mean()) + torch.finfo(torch.float32).tiny)
    fitted = own + torch.linalg.solve(square, x.T @ (y - x @ own))
    return fitted.T.reshape(weight.shape).to(weight), (y_mean - x_mean @ fitted).to(weight)


def error(rows: Rows, weight: Tensor, added: Tensor) -> float:
    """Return the squared difference from what is wanted, as a share of its variance."""
    x, y = (torch.cat(side).double() for side in (rows.patches, rows.wanted))
    missed = x @ weight.detach().flatten(1).double().T + added.double() - y
    return float(missed.square().sum() / (y - y.mean(0)).square().sum().clamp_min(1e-30))


def rows_for(layer: nn.Conv2d, batches: int) -> int:
    """Return how many places of each batch a layer is fitted on."""
    height, width = layer.kernel_size
    return max(FEWEST, ROWS * layer.in_channels * height * width) // batches + 1
