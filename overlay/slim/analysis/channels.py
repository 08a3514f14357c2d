"""Which channels of a model live and die together, which may go, and why the others may not.

Every tensor carries one label per channel through a forward pass. A convolution makes new labels, BatchNorm and
activations pass them on, `cat` joins them, `chunk` cuts them, `add` unites them, and an operator that is not known
freezes those that enter it. Only shapes are asked of the model's code, never its class: what it ships, runs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn.modules.batchnorm import _BatchNorm

from ..groups.blocks import within
from ..groups.closure import follower_of
from ..groups.deploying import deployed
from ..labels.labels import FIXED
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

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from torch import Tensor, nn

    from ..labels.labels import Array
    from ..labels.tracked import Product


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
            reason = next((self.frozen[g] for g in self.outputs[name] if g in self.frozen), None)
            if reason is not None:
                reasons[name] = reason
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
    masks = {name: torch.tensor(channels.prunable(name)) for name in channels.norms}
    return {name: mask for name, mask in masks.items() if bool(mask.any())}  # type: ignore[misc]


def _deployable(model: nn.Module, trace: Trace, tried_out: Callable[[], Channels]) -> Channels:
    """Count what methods for deployment read as a width, and freeze the blocks where that is not to be found."""
    while True:
        channels = tried_out()
        attributes, stuck = deployed(model, channels)
        if not stuck:
            return replace(channels, attributes={**channels.attributes, **attributes})
        for block, method in stuck.items():
            inside = [labels for name, labels in trace.outputs.items() if within(name, block)]
            for labels in [*trace.entering[block], *inside]:
                trace.labels.freeze(labels, Reason.at(method, block or "the model"))


def _plain(trace: Trace, example: tuple[int, ...]) -> tuple[Channels, Array]:
    """Number the groups in the order in which the layers meet them, and leave tensors behind.

    Returns:
        The channels, and for each root of labels the number of its group, -1 for none.
    """
    number = np.full(trace.labels.count, -1)
    number[FIXED], met = FIXED, 1

    def row(labels: Sequence[int] | Array) -> tuple[int, ...]:
        nonlocal met
        roots = trace.labels.roots(labels)
        new = list(dict.fromkeys(roots[number[roots] < 0].tolist()))
        number[new], met = met + np.arange(len(new)), met + len(new)
        return tuple(number[roots].tolist())

    outputs = {name: row(trace.outputs[name].numpy()) for name in trace.layers if name in trace.outputs}
    inputs = {name: row(trace.inputs[name].numpy()) for name in trace.layers if name in trace.inputs}
    cuts = {key: tuple(row(part) for part in cut.parts) for key, cut in trace.cuts.items()}
    sides = {name: [(dim, row(labels.numpy())) for dim, labels in rows.items()] for name, rows in trace.vectors.items()}
    tensors = {name: tuple(rows) for name, rows in sides.items()}
    products = {key: row(labels) for key, labels in trace.attention.products.items()}
    held = {key: cut for key, cut in trace.cuts.items() if isinstance(key, Source) and not key.row}
    attributes = {key.held: row(cut.parts[0] * cut.times) for key, cut in held.items()}
    attributes.update({key: row(labels.numpy()) for key, labels in trace.counts.items()})
    made_up = trace.rescaled.values()
    channels = Channels(
        outputs=outputs,
        inputs=inputs,
        norms=tuple(name for name in outputs if isinstance(trace.layers[name], _BatchNorm)),
        frozen={int(number[root]): why for root, why in trace.labels.frozen().items() if number[root] >= 0},
        cuts=tuple(dict.fromkeys(cuts[key] for key, cut in trace.cuts.items() if not cut.tied)),
        attributes=attributes,
        products=products,
        tensors=tensors,
        rescaled=tuple((layer, those, r.width, r.power) for r in made_up for layer, those in r.way),
        counted={r.width: row(r.row) for r in made_up},
        unfolded={name: row(labels) for name, labels in trace.unfolded.items()},
        followed_by=follower_of(trace),
        unreached=tuple(name for name in trace.layers if name not in trace.outputs),
        example=example,
    )
    return channels, number
