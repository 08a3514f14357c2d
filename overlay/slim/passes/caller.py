"""What the model's code calls, noted as it calls it, and the sizes that it is told."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn.modules.conv import _ConvTransposeNd
from torch.overrides import TorchFunctionMode

from ..labels.asking import Asked
from ..labels.labels import flexible_dim, rows_of
from ..labels.reason import Reason
from ..labels.sizes import Size, Source

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from ..labels.tracked import Value
    from .trace import Trace

LEAVING = {"numpy", "tolist", "__array__", "__dlpack__"}  # give out values where no operator is heard any more


class Caller(TorchFunctionMode):
    """Notes what the model's code calls as it calls it, and lets the sizes of a shape know what they count."""

    def __init__(self, trace: Trace) -> None:
        super().__init__()
        self.trace = trace

    def __torch_function__(
        self,
        func: Callable[..., Value],
        types: object,
        args: tuple[Value, ...] = (),
        kwargs: dict[str, Value] | None = None,
    ) -> Value:
        """Note the call and go on."""
        del types
        trace, kwargs = self.trace, kwargs or {}
        trace.asked = Asked(getattr(func, "__name__", ""), args, kwargs)
        trace.caller = trace.asked.name
        if trace.caller in LEAVING:
            trace.left.append((trace.planes.of(args[0]), Reason.at(trace.caller, trace.where)))
        result = func(*args, **kwargs)
        if trace.named and isinstance(result, torch.Size) and isinstance(args[0], torch.Tensor):
            sizes = list(result)
            for dim, row in size_rows(trace, args[0]).items():
                sizes[dim] = Size.of(result[dim], Source(row=row))
            return torch.Size(sizes)
        if trace.named and trace.caller == "size" and isinstance(result, int):
            dim = trace.asked.argument(1, "dim") % args[0].ndim
            found = size_rows(trace, args[0]).get(dim)
            return result if found is None else Size.of(result, Source(row=found))
        trace.asked = Asked()  # it holds tensors
        return result


def size_rows(trace: Trace, tensor: Tensor) -> dict[int, tuple[int, ...]]:
    """Return the labels that the sizes of a tensor's dimensions count, where they may get fewer."""
    layer = trace.layer_of(tensor)
    if layer and tensor.ndim > 1 and tensor not in trace.transposed:
        return _weight_rows(trace, layer)
    trace.planes.meet([tensor])
    if tensor in trace.planes:
        return {dim: tuple(row.abs().tolist()) for dim, row in trace.planes.rows(tensor).items()}
    labels = trace.labels_of(tensor)
    dim = None if labels is None else flexible_dim(labels, trace.rows)
    if labels is None or dim is None:
        return {}
    return {dim: tuple(rows_of(labels, dim)[0].abs().tolist())}


def _weight_rows(trace: Trace, layer: str) -> dict[int, tuple[int, ...]]:
    module = trace.layers[layer]
    sides = [trace.outputs, trace.inputs][:: -1 if isinstance(module, _ConvTransposeNd) else 1]
    if getattr(module, "groups", 1) != 1:
        del sides[1:]  # along the other dimension lie the channels of one group alone
    rows = {}
    for dim, labels in enumerate(sides):
        if layer in labels:
            rows[dim] = tuple(labels[layer].tolist())
    return rows
