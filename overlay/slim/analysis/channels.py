"""Which channels of a model live and die together, which may go, and why the others may not.

Every tensor carries one label per channel through a forward pass. A convolution makes new labels, BatchNorm and
activations pass them on, `cat` joins them, `chunk` cuts them, `add` unites them, and an operator that is not known
freezes those that enter it. Only shapes are asked of the model's code, never its class: what it ships, runs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch.nn.modules.batchnorm import _BatchNorm

from ..groups.blocks import within
from ..groups.closure import follower_of
from ..groups.deploying import deployed
from ..labels.reason import Reason
from ..labels.sizes import ModuleAttr, Source, name_sizes
from ..models.admission import admit
from ..passes.copying import FAILURES
from ..passes.hooks import drop_onlookers, opaque_hooks
from ..passes.passes import Pass, dry_run, follow
from ..passes.shadow import SIDES, image, one_thread, plain_attention, shadowed
from ..passes.trace import Trace
from ..proving.trying import prove
from ..rules.layers import LAYER_RULES
from ..rules.operators import RULES
from .numbering import Numbering

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from torch import Tensor, nn

    from ..labels.labels import Array
    from ..labels.tracked import Product

Row = tuple[int, ...]  # groups


@dataclass(frozen=True)
class Channels:
    """The channels of a model by group; group 0 is whatever can never be dropped.

    Attributes:
        outputs: Layer -> group of each output channel, for every convolution, BatchNorm and Linear that ran.
        inputs: Convolution or Linear -> group of each input channel (or feature).
        norms: The BatchNorms among them, in the model's order.
        frozen: Group -> why it may not be dropped, as "<operator> in <layer>".
        cuts: Parts of tensors, each a row of groups of one layer group, that keep equally many channels.
        attributes: Attribute of a module -> the row of groups whose kept number it holds.
        products: Product of two activations -> the row of groups that it is the more expensive the longer, as heads'
            queries or values.
        tensors: Parameter or buffer of no layer, with values of channels along some dimensions -> each such dimension
            and the group of each of its places.
        rescaled: BatchNorm and its outputs, or another layer and its inputs, width, power: code multiplies these by
            that power of the width, for which scales and shifts, or weights, must make up.
        counted: Width in `rescaled`, an attribute or any other -> the row of groups that it counts.
        unfolded: Module whose own code mixes channels, as with a weight that it computes -> their groups.
        followed_by: Convolution -> the BatchNorm that alone reads its output.
        unreached: Layers with weights that no forward pass reached; they are left as they are.
        example: Shape of the image that was traced, (B, C, H, W).
    """

    outputs: dict[str, tuple[int, ...]]
    inputs: dict[str, tuple[int, ...]]
    norms: tuple[str, ...]
    frozen: dict[int, Reason]
    cuts: tuple[tuple[tuple[int, ...], ...], ...]
    attributes: dict[ModuleAttr, tuple[int, ...]]
    products: dict[Product, tuple[int, ...]]
    tensors: dict[str, tuple[tuple[int, tuple[int, ...]], ...]]
    rescaled: tuple[tuple[str, tuple[int, ...], str, float], ...]
    counted: dict[str, tuple[int, ...]]
    unfolded: dict[str, tuple[int, ...]]
    followed_by: dict[str, str]
    unreached: tuple[str, ...]
    example: tuple[int, ...]

    @property
    def widths(self) -> dict[str, int]:
        """Layer -> number of output channels."""
        return {name: len(groups) for name, groups in self.outputs.items()}

    def prunable(self, layer: str) -> list[bool]:
        """Return for each output channel of a layer whether it may be dropped."""
        return [group not in self.frozen for group in self.outputs[layer]]

    def free(self, groups: Iterable[int]) -> list[int]:
        """Return those of some groups that may be dropped."""
        return [group for group in groups if group not in self.frozen]

    def prunable_norms(self) -> list[str]:
        """Return the BatchNorms of which an output channel may be dropped."""
        return [name for name in self.norms if any(self.prunable(name))]

    def rescaled_layers(self) -> set[str]:
        """Return the layers that make up for a width."""
        return {layer for layer, *_ in self.rescaled}

    def members(self, group: int) -> list[tuple[str, str, int]]:
        """Return every place of a group as (layer, "out" or "in", channel)."""
        places: list[tuple[str, str, int]] = []
        for side, layers in (("out", self.outputs), ("in", self.inputs)):
            for name, groups in layers.items():
                places += [(name, side, index) for index, own in enumerate(groups) if own == group]
        return places

    def reasons(self) -> dict[str, Reason]:
        """Return for each BatchNorm with frozen channels the first reason why."""
        reasons = {}
        for name in self.norms:
            for group in self.outputs[name]:
                if group in self.frozen:
                    reasons[name] = self.frozen[group]
                    break
        return reasons


def analyse(model: nn.Module, example: Tensor | None = None) -> Channels:
    """Find the channels of a model that can be pruned; the model, its caches and the generators stay as they are.

    Args:
        model: The model; a wrapper for parallel training or by `torch.compile` is looked through.
        example: An image, (B, C, H, W), values unused. Default: the smallest of a few black squares that works.

    Raises:
        ValueError: If the model does not run on the image, or its layers cannot be sliced, as `admit` says.
    """
    with (
        one_thread(),
        plain_attention(),
        torch.inference_mode(mode=False),
    ):  # where views are dispatched as other operators
        return _analyse(admit(model), example)


def _analyse(model: nn.Module, example: Tensor | None) -> Channels:
    trace, ways = traced(model, example)
    number = partial(_plain, trace, ways[0].shape)
    return _deployable(model, trace, partial(prove, model, trace, ways, number))


def traced(model: nn.Module, example: Tensor | None) -> tuple[Trace, list[Pass]]:
    """Follow the labels through a copy of a model; return the trace, and the ways to run it, inference first.

    Raises:
        ValueError: If the model does not run on the image.
    """
    error: Exception | None = None
    for side in SIDES if example is None else SIDES[:1]:
        for named in (True, False):  # code that demands a plain int of a size is given one
            twin, memo = shadowed(model)
            shown = image(twin, side) if example is None else example.detach().to(next(twin.parameters()))
            opaque = opaque_hooks(model, memo)
            if named:
                name_sizes(twin)
            trace = Trace(twin, RULES, LAYER_RULES, named=named)
            try:
                opaque += drop_onlookers(twin, partial(dry_run, twin, shown))
                return trace, follow(twin, trace, shown, opaque)
            except FAILURES as failure:
                error = failure
    hint = "see that the model predicts first" if example is None else "give `analyse` an example that it takes"
    raise ValueError(f"the model does not run on an image of {tuple(shown.shape)}: {error}; {hint}")


def prunable_batchnorms(model: nn.Module) -> dict[str, torch.BoolTensor]:
    """Return for each BatchNorm with prunable channels a mask of them, shape (num_features,), on the CPU."""
    channels = analyse(model)
    norms = channels.prunable_norms()
    return {name: torch.tensor(channels.prunable(name)) for name in norms}  # type: ignore[misc]


def _deployable(model: nn.Module, trace: Trace, tried_out: Callable[[], Channels]) -> Channels:
    """Count what methods for deployment read as a width, and freeze the blocks where that is not to be found."""
    while True:
        channels = tried_out()
        attributes, stuck = deployed(model, channels)
        if not stuck:
            return replace(channels, attributes={**channels.attributes, **attributes})
        for block, method in stuck.items():
            for labels in (*trace.entering[block], *outputs_within(trace, block)):
                trace.labels.freeze(labels, Reason.at(method, block or "the model"))


def outputs_within(trace: Trace, block: str) -> list[Tensor]:
    """Return the labels of the outputs of all layers in a block, or of a layer."""
    return [labels for name, labels in trace.outputs.items() if within(name, block)]


def _plain(trace: Trace, example: tuple[int, ...]) -> tuple[Channels, Array]:
    """Number the groups in the order in which the layers meet them, and leave tensors behind.

    Returns:
        The channels, and for each root of labels the number of its group, -1 for none.
    """
    numbering = Numbering(trace.labels)
    outputs = numbering.rows(_in_order(trace, trace.outputs))
    inputs = numbering.rows(_in_order(trace, trace.inputs))
    cuts, held = _cuts(trace, numbering)
    tensors = {name: tuple(numbering.rows(rows).items()) for name, rows in trace.vectors.items()}
    products = numbering.rows(trace.attention.products)
    attributes = {**held, **numbering.rows(trace.counts)}
    frozen = numbering.by_group(trace.labels.frozen())
    rescaled, counted = _rescaled(trace, numbering)
    channels = Channels(
        outputs=outputs,
        inputs=inputs,
        norms=tuple(name for name in outputs if isinstance(trace.layers[name], _BatchNorm)),
        frozen=frozen,
        cuts=cuts,
        attributes=attributes,
        products=products,
        tensors=tensors,
        rescaled=rescaled,
        counted=counted,
        unfolded=numbering.rows(trace.unfolded),
        followed_by=follower_of(trace),
        unreached=tuple(name for name in trace.layers if name not in outputs),
        example=example,
    )
    return channels, numbering.number


def _in_order(trace: Trace, labels: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Sort labels of layers as the model has its layers."""
    return {name: labels[name] for name in trace.layers if name in labels}


def _cuts(trace: Trace, numbering: Numbering) -> tuple[tuple[tuple[Row, ...], ...], dict[ModuleAttr, Row]]:
    """Return the cuts whose parts are not tied, each once, and the rows whose number an attribute holds."""
    cuts: dict[tuple[Row, ...], None] = {}
    held: dict[ModuleAttr, Row] = {}
    for key, cut in trace.cuts.items():
        parts = tuple(map(numbering.row, cut.parts))
        if not cut.tied:
            cuts[parts] = None
        if isinstance(key, Source) and not key.row:
            held[key.held] = parts[0] * cut.times
    return tuple(cuts), held


def _rescaled(
    trace: Trace, numbering: Numbering
) -> tuple[tuple[tuple[str, tuple[int, ...], str, float], ...], dict[str, Row]]:
    """Return what makes up for widths that code multiplies by, and what these widths count."""
    rescaled: list[tuple[str, tuple[int, ...], str, float]] = []
    counted: dict[str, Row] = {}
    for number in trace.rescaled.values():
        counted[number.width] = numbering.row(number.row)
        for layer, places in number.way:
            rescaled.append((layer, places, number.width, number.power))
    return tuple(rescaled), counted
