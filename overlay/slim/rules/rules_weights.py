"""What operators do to labels that take their weights as arguments: convolutions with computed weights, norms.

The weight's own dimensions say which of its rows go with what enters and with what leaves (see `planes`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn.modules.instancenorm import _InstanceNorm

from ..labels.binding import bind
from ..labels.labels import FIXED, core, varying
from ..labels.planes import multiply
from ..labels.sizes import ModuleAttr, terms_of
from ..labels.tracked import UnknownOperatorError
from .heads import product
from .layers import spread

if TYPE_CHECKING:
    from torch import Tensor

    from ..labels.reason import Reason
    from ..labels.tracked import Call
    from ..passes.trace import Rule, Trace


def convolution(trace: Trace, call: Call) -> list[Tensor | None]:
    """Convolve with a Parameter, a buffer, or what code has made of such."""
    x, weight, bias = call.args[:3]
    channel = 1 if x.ndim == weight.ndim else 0
    transposed, groups = call.args[6], call.args[8]
    entering = trace.vector(x, channel)
    each = _group_labels(trace, entering, groups)
    if each is not None:
        leaving: Tensor | None = _by_channel(trace, call, each, transposed=transposed)
        bind(trace, [each], trace.asked.argument(6, "groups"), call.reason)
    else:
        leaving = _dense(trace, call, entering, 1 if transposed else 0, groups)
    leaving = _biased(trace, call, leaving, bias)
    return [None if leaving is None else spread(leaving, call.outputs[0], channel)]


def deformed(trace: Trace, call: Call) -> list[Tensor | None]:
    """`torchvision.ops.deform_conv2d`: a convolution at places that others compute, which stay as many as they are."""
    x, _, offset, mask, bias = call.args[:5]
    groups, offset_groups = call.args[11], call.args[12]
    for other in (offset, mask):
        trace.planes.freeze(other, call.reason)
    entering = trace.vector(x, 1)
    if offset_groups > 1:
        trace.labels.freeze(entering, call.reason)
    leaving = _biased(trace, call, _dense(trace, call, entering, 0, groups), bias)
    return [None if leaving is None else spread(leaving, call.outputs[0], 1)]


def _dense(trace: Trace, call: Call, entering: Tensor, out: int, groups: int) -> Tensor | None:
    """Mix channels: return the labels of those that leave, None where the weight has no row for each."""
    weight = call.args[1]
    inner, leaving = along_dim_of(trace, weight, 1 - out), along_dim_of(trace, weight, out)
    _freeze_rest(trace, weight, call.reason)
    read = entering if out else entering.view(groups, -1)
    if inner is None:
        trace.labels.freeze(entering, call.reason)
    else:
        trace.labels.unite(inner.expand_as(read), read, call.reason)
        trace.unfolded[call.where] += entering.tolist()
        trace.labels.freeze(entering[entering < FIXED], call.reason.before())
    if groups > 1:
        if out or leaving is None:
            trace.labels.freeze(entering, call.reason)  # a weight's rows would have to be told apart by group
            raise UnknownOperatorError
        trace.cut((f"{call.reason}: {int(leaving[0])}", ""), call.reason.grouped(), list(leaving.chunk(groups)))
    return leaving


def _group_labels(trace: Trace, entering: Tensor, groups: int) -> Tensor | None:
    """Return the label of each group, where groups count channels: all that lies in one goes together."""
    if groups == 1:
        return None
    blocks = entering.view(groups, -1)
    if blocks.shape[1] > 1 and not terms_of(trace.asked.argument(6, "groups")):
        return None
    roots = torch.tensor(trace.labels.find_all(blocks.flatten().numpy())).view_as(blocks)
    if not bool((roots == roots[:, :1]).all()):
        return None
    return torch.where((blocks > FIXED).all(1), blocks[:, 0].abs(), -blocks[:, 0].abs())


def _by_channel(trace: Trace, call: Call, each: Tensor, *, transposed: bool) -> Tensor:
    """Convolve each channel alone, with rows of the weight, or with some that are the same for all."""
    weight = call.args[1]
    rows = along_dim_of(trace, weight, 0)
    _freeze_rest(trace, weight, call.reason)
    repeated = each.repeat_interleave(weight.shape[0] // len(each))
    if rows is not None:
        trace.labels.unite(repeated, rows, call.reason)
    elif not _alike(weight, len(each)):
        raise UnknownOperatorError  # kernels for each channel, and nobody to slice them
    return each.repeat_interleave(weight.shape[1]) if transposed else repeated


def _alike(weight: Tensor, count: int) -> bool:
    """Whether all channels are convolved with the same kernels, as with one that was expanded or repeated."""
    blocks = weight.reshape(count, -1)
    return bool((blocks == blocks[:1]).all())


def _biased(trace: Trace, call: Call, leaving: Tensor | None, bias: Tensor | None) -> Tensor | None:
    """Unite a bias with what leaves; a channel that is zero is so no more with one."""
    if leaving is None or bias is None:
        return leaving
    rows = along_dim_of(trace, bias, 0)
    if rows is not None:
        trace.labels.unite(rows, leaving, call.reason)
    elif not bool((bias == bias[:1]).all()):
        trace.labels.freeze(leaving, call.reason)
    silent = (leaving > FIXED) & (rows > FIXED) if rows is not None else (leaving > FIXED) & (not bool(bias.any()))
    return torch.where(silent, leaving.abs(), -leaving.abs())


def along_dim_of(trace: Trace, tensor: Tensor, dim: int) -> Tensor | None:
    """Return the labels of a tensor along one dimension, if a plane of it varies along that one alone."""
    for plane in trace.planes.of(tensor):
        if varying(plane) == [dim]:
            return core(plane).flatten()
    return None


def _freeze_rest(trace: Trace, weight: Tensor, reason: Reason) -> None:
    """Freeze what varies along the kernel, or along two dimensions at once."""
    for plane in trace.planes.of(weight):
        if varying(plane) not in ([0], [1]):
            trace.labels.freeze(plane, reason)


def matrix_product(trace: Trace, call: Call) -> list[Tensor | None]:
    """`mm`, `addmm`, `baddbmm`: see `planes.multiply`; what is added is united with the product."""
    alone = call.name in {"mm", "mv", "bmm"}
    left, right = call.args[:2] if alone else call.args[1:3]
    planes = multiply(trace, call, left, right)
    shape = call.outputs[0].shape
    added = [] if alone else trace.planes.of(call.args[0])
    for plane in added:
        wide = plane.reshape((1,) * (len(shape) - plane.ndim) + tuple(plane.shape)).expand(shape)
        alike = _like(wide, planes)
        if alike is None:
            trace.labels.freeze(plane, call.reason)
        else:
            trace.labels.unite(alike, wide, call.reason)
    if not alone:
        planes = [-plane.abs() for plane in planes]
    trace.planes.put(call.outputs[0], planes)
    return []


def _like(wanted: Tensor, planes: list[Tensor]) -> Tensor | None:
    """Return the first plane that varies along the same dimensions as another."""
    for plane in planes:
        if varying(plane) == varying(wanted):
            return plane
    return None


def batched_product(trace: Trace, call: Call) -> list[Tensor | None]:
    """`bmm`, of activations as in attention (`heads`), or with weights."""
    weights = any(tensor in trace.planes for tensor in call.args[:2])
    return (matrix_product if weights else product)(trace, call)


def group_norm(trace: Trace, call: Call) -> list[Tensor | None]:
    """A norm of each channel alone, as many groups as channels; statistics of several would miss the dropped ones."""
    x, weight, bias, groups = call.args[0], *call.args[1:3], call.args[6]
    labels = trace.vector(x, 1)
    if groups != len(labels) or groups == 1:
        raise UnknownOperatorError
    name, module = trace.stack[-1]
    if isinstance(module, nn.GroupNorm):
        for own in ("num_groups", "num_channels"):
            trace.counts[ModuleAttr(name, own)] = labels.abs()
    else:
        bind(trace, [labels], trace.asked.argument(1, "num_groups"), call.reason)
    return [spread(_scaled(trace, call, labels, weight, bias), call.outputs[0], 1)]


def instance_norm(trace: Trace, call: Call) -> list[Tensor | None]:
    """A norm of each channel alone with what is no BatchNorm's own scale: PyTorch gives an instance norm's so."""
    x, weight, bias, mean, variance = call.args[:5]
    labels = trace.vector(x, 1)
    name, module = trace.stack[-1]
    if isinstance(module, _InstanceNorm):
        trace.counts[ModuleAttr(name, "num_features")] = labels.abs()
    for statistic in (mean, variance):
        if statistic is not None:
            labels = _scaled(trace, call, labels, None, statistic)
    return [spread(_scaled(trace, call, labels, weight, bias), call.outputs[0], 1)]


def _scaled(trace: Trace, call: Call, labels: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
    """Unite a scale and a shift with channels; a shift leaves none of them zero."""
    for tensor in (weight, bias):
        rows = None if tensor is None else along_dim_of(trace, tensor, 0)
        if rows is not None:
            trace.labels.unite(rows, labels, call.reason)
        elif tensor is not None and not bool((tensor == tensor[:1]).all()):
            raise UnknownOperatorError
    return labels if bias is None else -labels.abs()


def layer_norm(trace: Trace, call: Call) -> list[Tensor | None]:
    """A norm over the last dimensions: right where these are no channels."""
    x, sizes, weight, bias = call.args[:4]
    dims = range(x.ndim - len(sizes), x.ndim)
    for tensor in (weight, bias):
        if tensor is not None:
            trace.planes.freeze(tensor, call.reason)
    planes = []
    for plane in trace.planes.of(x):
        if set(varying(plane)) & set(dims):
            trace.labels.freeze(plane, call.reason)
        else:
            planes.append(plane if bias is None else -plane.abs())
    trace.planes.put(call.outputs[0], planes)
    return []


WEIGHT_RULES: dict[str, Rule] = {
    "convolution": convolution,
    "deform_conv2d": deformed,
    **dict.fromkeys(("mm", "mv", "addmm", "baddbmm"), matrix_product),
    "bmm": batched_product,
    "native_group_norm": group_norm,
    **dict.fromkeys(
        ("native_batch_norm", "cudnn_batch_norm", "miopen_batch_norm", "_native_batch_norm_legit"), instance_norm
    ),
    "native_layer_norm": layer_norm,
}
