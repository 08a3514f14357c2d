"""Detectors as users build them: another backbone, another neck, two inputs, a head for training alone."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - its usual name

NARROW, WIDE = 32, 64


def detector(head: list[Any], backbone: list[Any], channels: int = 3) -> Any:
    """Build a detector of three classes, with random weights."""
    from ultralytics.nn.tasks import DetectionModel

    torch.manual_seed(0)
    definition = {"nc": 3, "ch": channels, "channels": channels, "backbone": backbone, "head": head}
    return DetectionModel(definition, ch=channels, nc=3, verbose=False)


def put(model: Any, index: int, module: nn.Module) -> None:
    """Put a module in the place of a layer, with what upstream has attached to that."""
    for name in ("f", "i", "type", "np"):
        setattr(module, name, getattr(model.model[index], name))
    model.model[index] = module


def backbone_of(name: str) -> Any:
    """Build a detector on the last two feature maps of a network of torchvision's, without its weights."""
    from ultralytics.nn.modules import TorchVision

    torch.manual_seed(0)
    found = TorchVision(name, None, True, 2, True).eval()(torch.rand(1, 3, 64, 64))
    maps = [(index, tuple(t.shape)) for index, t in enumerate(found) if index and t.ndim == 4]
    last = {shape[2]: (index, shape) for index, shape in maps}  # of each size
    (a, low), (b, high) = last[8], last[4]
    backbone = [[-1, 1, "TorchVision", [high[1], name, None, True, 2, True]]]
    backbone += [[0, 1, "Index", [shape[1], index]] for index, shape in ((a, low), (b, high))]
    head = [
        *([1, 1, "Conv", [NARROW, 1, 1]], [2, 1, "Conv", [WIDE, 1, 1]], [-1, 1, "nn.Upsample", [None, 2, "nearest"]]),
        *([[-1, 3], 1, "Concat", [1]], [-1, 1, "C2f", [NARROW]], [-1, 1, "Conv", [NARROW, 3, 2]]),
        *([[-1, 4], 1, "Concat", [1]], [-1, 1, "C2f", [WIDE]], [[7, 10], 1, "Detect", [3]]),
    ]
    return detector(head, backbone)


STAGES = [
    *([-1, 1, "Conv", [16, 3, 2]], [-1, 1, "Conv", [NARROW, 3, 2]], [-1, 1, "C2f", [NARROW, True]]),
    *([-1, 1, "Conv", [WIDE, 3, 2]], [-1, 1, "C2f", [WIDE, True]]),
]  # layers 0 to 4: maps of stride 4, number 2, and 8, number 4


def plain(width: int = WIDE) -> Any:
    """A detector of one level, with an identity at number 5 to put something in the place of."""
    return detector([[-1, 1, "nn.Identity", []], [-1, 1, "Conv", [width, 3, 2]], [[5, 6], 1, "Detect", [3]]], STAGES)


def block(kind: type[nn.Module]) -> Any:
    """A detector with a block of 64 channels."""
    model = plain()
    put(model, 5, kind(WIDE))  # type: ignore[call-arg]
    return model


class ConvNeXt(nn.Module):
    """Depthwise, then LayerNorm over channels, which keeps them."""

    def __init__(self, c: int) -> None:
        super().__init__()
        self.dw, self.norm = nn.Conv2d(c, c, 7, padding=3, groups=c), nn.LayerNorm(c)
        self.up, self.down, self.scale = nn.Linear(c, 4 * c), nn.Linear(4 * c, c), nn.Parameter(torch.ones(c))

    def forward(self, x: Tensor) -> Tensor:
        y = self.down(F.gelu(self.up(self.norm(self.dw(x).permute(0, 2, 3, 1)))))
        return x + (self.scale * y).permute(0, 3, 1, 2)


class ConvNeXtBN(nn.Module):
    def __init__(self, c: int) -> None:
        super().__init__()
        self.dw = nn.Sequential(nn.Conv2d(c, c, 7, padding=3, groups=c, bias=False), nn.BatchNorm2d(c))
        self.up = nn.Sequential(nn.Conv2d(c, 4 * c, 1, bias=False), nn.BatchNorm2d(4 * c), nn.GELU())
        self.down = nn.Sequential(nn.Conv2d(4 * c, c, 1, bias=False), nn.BatchNorm2d(c))
        self.scale = nn.Parameter(torch.full((c, 1, 1), 0.5))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.scale * self.down(self.up(self.dw(x)))


class RepBlock(nn.Module):
    """Three branches, one of them only a BatchNorm, as RepVGG trains."""

    def __init__(self, c: int) -> None:
        super().__init__()
        self.three = nn.Sequential(nn.Conv2d(c, c, 3, padding=1, bias=False), nn.BatchNorm2d(c))
        self.one = nn.Sequential(nn.Conv2d(c, c, 1, bias=False), nn.BatchNorm2d(c))
        self.identity = nn.BatchNorm2d(c)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.three(x) + self.one(x) + self.identity(x))


class WindowAttention(nn.Module):
    """Swin's: windows, heads in a Linear, shifted; LayerNorm keeps its channels."""

    def __init__(self, c: int, window: int = 4, heads: int = 4) -> None:
        super().__init__()
        self.window, self.heads, self.scale = window, heads, (c // heads) ** -0.5
        self.norm, self.qkv, self.proj = nn.LayerNorm(c), nn.Linear(c, 3 * c), nn.Linear(c, c)

    def forward(self, x: Tensor) -> Tensor:
        b, c, h, w = x.shape
        n = self.window
        y = torch.roll(self.norm(x.permute(0, 2, 3, 1)), (-n // 2, -n // 2), (1, 2))
        y = y.view(b, h // n, n, w // n, n, c).permute(0, 1, 3, 2, 4, 5).reshape(-1, n * n, c)
        q, k, v = self.qkv(y).reshape(-1, n * n, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4)
        y = ((q * self.scale @ k.transpose(-2, -1)).softmax(-1) @ v).transpose(1, 2).reshape(-1, n * n, c)
        y = self.proj(y).view(b, h // n, w // n, n, n, c).permute(0, 1, 3, 2, 4, 5).reshape(b, h, w, c)
        return x + torch.roll(y, (n // 2, n // 2), (1, 2)).permute(0, 3, 1, 2)


class Swin(nn.Module):
    """torchvision's own block of Swin, its channels last."""

    def __init__(self, c: int) -> None:
        from torchvision.models.swin_transformer import SwinTransformerBlock

        super().__init__()
        self.inner = SwinTransformerBlock(c, 4, [4, 4], [2, 2])

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class Fusion(nn.Module):
    """BiFPN's: maps of one size added by weights that are learned, positive, and add up to one."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.rand(count) + 0.1)

    def forward(self, maps: list[Tensor]) -> Tensor:
        w = F.relu(self.w)
        w = w / (w.sum() + 1e-4)
        return sum(w[i] * x for i, x in enumerate(maps))  # type: ignore[return-value]


class StackedFusion(Fusion):
    def forward(self, maps: list[Tensor]) -> Tensor:
        return (torch.stack(maps, -1) * self.w.softmax(0)).sum(-1)


class ScaledConcat(Fusion):
    """BiFPN_Concat: the parts of a cat, each by a weight of its own."""

    def forward(self, maps: list[Tensor]) -> Tensor:
        w = self.w / (self.w.sum() + 1e-4)
        return torch.cat([w[0] * maps[0], w[1] * maps[1]], 1)


def fused(kind: type[nn.Module], maps: int = 3) -> Any:
    """A detector whose neck joins maps of one size by what a Fusion does."""
    head = [
        *([-1, 1, "Conv", [WIDE, 3, 2]], [-1, 1, "nn.Upsample", [None, 2, "nearest"]], [2, 1, "Conv", [WIDE, 3, 2]]),
        *([[4, 6, 7][:maps], 1, "Concat", [1]], [-1, 1, "Conv", [WIDE, 3, 1]], [[9, 5], 1, "Detect", [3]]),
    ]
    model = detector(head, STAGES)
    put(model, 8, kind(maps))  # type: ignore[call-arg]
    if maps == 3:  # they are added, and not joined
        model.model[9].conv = nn.Conv2d(WIDE, WIDE, 3, padding=1, bias=False)
    return model


class ASFF(nn.Module):
    """Adaptively spatial feature fusion: a weight for every pixel and map, by a softmax over the maps."""

    def __init__(self, count: int, small: int = 8) -> None:
        super().__init__()
        self.weigh = nn.ModuleList(
            nn.Sequential(nn.Conv2d(WIDE, small, 1, bias=False), nn.BatchNorm2d(small), nn.SiLU()) for _ in range(count)
        )
        self.weights = nn.Conv2d(count * small, count, 1)

    def forward(self, maps: list[Tensor]) -> Tensor:
        w = self.weights(torch.cat([f(x) for f, x in zip(self.weigh, maps)], 1)).softmax(1)
        return maps[0] * w[:, 0:1] + maps[1] * w[:, 1:2] + maps[2] * w[:, 2:]


class Half(nn.Module):
    """One of the two images that lie one behind the other, as those of a camera for light and one for heat."""

    def __init__(self, first: int) -> None:
        super().__init__()
        self.first = first

    def forward(self, x: Tensor) -> Tensor:
        return x[:, self.first : self.first + 3]


def two_inputs() -> Any:
    """Six channels of image, two stems, their maps added and joined."""
    backbone = [
        *([-1, 1, "nn.Identity", []], [-1, 1, "nn.Identity", []], [0, 1, "nn.Identity", []]),
        *([1, 1, "Conv", [16, 3, 2]], [2, 1, "Conv", [16, 3, 2]], [[3, 4], 1, "Concat", [1]]),
        *([-1, 1, "Conv", [NARROW, 3, 2]], [-1, 1, "C2f", [NARROW, True]], [-1, 1, "Conv", [WIDE, 3, 2]]),
    ]
    head = [[-1, 1, "C2f", [WIDE]], [-1, 1, "Conv", [WIDE, 3, 2]], [[9, 10], 1, "Detect", [3]]]
    model = detector(head, backbone, channels=6)
    first = model.model[3].conv
    for index, start in ((1, 0), (2, 3)):
        put(model, index, Half(start))
        model.model[index + 2].conv = nn.Conv2d(3, first.out_channels, 3, 2, 1, bias=False)
    return model
