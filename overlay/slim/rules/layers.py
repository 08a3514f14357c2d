"""What layers with weights do to channel labels: convolution, linear, BatchNorm."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn.modules.conv import _ConvNd

from ..labels.labels import FIXED, along
from ..labels.reason import Reason
from ..labels.tracked import UnknownOperatorError
from .slicing import is_depthwise

if TYPE_CHECKING:
    from torch import Tensor

    from ..labels.tracked import Call
    from ..passes.trace import Rule, Trace


def convolution(trace: Trace, call: Call) -> list[Tensor | None]:
    """Make labels of its own; depthwise, unite them with those that enter; grouped, keep the groups even."""
    x, weight = call.args[:2]
    name = owned(trace, weight)
    channel = 1 if x.ndim == weight.ndim else 0
    entering = trace.vector(x, channel)
    layer = trace.layers[name]
    if not isinstance(layer, _ConvNd):
        raise UnknownOperatorError
    leaving = trace.own_labels(name, layer.out_channels)
    if is_depthwise(layer):
        repeated = entering.repeat_interleave(layer.out_channels // layer.groups)
        trace.labels.unite(leaving, repeated, call.reason)
        note_inputs(trace, name, entering, call.reason)
        # Without a bias a channel that is zero stays zero; with one only a BatchNorm makes it so again.
        zero = (repeated >= FIXED) & (layer.bias is None)
        return [spread(torch.where(zero, leaving, -leaving), call.outputs[0], channel)]
    read(trace, name, entering, call.reason)
    if layer.groups > 1:
        for side, labels in (("in", entering), ("out", leaving)):
            trace.cut((f"{name} {side}", ""), call.reason.grouped(), list(labels.chunk(layer.groups)))
    return [spread(-leaving, call.outputs[0], channel)]


def batch_norm(trace: Trace, call: Call) -> list[Tensor | None]:
    """Pass the labels on: scaled by gamma from here on, so zero where gamma and beta are."""
    x, weight, _, mean = call.args[:4]
    name = owned(trace, mean if weight is None else weight)
    labels = trace.vector(x, 1).abs()
    if weight is None:
        trace.labels.freeze(labels, Reason.at("BatchNorm without scale", call.where))
    if name in trace.outputs:
        trace.labels.unite(trace.outputs[name], labels, call.reason)
    trace.outputs.setdefault(name, labels.clone())
    return [spread(labels, call.outputs[0], 1)]


def linear(trace: Trace, call: Call) -> list[Tensor | None]:
    """`x @ weight.T (+ bias)`, however it is spelled: make new labels along the last dimension."""
    x, weight = (call.args[1], call.args[2]) if call.name == "addmm" else call.args[:2]
    name = owned(trace, weight)
    layer = trace.layers[name]
    if not isinstance(layer, nn.Linear) or (call.name != "linear" and weight not in trace.transposed):
        raise UnknownOperatorError
    read(trace, name, trace.vector(x, -1), call.reason)
    return [spread(-trace.own_labels(name, layer.out_features), call.outputs[0], -1)]


def owned(trace: Trace, weight: Tensor) -> str:
    """Return the layer that owns this weight; a computed weight has no layer to slice."""
    name = trace.layer_of(weight)
    if not name:
        raise UnknownOperatorError
    return name


def note_inputs(trace: Trace, name: str, entering: Tensor, reason: Reason) -> None:
    """Remember which labels enter a layer; a layer that is called twice ties the two calls together."""
    if name in trace.inputs:
        trace.labels.unite(trace.inputs[name], entering, reason)
    trace.inputs.setdefault(name, entering.abs())


def read(trace: Trace, name: str, entering: Tensor, reason: Reason) -> None:
    """Let a layer mix channels: each must then be worth nothing where its gamma and beta are zero."""
    note_inputs(trace, name, entering, reason)
    trace.labels.freeze(entering[entering < FIXED], reason.before())


def spread(labels: Tensor, output: Tensor, dim: int) -> Tensor:
    """Expand labels, shape (size,), along dimension `dim` to the shape of a tensor."""
    return along(labels, dim, output.shape)


def transpose(trace: Trace, call: Call) -> list[Tensor | None]:
    """Follow a Linear's weight through `.t()`."""
    name = owned(trace, call.args[0])
    if not isinstance(trace.layers[name], nn.Linear):
        raise UnknownOperatorError
    trace.transposed[call.outputs[0]] = name
    return []


LAYER_RULES: dict[str, Rule] = {
    "convolution": convolution,
    **dict.fromkeys(("linear", "mm", "addmm"), linear),
    **dict.fromkeys(
        (
            *("native_batch_norm", "cudnn_batch_norm", "miopen_batch_norm", "_batch_norm_no_update"),
            *("_native_batch_norm_legit", "_native_batch_norm_legit_no_training"),
        ),
        batch_norm,
    ),
    **dict.fromkeys(("t", "transpose", "permute"), transpose),
}
