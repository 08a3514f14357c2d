"""What channels cost: parameters and FLOPs of every layer as they follow from how many channels it keeps.

A convolution costs taps times the pairs of kept inputs and outputs, so a plan's cost is known without surgery, and
equals what `count_parameters` and `count_flops` say of the pruned model.

Weights by cost are MorphNet's idea (Gordon et al., arXiv:1711.06798): there γ's penalty is weighed with what its
channel costs as output of one layer and as input of the next. Without them the late, wide layers, which hold most of
the channels, give most; FLOPs and latency are in the early ones, where images are large.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torch import nn
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from ..groups.blocks import within_any
from ..passes.flops import operations
from ..pruning.importance import why_none
from ..rules.slicing import is_depthwise, kept_places
from .measure import count_parameters

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from ..analysis.channels import Channels
    from ..labels.tracked import Product
    from ..passes.flops import Operation
    from ..pruning.target import Counted

KINDS = ("params", "flops", "latency")
CHEAP = 0.01  # of the mean is the least that a group is said to cost


@dataclass(frozen=True)
class Totals:
    """What a model costs, or a part of one: parameters, and floating-point operations an image."""

    params: int
    flops: int

    def __add__(self, other: Totals) -> Totals:
        return Totals(self.params + other.params, self.flops + other.flops)

    def __sub__(self, other: Totals) -> Totals:
        return Totals(self.params - other.params, self.flops - other.flops)

    def of(self, kind: Counted) -> int:
        """Return the one or the other."""
        return self.params if kind == "params" else self.flops


@dataclass(frozen=True)
class Work:
    """What one layer does with its channels.

    Attributes:
        taps: Weights a pair of channels: the kernel's size, 1 in a Linear, 0 in a BatchNorm.
        groups: Of a convolution; a pair lies within one.
        depthwise: Whether each output reads one input alone.
        positions: How often an image meets each weight: pixels, over all calls.
        vectors: Parameters an output channel has beside them: 1 with a bias, 2 in a BatchNorm.
        folded: Whether folding gives it a bias as soon as it loses an input.
    """

    taps: int
    groups: int
    depthwise: bool
    positions: int
    vectors: int
    folded: bool

    def cost(self, in_channels: int, out_channels: int, *, lighter: bool = False) -> Totals:
        """Return the cost at so many input and output channels; `lighter` says that inputs have gone."""
        weights = self.taps * out_channels * (1 if self.depthwise else in_channels // self.groups)
        vectors = self.vectors + (1 if self.folded and lighter else 0)
        return Totals(params=weights + vectors * out_channels, flops=2 * self.positions * weights)

    def an_output(self, in_channels: int) -> Totals:
        """Return what one output channel costs."""
        return self.cost(in_channels, 1)

    def an_input(self, out_channels: int) -> Totals:
        """Return what one input channel costs; in a depthwise layer it is an output."""
        weights = 0 if self.depthwise else self.taps * out_channels // self.groups
        return Totals(params=weights, flops=2 * self.positions * weights)


@dataclass(frozen=True)
class Costs:
    """What a model costs.

    Attributes:
        layers: Layer -> what it does with its channels.
        products: Product of activations, by its name in `Channels` -> FLOPs for each channel that it takes longer for.
        tensors: Parameter of no layer that follows channels -> how many numbers it has.
        fixed: What there is, however few channels are kept.
    """

    layers: dict[str, Work]
    products: dict[Product, int]
    tensors: dict[str, int]
    fixed: Totals

    @classmethod
    def of(cls, model: nn.Module, channels: Channels, imgsz: int) -> Costs:
        """Read the costs off one forward pass without values.

        Args:
            model: The bare model that `channels` was made from.
            channels: Its channels.
            imgsz: Side of the image in pixels.
        """
        calls: defaultdict[str, list[Operation]] = defaultdict(list)
        flops_of: dict[Product, int] = {}
        whole = Totals(count_parameters(model), 0)
        for operation in operations(model, imgsz):
            flops = 2 * operation.multiply_adds
            whole += Totals(0, flops)
            calls[operation.layer].append(operation)
            if operation.product is not None:
                flops_of[operation.product] = flops
        products = {key: flops_of[key] // len(row) for key, row in channels.products.items() if key in flops_of}
        layers = {name: _work(model.get_submodule(name), name, channels, calls[name]) for name in channels.outputs}
        tensors = {name: p.numel() for name, p in model.named_parameters() if name in channels.tensors}
        flexible = cls(layers, products, tensors, Totals(0, 0)).total(channels, ())
        return cls(layers, products, tensors, whole - flexible)

    def total(
        self, channels: Channels, lost: Iterable[int], removed: Iterable[str] = (), *, fold: bool = True
    ) -> Totals:
        """Return what the model costs without some groups of channels.

        Args:
            channels: The model's channels.
            lost: The groups that are dropped.
            removed: The blocks that go as a whole.
            fold: Whether the constants of dropped channels are folded, which may cost a bias.
        """
        gone, blocks = set(lost), list(removed)
        total = self.fixed
        for name, work in self.layers.items():
            if within_any(name, blocks):
                continue
            in_channels = channels.inputs.get(name, ())
            kept = len(kept_places(in_channels, gone))
            out_channels = len(kept_places(channels.outputs[name], gone))
            total += work.cost(kept, out_channels, lighter=fold and kept < len(in_channels))
        for name, numel in self.tensors.items():
            if not within_any(name, blocks):
                total += Totals(_kept_of(numel, channels.tensors[name], gone), 0)
        for row, each, name in self._rows(channels):
            if not within_any(name, blocks):
                number = len(kept_places(row, gone))
                total += Totals(number * each.params, number * each.flops)
        return total

    def _rows(self, channels: Channels) -> Iterator[tuple[tuple[int, ...], Totals, str]]:
        """Yield what costs in proportion to a row of channels: the row, each of its channels, and where it is."""
        for product, flops in self.products.items():
            yield channels.products[product], Totals(0, flops), product.module

    def of_groups(self, channels: Channels) -> dict[int, Totals]:
        """Return what each prunable group costs: what its channels cost as outputs and as inputs, at full width."""
        found: defaultdict[int, Totals] = defaultdict(lambda: Totals(0, 0))
        for row, each in self._at_full_width(channels):
            for group in row:
                found[group] += each
        return {group: found[group] for group in channels.free(found)}

    def _at_full_width(self, channels: Channels) -> Iterator[tuple[tuple[int, ...], Totals]]:
        """Yield rows of channels, with what each channel of a row costs where no other is gone."""
        for name, work in self.layers.items():
            out_channels, in_channels = channels.outputs[name], channels.inputs.get(name, ())
            yield out_channels, work.an_output(len(in_channels))
            yield in_channels, work.an_input(len(out_channels))
        for row, each, _ in self._rows(channels):
            yield row, each
        for name, numel in self.tensors.items():
            for _, row in channels.tensors[name]:
                yield row, Totals(numel // len(row), 0)


def _work(layer: Any, name: str, channels: Channels, calls: list[Operation]) -> Work:
    convolution, linear = isinstance(layer, _ConvNd), isinstance(layer, nn.Linear)
    transposed = isinstance(layer, _ConvTransposeNd)
    width = channels.inputs.get(name, ()) if transposed else channels.outputs[name]
    values = sum(math.prod(call.entering if transposed else call.leaving) for call in calls)
    vectors = (getattr(layer, "weight", None) is not None) + (getattr(layer, "bias", None) is not None)
    return Work(
        taps=math.prod(layer.kernel_size) if convolution else int(linear),
        groups=layer.groups if convolution else 1,
        depthwise=is_depthwise(layer),
        positions=values // max(1, len(width)),
        vectors=vectors - (convolution or linear),
        folded=(convolution or linear) and layer.bias is None and name not in channels.followed_by,
    )


def _kept_of(numel: int, dimensions: Iterable[tuple[int, Sequence[int]]], gone: set[int]) -> int:
    """Return how many of a tensor's numbers stay without some groups along its dimensions."""
    for _, row in dimensions:
        numel = numel // len(row) * len(kept_places(row, gone))
    return numel


def prices(model: nn.Module, channels: Channels, kind: str, imgsz: int) -> dict[int, float]:
    """Return what each prunable group costs, in parameters, FLOPs, or milliseconds on this machine; never nothing.

    What only training runs, such as the second head of an end-to-end detector, costs next to nothing.

    Raises:
        ValueError: If the kind is none of `KINDS`, or latency cannot be measured here.
    """
    if kind not in KINDS:
        raise ValueError(f"{kind} is not one of {', '.join(KINDS)}")
    if kind == "latency":
        from .latency_model import Latency  # noqa: PLC0415 - the one kind that takes seconds and needs ONNX Runtime

        latency = Latency.of(model, channels, imgsz)
        latency.measure()
        found = latency.of_groups(channels)
    else:
        counted: Counted = "params" if kind == "params" else "flops"
        costs = Costs.of(model, channels, imgsz).of_groups(channels)
        found = {group: float(total.of(counted)) for group, total in costs.items()}
    normed: set[int] = set()
    for name in channels.norms:
        normed.update(channels.outputs[name])
    prunable = normed - channels.frozen.keys()
    least = CHEAP * sum(found.get(group, 0.0) for group in prunable) / max(1, len(prunable))
    return {group: max(least, found.get(group, 0.0)) for group in sorted(prunable)}


def penalty_weights(model: nn.Module, channels: Channels, kind: str, *, imgsz: int = 640) -> dict[str, float]:
    """Return how much to penalise the scales of each BatchNorm, so that what costs more is pressed more.

    A group of channels that residuals tie together can only go as a whole: what it costs is shared by its scales. Of
    that the square root is taken, as in `Importance.weighed`: pressed in proportion to its FLOPs the demo came to
    mAP50 0.61 at GFLOPs / 12.6, with the root to 0.81 at / 11.2.

    Args:
        model: The bare model that `channels` was made from.
        channels: Its channels.
        kind: One of `KINDS`.
        imgsz: Side of the image in pixels.

    Returns:
        BatchNorm -> weight, for every one with prunable channels; the mean over all those channels is 1.

    Raises:
        ValueError: If the kind is not known, latency cannot be measured, or nothing can be pruned.
    """
    members: dict[str, list[int]] = {}
    scales: Counter[int] = Counter()  # group -> how many of them it has
    for name in channels.norms:
        groups = channels.free(channels.outputs[name])
        if groups:
            members[name] = groups
            scales.update(groups)
    if not scales:
        raise ValueError(f"no BatchNorm channel can be pruned: {why_none(channels)}")
    costs = prices(model, channels, kind, imgsz)
    shares: dict[str, float] = {}
    for name, groups in members.items():
        shares[name] = sum(math.sqrt(costs[group] / scales[group]) for group in groups)
    mean = sum(shares.values()) / sum(map(len, members.values()))
    return {name: share / len(members[name]) / mean for name, share in shares.items()}
