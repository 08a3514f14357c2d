"""Weights that code computes with: a tensor whose dimensions follow several rows of channels at once.

An activation has channels along one dimension. A weight, (out, in, *kernel), has them along two, and experts that are
mixed into one have them along three. So a Parameter or buffer that meets an operator is given *planes*: label tensors
in its own shape, each of which varies along one dimension. An operator does to each plane what it does to an
activation's labels; what it may not do to one, such as taking a mean over the channels that enter, freezes that one
and leaves the others. A plane that meets an activation's channels is united with them, and sliced where these go.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvTransposeNd
from torch.utils.weak import WeakTensorKeyDictionary

from .labels import FIXED, along, core, expanded, fit, varying, wide_dims
from .reason import Reason

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, MutableMapping

    from ..passes.trace import Trace
    from .tracked import Call, Tracked

KERNEL = 4  # dimensions from which on a tensor's last two, if equal, are taken for a kernel's, which no channel is
LAYERS_OWN = {"weight", "bias", "running_mean", "running_var", "num_batches_tracked"}
WHOLE = (nn.MultiheadAttention,)  # hands its weights to operators whose sizes it checks: they stay as they are


def holders(model: nn.Module) -> dict[int, tuple[str, str]]:
    """Return for the id of each Parameter and buffer the module that has it and its name there.

    What two modules have is left out, and so stays as it is.
    """
    places: dict[int, tuple[str, str]] = {}
    twice: set[int] = set()
    for name, module in model.named_modules():
        if isinstance(module, WHOLE):
            continue
        for own, tensor in (*module._parameters.items(), *module._buffers.items()):  # noqa: SLF001 - with those shared
            if tensor is not None:
                twice |= {id(tensor)} & places.keys()
                places[id(tensor)] = (name, own)
    for key in twice:
        del places[key]
    return places


class Planes:
    """Knows which tensors have several rows of channels, and makes those of Parameters and buffers."""

    def __init__(self, trace: Trace, model: nn.Module) -> None:
        self.trace = trace
        self._held: MutableMapping[Tensor, list[Tensor]] = WeakTensorKeyDictionary()  # planes, where they are several
        self._holders = holders(model)

    def __contains__(self, tensor: object) -> bool:
        return tensor in self._held

    def know(self, tensor: Tensor) -> bool:
        """Whether a tensor has several rows of channels, or may be given some."""
        return tensor in self._held or id(tensor) in self._holders

    def of(self, tensor: Tensor) -> list[Tensor]:
        """Return the labels of all rows of channels that a tensor has, each in its own shape."""
        labels = self.trace.labels_of(tensor)
        return list(self._held.get(tensor, ())) if labels is None else [labels]

    def put(self, tensor: Tensor, planes: list[Tensor]) -> None:
        """Note the rows of channels that a tensor has: one, as an activation has, or several."""
        self.trace.forget(tensor)
        self._held.pop(tensor, None)
        if len(planes) == 1:
            self.trace.note(tensor, planes[0])
        elif planes:
            self._held[tensor] = planes

    def rows(self, tensor: Tensor) -> dict[int, Tensor]:
        """Return the labels along each dimension along which one plane varies alone."""
        rows = {}
        for plane in self.of(tensor):
            dims = varying(plane)
            if len(dims) == 1:
                rows[dims[0]] = core(plane).flatten()
        return rows

    def along(self, tensor: Tensor, dim: int, reason: Reason) -> Tensor | None:
        """Return the labels of a tensor along one dimension, shape (size,), or None; freeze whatever else varies."""
        row = None
        for plane in self.of(tensor):
            if varying(plane) == [dim % tensor.ndim] and row is None:
                row = core(plane).flatten()
            else:
                self.trace.labels.freeze(plane, reason)
        return row

    def freeze(self, tensor: Tensor, reason: Reason) -> None:
        """Forbid dropping any of the channels of a tensor, whichever rows it has of them."""
        for plane in self.of(tensor):
            self.trace.labels.freeze(plane, reason)

    def meet(self, tensors: list[Tensor]) -> None:
        """Give planes to the Parameters and buffers among the tensors that an operator reads."""
        for tensor in tensors:
            place = self._holders.get(id(tensor))
            if place is not None and not self.of(tensor):
                of_layer = place[0] in self.trace.layers and place[1] in LAYERS_OWN
                self.put(tensor, (_of_layer if of_layer else _of_its_own)(self.trace, place, tensor))

    def follow(self, call: Call, inputs: list[Tensor]) -> None:
        """Give planes to the outputs of an operator; what it may not do to a plane of its inputs freezes that."""
        by_output: list[list[Tensor]] = [[] for _ in call.outputs]
        for chosen in _classes(self.trace, call, inputs):
            with self._only(inputs, chosen):
                labels = self.trace.apply(call)
            if labels is None:
                for plane in chosen.values():
                    self.trace.labels.freeze(plane, call.reason)
            for planes, label in zip(by_output, labels or []):
                if label is not None and varying(label):
                    planes.append(label)
        for output, planes in zip(call.outputs, by_output):
            self.put(output, planes)

    @contextmanager
    def _only(self, inputs: list[Tensor], chosen: dict[int, Tensor]) -> Iterator[None]:
        """Let some tensors carry one plane each, by its id, and no other labels."""
        before: dict[int, tuple[Tensor, Tracked | None]] = {}
        for key, tensor in _distinct(inputs).items():
            before[key] = tensor, self.trace.forget(tensor)
        for key, plane in chosen.items():
            self.trace.note(before[key][0], plane)
        try:
            yield
        finally:
            for tensor, known in before.values():
                self.trace.forget(tensor)
                if known is not None:
                    self.trace.tracked[tensor] = known


def _of_its_own(trace: Trace, place: tuple[str, str], tensor: Tensor) -> list[Tensor]:
    """Make new labels for each dimension of a Parameter or buffer that no layer has; its values are not zero."""
    square = tensor.ndim >= KERNEL and tensor.shape[-1] == tensor.shape[-2]
    rows, planes = {}, []
    for dim in wide_dims(tensor.shape[: -2 if square else None]):
        rows[dim] = trace.labels.new(tensor.shape[dim])
        planes.append(-along(rows[dim], dim, tensor.shape))
    trace.vectors[".".join(filter(None, place))] = rows
    return planes


def _of_layer(trace: Trace, place: tuple[str, str], tensor: Tensor) -> list[Tensor]:
    """Return the planes of what a layer has. A BatchNorm's scale and shift are zero where its channel is silent."""
    name, own = place
    layer = trace.layers[name]
    if isinstance(layer, _BatchNorm):
        if tensor.ndim != 1:
            return []
        labels = trace.own_labels(name, layer.num_features)
        return [labels if own in {"weight", "bias"} else -labels]
    leaving = trace.own_labels(name, layer.out_features if isinstance(layer, nn.Linear) else layer.out_channels)
    if own != "weight":
        return [-leaving] if own == "bias" else []
    if isinstance(layer, nn.Linear) or layer.groups == 1:
        width = layer.in_features if isinstance(layer, nn.Linear) else layer.in_channels
        entering = trace.inputs.setdefault(name, trace.labels.new(width))
        out, into = (1, 0) if isinstance(layer, _ConvTransposeNd) else (0, 1)
        return [-along(leaving, out, tensor.shape), -along(entering, into, tensor.shape)]
    trace.tainted.setdefault(name, Reason.at(f"weight of {name}", trace.where))  # groups would have to be told apart
    return []


class _Lying(NamedTuple):
    """A plane, the id of its tensor, and the dimensions of an operator's result along which it varies."""

    key: int
    plane: Tensor
    dims: set[int]

    @classmethod
    def of(cls, tensor: Tensor, plane: Tensor, ndim: int) -> _Lying:
        return cls(id(tensor), plane, {dim - tensor.ndim + ndim for dim in varying(plane)})

    def crosses(self, across: Mapping[int, set[int]]) -> bool:
        """Whether it varies along what another tensor's plane, by its id, varies along."""
        return any(self.dims & dims for key, dims in across.items() if key != self.key)


def _classes(trace: Trace, call: Call, inputs: list[Tensor]) -> Iterator[dict[int, Tensor]]:
    """Sort planes into those that an operator brings together; each class has at most one of each tensor, by its id."""
    waiting = _lying(trace, call, inputs)
    while waiting:
        key, plane, dims = waiting.pop(0)
        chosen, across = {key: plane}, {key: dims}
        others = []
        for other in waiting:
            if other.dims & dims and other.key not in chosen:
                chosen[other.key], across[other.key] = other.plane, other.dims
            else:
                others.append(other)
        waiting, crossing = [], []
        for other in others:  # one that lies across two of another tensor would bring these together
            if other.crosses(across):
                crossing.append(other.plane)
            else:
                waiting.append(other)
        if dims and not crossing:
            yield chosen
            continue
        for one in (*chosen.values(), *crossing):  # or a single channel, spread over all
            trace.labels.freeze(one, call.reason)


def _distinct(inputs: list[Tensor]) -> dict[int, Tensor]:
    """Return tensors by their ids, once each: an operator may read one twice."""
    return dict(zip(map(id, inputs), inputs))


def _lying(trace: Trace, call: Call, inputs: list[Tensor]) -> list[_Lying]:
    """Return all planes of the tensors that an operator reads, once each."""
    ndim = max((output.ndim for output in call.outputs), default=0)
    lying = []
    for tensor in _distinct(inputs).values():
        for plane in trace.planes.of(tensor):
            lying.append(_Lying.of(tensor, plane, ndim))
    return lying


def multiply(trace: Trace, call: Call, left: Tensor, right: Tensor) -> list[Tensor]:
    """Return the planes of a product of matrices, (*, n, m) and (*, m, p): those of m go, the others stay.

    What is summed over must be sliced on both sides alike, and be worth nothing on one of them where it goes.
    """
    shape = call.outputs[-1].shape
    sides = []
    for tensor, summed in ((left, left.ndim - 1), (right, max(right.ndim - 2, 0))):
        inner: list[Tensor] = []
        outer: list[Tensor] = []
        for plane in trace.planes.of(tensor):
            (inner if summed in varying(plane) else outer).append(plane)
        sides.append((inner, outer, summed))
    _unite_summed(trace, call, sides)
    staying = []
    for _, outer, summed in sides:
        for plane in outer:
            spread = fit(core(plane).narrow(summed, 0, 1), shape) if plane.ndim == len(shape) else None
            if spread is None or not varying(plane):
                trace.labels.freeze(plane, call.reason)
            else:
                staying.append(spread)
    return staying


def _unite_summed(trace: Trace, call: Call, sides: list[tuple[list[Tensor], list[Tensor], int]]) -> None:
    (one, _, _), (other, _, _) = sides
    if len(one) == len(other) == 1:
        a, b = core(one[0]), core(other[0])
        a = a.transpose(-1, -2) if a.ndim > 1 else a.unsqueeze(-1)
        b = b if b.ndim > 1 else b.unsqueeze(-1)
        if a.ndim == b.ndim and a.shape[-1] == b.shape[-1] == 1:  # neither lies across a dimension that stays
            a, b = expanded(a, b)
            trace.labels.unite(a, b, call.reason)
            trace.unfolded[call.where] += core(a).flatten().tolist()
            trace.labels.freeze(a[(a < FIXED) & (b < FIXED)], call.reason.before())
            return
    for plane in (*one, *other):
        trace.labels.freeze(plane, call.reason)
