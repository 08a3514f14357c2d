"""Who can make up for a factor that code computes from a width, as attention does from that of a head.

Either the scales of a BatchNorm in whose outputs the product is linear, or the weights of all the layers that read it.
Which factors there are is not guessed here: `probe` compares the numbers of a pass at full width with those of
another, and whether it was made up for rightly, it proves.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.weak import WeakTensorKeyDictionary

from .labels import core

if TYPE_CHECKING:
    from collections.abc import Iterable, MutableMapping

    from torch import Tensor

    from ..passes.trace import Trace
    from .tracked import Call

# These put values elsewhere, or give as many times as much for as many times as much, as long as it is no less than 0.
HOMOGENEOUS = {
    *("view", "_unsafe_view", "reshape", "_reshape_alias", "permute", "transpose", "t", "expand", "squeeze"),
    *("unsqueeze", "clone", "detach", "alias", "contiguous", "split", "split_with_sizes", "slice", "select", "unbind"),
    *("unflatten", "movedim", "flip", "roll", "repeat", "relu", "leaky_relu", "abs", "neg", "mean", "sum", "amax"),
    *("max_pool2d", "max_pool2d_with_indices", "avg_pool2d", "_adaptive_avg_pool2d", "upsample_nearest2d"),
    *("upsample_bilinear2d", "constant_pad_nd", "pixel_shuffle", "pixel_unshuffle", "dropout", "_to_copy"),
}
POWERS = (1, -1, 0.5, -0.5, 2, -2, 0.25, -0.25, 1.5, -1.5)  # of a width, the likelier first
PRODUCTS = {"mul", "div", "bmm", "mm"}
JOINS = {"cat", "stack"}

Line = tuple[str, "tuple[int, ...] | None"]  # a BatchNorm, and which of its outputs; None for those of the labels
Way = tuple[tuple[str, tuple[int, ...]], ...]  # layers that make up for a number together, with their channels


class Key(NamedTuple):
    """A number that an operator gets: the n-th of this operator in each call of a module."""

    module: str
    operator: str
    place: int


Carried = dict[Key, "frozenset[int] | None"]  # numbers that a tensor is times of -> labels multiplied, None for any


@dataclass(frozen=True)
class Rescaled:
    """Values that a layer makes, or reads, and that code multiplies by a power of a width which pruning changes.

    Attributes:
        way: BatchNorms with their outputs, or convolutions and Linears with their inputs.
        width: Name of the width.
        row: Labels of the channels that the width counts.
        power: Of the width.
    """

    way: Way
    width: str
    row: tuple[int, ...]
    power: float


@dataclass
class Use:
    """What a number multiplies.

    Attributes:
        sign: 1 if it multiplies, -1 if it divides, 0 if it does something else.
        value: The number, where code does not hold it as it is.
        makers: BatchNorms and their outputs in which the product is linear: any of them can make up for it.
        readers: Layer -> which of its inputs the product is; only all of them can.
    """

    sign: int
    value: float | None = None
    makers: list[tuple[str, tuple[int, ...]]] = field(default_factory=list)
    readers: dict[str, set[int]] = field(default_factory=dict)

    @property
    def ways(self) -> list[Way]:
        """Return the ways to make up for the number, the likelier first."""
        if not self.sign:
            return []
        ways: list[Way] = [(maker,) for maker in self.makers]
        if self.readers:
            ways.append(tuple((name, tuple(sorted(columns))) for name, columns in self.readers.items()))
        return ways


class Factors:
    """Which tensors of a trace are linear in what a BatchNorm says, and which are times a number."""

    def __init__(self, trace: Trace) -> None:
        self.trace = trace
        self.uses: dict[Key, Use] = {}
        self.known: MutableMapping[Tensor, tuple[list[Line], Carried]] = WeakTensorKeyDictionary()

    def follow(self, call: Call, inputs: list[Tensor], layer: str, key: Key | None) -> None:
        """Note what an operator does; `key` is that of the number among its arguments."""
        inputs = [tensor for tensor in inputs if tensor in self.known]
        if not inputs and key is None and not layer:
            return
        lines, carried = self._after(call, inputs, layer)
        if key is not None and call.name in PRODUCTS:
            self._note_makers(call, key, lines)
            labels = self.trace.labels_of(call.outputs[0])
            carried = {**carried, key: None if labels is None else frozenset(core(labels).abs().flatten().tolist())}
        for output in call.outputs:
            self.known.pop(output, None)
            if lines or carried:
                self.known[output] = lines, carried

    def _note_makers(self, call: Call, key: Key, lines: list[Line]) -> None:
        """Note the BatchNorms in which a product is linear: any of them can make up for the number in it."""
        use = self.uses.setdefault(key, Use(_sign(call), self._computed(call)))
        for norm, known in lines:
            channels = self._channels(norm, known, call.outputs[0])
            if channels and (norm, channels) not in use.makers:
                use.makers.append((norm, channels))

    def _computed(self, call: Call) -> float | None:
        """Return the number that code has computed for an operator, unless it holds it as it is."""
        given = [value for value in call.args if isinstance(value, (int, float))]
        if len(given) != 1:
            return None
        for held in vars(self.trace.stack[-1][1]).values():
            if type(held) is float and held == given[0]:
                return None
        return float(given[0])

    def _lines(self, tensor: Tensor) -> list[Line]:
        known = self.known.get(tensor)
        return [] if known is None else known[0]

    def _carried(self, tensor: Tensor) -> Carried:
        known = self.known.get(tensor)
        return {} if known is None else known[1]

    def _after(self, call: Call, inputs: list[Tensor], layer: str) -> tuple[list[Line], Carried]:
        """Return in what the outputs are linear, and which numbers they are times of."""
        if layer:
            self._note_reader(layer, inputs)
            return ([(layer, None)] if isinstance(self.trace.layers.get(layer), _BatchNorm) else []), {}
        if call.name in JOINS:
            carried: Carried = {}
            for tensor in inputs:
                carried.update(self._carried(tensor))
            return [], carried
        if not inputs or call.name not in HOMOGENEOUS | PRODUCTS:
            return [], {}
        if call.name == "div":
            inputs = [tensor for tensor in inputs if tensor is call.args[0]]
        if len(inputs) == 1:
            return self._lines(inputs[0]), self._carried(inputs[0])
        return self._product(inputs)

    def _product(self, factors: list[Tensor]) -> tuple[list[Line], Carried]:
        """Return in what a product is linear: in what one factor is, unless others are as well."""
        lines: list[tuple[str, tuple[int, ...]]] = []
        carried: Carried = {}
        times: Counter[Key] = Counter()
        for tensor in factors:
            for norm, channels in self._lines(tensor):
                lines.append((norm, self._channels(norm, channels, tensor)))
            numbers = self._carried(tensor)
            carried.update(numbers)
            times.update(numbers.keys())
        alone: list[Line] = []
        for place, line in enumerate(lines):
            if line[1] and _is_apart(line, lines[:place] + lines[place + 1 :]):
                alone.append(line)
        return alone, {key: labels for key, labels in carried.items() if times[key] == 1}

    def _channels(self, norm: str, known: tuple[int, ...] | None, tensor: Tensor) -> tuple[int, ...]:
        """Return which outputs of a BatchNorm a tensor holds; none if that cannot be told."""
        if known is not None:
            return known
        labels = self.trace.labels_of(tensor)
        if labels is None:
            return ()
        outputs = self.trace.outputs[norm].tolist()
        index = dict(zip(outputs, range(len(outputs))))
        wanted = set(core(labels).abs().flatten().tolist())
        return tuple(sorted(index[label] for label in wanted)) if wanted <= index.keys() else ()

    def _note_reader(self, layer: str, inputs: list[Tensor]) -> None:
        entering = self.trace.inputs[layer].abs().tolist() if layer in self.trace.inputs else []
        for tensor in inputs:
            for key, labels in self._carried(tensor).items():
                columns = {i for i, label in enumerate(entering) if labels is None or label in labels}
                self.uses[key].readers.setdefault(layer, set()).update(columns)

    def of(self, tensor: Tensor) -> frozenset[str | Key]:
        """Return the BatchNorms in whose outputs a tensor is linear, and the numbers that it is times of."""
        norms = dict(self._lines(tensor))
        return frozenset([*norms, *self._carried(tensor)])


def _is_apart(line: tuple[str, tuple[int, ...]], others: Iterable[tuple[str, tuple[int, ...]]]) -> bool:
    """Whether no others are of the same outputs of the same BatchNorm."""
    norm, outputs = line
    taken: set[int] = set()
    for name, theirs in others:
        if name == norm:
            taken.update(theirs)
    return taken.isdisjoint(outputs)


def _sign(call: Call) -> int:
    return {"mul": 1, "div": -1}.get(call.name, 0)
