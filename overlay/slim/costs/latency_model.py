"""How long each layer takes on this machine, with how many channels: measured in ONNX Runtime, one layer at a time.

A layer is timed as a graph of its own (the convolution, and SiLU where the model has that behind it) at full and at a
quarter of its inputs and outputs. Between those four times lies a + b·in + c·out + d·in·out: what a layer pays to be
called, to read, to write and to multiply. ONNX Runtime computes blocks of channels, so that 33 cost as much as 48; and
a convolution whose channels are no multiple of 4 falls back to code that takes half as long again (its
`nchwc_transformer.cc`; measured in ms: 3x3 on 40x40, 64 channels 0.76, 63 1.10, 60 0.80, 48 0.45, 36 0.45, 33 0.41,
32 0.22, 31 0.37). Whole blocks (`layer_timer.channel_block`) are joined, split and resized as they are; other widths
are reordered before and after. A yolo11n slimmed to a tenth of its FLOPs at 320 px takes 4.8 ms in multiples of 4, and
3.2 in those of 16, with AVX-512 (`tools/bench/README.md`).
"""

from __future__ import annotations

import math
import sys
import time
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

from torch import nn
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from ..groups.blocks import within_any
from ..passes.flops import operations
from ..rules.slicing import is_depthwise, kept_places
from .layer_timer import Block, timed
from .timing_cache import Timings

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..analysis.channels import Channels
    from ..passes.flops import Operation

BLOCK = 16  # floats in an AVX-512 register; where it is 8, this errs little
ALIGNED = 4  # a whole number of these keeps a convolution in blocks
PART = 4  # a layer is timed whole, and at this part of its width
LEAST = 1e-3  # milliseconds that any layer takes
PATIENCE = 2.0  # seconds before progress is shown


@dataclass(frozen=True)
class Layer:
    """The widths of a layer, its block, and how often an image runs it."""

    block: Block
    in_channels: int
    out_channels: int
    calls: int

    def widths(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """Return the (few, many) inputs and the (few, many) outputs that it is timed at."""
        unit = self.block.groups if self.block.groups > 1 else ALIGNED
        few_in, few_out = _part_of(self.in_channels, unit), _part_of(self.out_channels, unit)
        return (few_in, self.in_channels), (few_out, self.out_channels)

    def corners(self) -> list[tuple[int, int]]:
        """Return the widths to time; inputs and outputs of a depthwise convolution are the same."""
        in_channels, out_channels = self.widths()
        if self.block.groups == 0:
            return list(dict.fromkeys(zip(in_channels, out_channels)))
        return list(dict.fromkeys(product(in_channels, out_channels)))

    def in_blocks(self, timings: Timings, in_channels: int, out_channels: int) -> float:
        """Return milliseconds an image at so many inputs and outputs."""
        whole_in = min(_blocks(in_channels), self.in_channels)
        whole_out = min(_blocks(out_channels), self.out_channels)
        return self.time(timings, whole_in, whole_out)

    def time(self, timings: Timings, in_channels: float, out_channels: float) -> float:
        """Return what `in_blocks` does, as if single channels counted."""
        ins, outs = self.widths()

        def at(a: int, b: int) -> float:
            return timings[self.block.key(a, b)]

        def at_inputs(a: int) -> float:
            return _between(outs, out_channels, at(a, outs[0]), at(a, outs[1]))

        if self.block.groups == 0:
            return self.calls * max(0.0, _between(outs, out_channels, at(ins[0], outs[0]), at(ins[1], outs[1])))
        return self.calls * max(0.0, _between(ins, in_channels, at_inputs(ins[0]), at_inputs(ins[1])))


def _part_of(width: int, unit: int) -> int:
    """Return the `PART` of a width in whole units, one at least, or all of what is narrower."""
    return min(width, max(unit, width // PART // unit * unit))


def _between(ends: tuple[int, int], place: float, low: float, high: float) -> float:
    return high if ends[0] == ends[1] else low + (high - low) * (place - ends[0]) / (ends[1] - ends[0])


def _blocks(width: int) -> int:
    return width if width <= BLOCK else -(-width // BLOCK) * BLOCK


@dataclass(frozen=True)
class Latency:
    """The times of a model's layers; what lies between them (resizing, joining, decoding) is not in it."""

    layers: dict[str, Layer]
    timings: Timings

    @classmethod
    def of(cls, model: nn.Module, channels: Channels, imgsz: int) -> Latency:
        """Describe the layers of a model; nothing is timed yet.

        Args:
            model: The bare model that `channels` was made from.
            channels: Its channels.
            imgsz: Side of the image in pixels.
        """
        found: dict[str, list[Operation]] = {}
        for operation in operations(model, imgsz):
            if operation.layer in channels.inputs:
                found.setdefault(operation.layer, []).append(operation)
        silu = any(isinstance(module, nn.SiLU) for module in model.modules())
        layers: dict[str, Layer] = {}
        for name, calls in found.items():
            activated = silu and name in channels.followed_by
            layers[name] = _layer(model.get_submodule(name), calls, activated=activated)
        return cls(layers, Timings.read())

    @property
    def known(self) -> bool:
        """Whether all times are in the table."""
        return not self._missing()

    def measure(self) -> None:
        """Time what is not in the table yet, and keep it.

        Raises:
            ValueError: ONNX or ONNX Runtime is not installed.
        """
        missing = self._missing()
        start, shown, threads = time.monotonic(), False, self.timings.threads
        call = timed(Block((1, 1)), ALIGNED, ALIGNED, threads) if missing else 0.0  # a run costs it, a layer does not
        for number, (block, ins, outs) in enumerate(missing):
            self.timings[block.key(ins, outs)] = max(LEAST, timed(block, ins, outs, threads) - call)
            if time.monotonic() - start > PATIENCE and sys.stderr.isatty():
                shown = True
                sys.stderr.write(f"\rtiming layers: {number + 1} of {len(missing)} ")
                sys.stderr.flush()
        if shown:
            sys.stderr.write("\n")
        if missing:
            self.timings.write()

    def total(self, channels: Channels, lost: Iterable[int], removed: Iterable[str] = ()) -> float:
        """Return the milliseconds of all layers without some groups of channels, and without some blocks."""
        gone, blocks = set(lost), list(removed)
        total = 0.0
        for name, layer in self.layers.items():
            if within_any(name, blocks):
                continue
            in_channels = len(kept_places(channels.inputs[name], gone))
            out_channels = len(kept_places(channels.outputs[name], gone))
            total += layer.in_blocks(self.timings, in_channels, out_channels)
        return total

    def of_groups(self, channels: Channels) -> dict[int, float]:
        """Return what the first channel of each group to go would save, in milliseconds, as far as it was timed."""
        found: dict[int, float] = {}
        for name, layer in self.layers.items():
            full = (layer.in_channels, layer.out_channels)
            now = layer.time(self.timings, *full)
            saved_in = now - layer.time(self.timings, full[0] - 1, full[1])
            saved_out = now - layer.time(self.timings, full[0], full[1] - 1)
            for groups, saved in ((channels.inputs[name], saved_in), (channels.outputs[name], saved_out)):
                for group in groups:
                    found[group] = found.get(group, 0.0) + saved
        return found

    def _missing(self) -> list[tuple[Block, int, int]]:
        missing: dict[str, tuple[Block, int, int]] = {}
        for layer in self.layers.values():
            for ins, outs in layer.corners():
                key = layer.block.key(ins, outs)
                if key not in self.timings:
                    missing[key] = (layer.block, ins, outs)
        return list(missing.values())


def _layer(layer: Any, calls: list[Operation], *, activated: bool) -> Layer:
    first = calls[0]
    if not isinstance(layer, _ConvNd):
        rows = math.prod(first.entering[:-1])
        return Layer(Block((rows, 1)), layer.in_features, layer.out_features, len(calls))
    transposed = isinstance(layer, _ConvTransposeNd)
    depthwise = is_depthwise(layer)
    padding = layer.padding if isinstance(layer.padding, tuple) else (0,) * len(layer.kernel_size)
    block = Block(
        size=first.entering[2:],
        kernel=tuple(layer.kernel_size),
        stride=tuple(layer.stride),
        padding=tuple(padding),
        dilation=tuple(layer.dilation),
        groups=0 if depthwise else layer.groups,
        transposed=transposed,
        activated=activated,
    )
    return Layer(block, layer.in_channels, layer.out_channels, len(calls))
