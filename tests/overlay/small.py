"""Small networks that each do one thing with channels."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - its usual name


def block(width: int, out: int, kernel: int = 1, **options: Any) -> nn.Sequential:
    """Convolution, BatchNorm, SiLU."""
    convolution = nn.Conv2d(width, out, kernel, padding=kernel // 2, bias=False, **options)
    return nn.Sequential(convolution, nn.BatchNorm2d(out), nn.SiLU(inplace=True))


class Net(nn.Module):
    """A stem of 16 channels, what a subclass does with them, and an output convolution with a bias."""

    middle = 16

    def __init__(self) -> None:
        super().__init__()
        self.stem = block(3, 16, 3)
        self.build()
        self.head = nn.Conv2d(self.middle, 5, 3, padding=1)

    def build(self) -> None: ...

    def body(self, x: Tensor) -> Tensor:
        return x

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(self.stem(x)))


class Residual(Net):
    def build(self) -> None:
        self.first, self.second = block(16, 12, 3), block(12, 16, 3)

    def body(self, x: Tensor) -> Tensor:
        return x + self.second(self.first(x))


class Depthwise(Net):
    middle = 12

    def build(self) -> None:
        self.depth, self.point = block(16, 16, 3, groups=16), block(16, 12)

    def body(self, x: Tensor) -> Tensor:
        return self.point(self.depth(x))


class Grouped(Net):
    def build(self) -> None:
        self.group = block(16, 16, 3, groups=4)

    def body(self, x: Tensor) -> Tensor:
        return self.group(x)


class Chunk(Net):
    middle = 24

    def build(self) -> None:
        self.inner = block(8, 8, 3)

    def body(self, x: Tensor) -> Tensor:
        a, b = x.chunk(2, 1)
        return torch.cat([a, b, b + self.inner(b)], 1)


class SplitByAttribute(Chunk):
    def build(self) -> None:
        super().build()
        self.half = 8

    def body(self, x: Tensor) -> Tensor:
        a, b = x.split((self.half, self.half), 1)
        return torch.cat([a, b, self.inner(b)], 1)


class SliceByAttribute(SplitByAttribute):
    def body(self, x: Tensor) -> Tensor:
        a, b = x[:, : self.half], x[:, self.half :]
        return torch.cat([a, b, self.inner(b)], 1)


class SplitByNumber(Chunk):
    def body(self, x: Tensor) -> Tensor:
        a, b = x.split((8, 8), 1)
        return torch.cat([a, b, self.inner(b)], 1)


class ChunkOfTwoLayers(Net):
    """The halves of a tensor that two layers of other sizes made: counting is not enough."""

    middle = 14

    def build(self) -> None:
        self.one, self.other = block(16, 8), block(16, 20)

    def body(self, x: Tensor) -> Tensor:
        a, b = torch.cat([self.one(x), self.other(x)], 1).chunk(2, 1)
        return a * b


class ChunkWithImage(Net):
    """One half has three channels of the image in it."""

    middle = 8

    def build(self) -> None:
        self.other = block(16, 13)

    def forward(self, x: Tensor) -> Tensor:
        a, b = torch.cat([x, self.other(self.stem(x))], 1).chunk(2, 1)
        return self.head(a + b)


class Gate(Net):
    """Squeeze and excitation: a sigmoid is never zero, but its product with a silent channel is."""

    def build(self) -> None:
        self.squeeze, self.excite = nn.Conv2d(16, 4, 1), nn.Conv2d(4, 16, 1)

    def body(self, x: Tensor) -> Tensor:
        return x * self.excite(F.relu(self.squeeze(x.mean((2, 3), keepdim=True)))).sigmoid()


class SigmoidOnly(Net):
    def body(self, x: Tensor) -> Tensor:
        return x.sigmoid()


class LayerScale(Net):
    def build(self) -> None:
        self.scale = nn.Parameter(torch.ones(16, 1, 1))

    def body(self, x: Tensor) -> Tensor:
        return x * self.scale


class Sorted(Net):
    def body(self, x: Tensor) -> Tensor:
        return x.sort(1).values


class SortedThenAdded(Residual):
    def body(self, x: Tensor) -> Tensor:
        y = self.second(self.first(x))
        middle = y.sort(1).values[:, 8:9]
        return (x + y) * middle


class FixedView(Net):
    """A `view` whose width is written down: labels pass, but the code does not run at another one."""

    def build(self) -> None:
        self.inside = FixedViewBlock()

    def body(self, x: Tensor) -> Tensor:
        return self.inside(x)


class FixedViewBlock(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * x.mean((2, 3)).view(-1, 16, 1, 1)


class Attention(Net):
    """Two heads whose output takes the shape of the input."""

    def build(self) -> None:
        self.attend = AttentionBlock()

    def body(self, x: Tensor) -> Tensor:
        return x + self.attend(x)


class AttentionBlock(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.qkv = nn.Sequential(nn.Conv2d(16, 48, 1, bias=False), nn.BatchNorm2d(48))
        self.proj = nn.Sequential(nn.Conv2d(16, 16, 1, bias=False), nn.BatchNorm2d(16))

    def forward(self, x: Tensor) -> Tensor:
        b, c, h, w = x.shape
        q, k, v = self.qkv(x).view(b, 2, 24, h * w).split([8, 8, 8], dim=2)
        mixed = v @ (q.transpose(-2, -1) @ k).softmax(-1)
        return self.proj(mixed.view(b, c, h, w))


class Twice(Net):
    """One convolution reads two tensors."""

    def build(self) -> None:
        self.left, self.right, self.shared = block(16, 16), block(16, 16), block(16, 16, 3)

    def body(self, x: Tensor) -> Tensor:
        return self.shared(self.left(x)) + self.shared(self.right(x))


class Upsampled(Net):
    """Pooling, resizing and a transposed convolution."""

    def build(self) -> None:
        self.up, self.norm = nn.ConvTranspose2d(16, 16, 2, 2, groups=2, bias=False), nn.BatchNorm2d(16)

    def body(self, x: Tensor) -> Tensor:
        small = F.max_pool2d(x, 2)
        return self.norm(self.up(small)) + F.interpolate(small, scale_factor=2, mode="bilinear")


class NormAfterCat(Net):
    """A BatchNorm over two bare convolutions, as in YOLOv5's CSP blocks."""

    def build(self) -> None:
        self.one, self.two, self.norm = nn.Conv2d(16, 12, 1), nn.Conv2d(16, 4, 1), nn.BatchNorm2d(16)

    def body(self, x: Tensor) -> Tensor:
        return F.leaky_relu(self.norm(torch.cat([self.one(x), self.two(x)], 1)), 0.1)


class Classifier(Net):
    """Flattened pixels into a Linear: each channel is four features."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(64, 10))


class Auxiliary(Net):
    """A branch that only training takes."""

    def build(self) -> None:
        self.side = block(16, 8)

    def forward(self, x: Tensor) -> Any:
        x = self.stem(x)
        return (self.head(x), self.side(x)) if self.training else self.head(x)


PRUNABLE = [
    *(Residual, Depthwise, Grouped, Chunk, SplitByAttribute, SliceByAttribute, SplitByNumber, ChunkOfTwoLayers),
    *(ChunkWithImage, Gate, LayerScale, Twice, Upsampled, NormAfterCat, Classifier, Auxiliary),
]
