"""What a trace keeps: of live tensors, of calls, and of parts that stay even."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd

from .labels import core
from .reason import Reason

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch._ops import OpOverload

    from .rescaling import Key

    Operator = OpOverload[..., "Value"]

# What PyTorch hands to a mode and gets back from it: tensors, numbers, types, and nested lists and dicts of these. What
# stands where, only the schema of each operator says, or the code of each module; who reads one by its place knows it.
Value = Any
LAYERS = (_ConvNd, _BatchNorm, nn.Linear)


class Product(NamedTuple):
    """A product of two activations: the n-th, from 1, that a module's own code asks for in a pass."""

    module: str
    place: int


class UnknownOperatorError(Exception):
    """An operator, or one use of it, through which labels cannot be followed."""


@dataclass
class Tracked:
    """What is known of a live tensor.

    Attributes:
        labels: One label a value, in the tensor's shape.
        made_by: The layer whose raw output it is, "" if that is no layer.
        readers: The layers that read it, "" for an operator without weights.
    """

    labels: Tensor
    made_by: str
    readers: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Call:
    """One dispatched operator: in-place variants go by the plain name."""

    name: str
    func: Operator
    args: tuple[Value, ...]
    kwargs: dict[str, Value]
    outputs: list[Tensor]
    where: str

    @property
    def reason(self) -> Reason:
        """Say what froze a label here."""
        return Reason.at(self.name.strip("_"), self.where)


class Plane:
    """Labels of a tensor that are looked at later, if at all."""

    def __init__(self, labels: Tensor) -> None:
        self.labels = labels

    @cached_property
    def core(self) -> Tensor:
        """The labels, of size 1 along dimensions in which they do not differ."""
        return core(self.labels)


@dataclass(frozen=True)
class Mark:
    """What is known of a tensor where a module is entered or left.

    Attributes:
        rows: Labels of its rows of channels.
        factors: BatchNorms in whose outputs it is linear, and numbers that it is times of.
    """

    rows: list[Plane]
    factors: frozenset[str | Key]

    @property
    def planes(self) -> list[Tensor]:
        """Labels of its rows of channels, of size 1 along dimensions in which they do not differ."""
        return [row.core for row in self.rows]


def planes_of(marks: Iterable[Mark]) -> list[Tensor]:
    """Return the labels of all rows of channels of several tensors."""
    planes = []
    for mark in marks:
        planes += mark.planes
    return planes


@dataclass
class Visit:
    """A call of a module: what is known of all tensors that enter it, and that leave it."""

    entering: list[Mark]
    leaving: list[Mark] = field(default_factory=list)

    @property
    def marks(self) -> list[Mark]:
        """What is known of all of them, what enters first."""
        return [*self.entering, *self.leaving]


@dataclass
class Cut:
    """Parts of one tensor (labels, equally long) that keep equally many channels.

    Attributes:
        reason: Why.
        parts: The labels of each.
        times: How many such parts the size is that the code read, where it is known by that.
        tied: Whether the parts keep the same channels, one to one.
    """

    reason: Reason
    parts: list[list[int]] = field(default_factory=list)
    times: int = 1
    tied: bool = False

    def refine(self, times: int) -> None:
        """Cut each part into several.

        Raises:
            UnknownOperatorError: It does not come out even.
        """
        if times > 1:
            self.parts = pieces_of_all(self.parts, times)
            self.times *= times

    def add(self, part: list[int]) -> None:
        """Take in one more part, unless it is known."""
        if part not in self.parts:
            self.parts.append(part)


@dataclass
class Attention:
    """What the rules for attention note in a trace.

    Attributes:
        heads: First label of what is seen as heads -> key of that cut.
        shaped: Module -> rows of what it has viewed.
        multiplied: How many products of two activations each module has asked for in this pass.
        products: Such a product -> the labels that it takes longer for.
    """

    heads: dict[int, str] = field(default_factory=dict)
    shaped: defaultdict[str, list[list[list[int]]]] = field(default_factory=lambda: defaultdict(list))
    multiplied: Counter[str] = field(default_factory=Counter)
    products: dict[Product, list[int]] = field(default_factory=dict)

    def note(self, module: str, labels: Tensor) -> None:
        """Note what the last product of a module takes longer for, as the first pass has it."""
        self.products.setdefault(Product(module, self.multiplied[module]), labels.flatten().tolist())


def layers_of(model: nn.Module) -> dict[str, _ConvNd | _BatchNorm | nn.Linear]:
    """Return the layers that hold a weight; where code computes one in each pass, that is a weight like any other."""
    layers = {}
    for name, module in model.named_modules():
        if isinstance(module, LAYERS) and "weight" in {*module._parameters, *module._buffers}:  # noqa: SLF001
            layers[name] = module
    return layers


def pieces(part: list[int], count: int) -> list[list[int]]:
    """Cut a part into several even ones.

    Raises:
        UnknownOperatorError: It does not come out even.
    """
    size, rest = divmod(len(part), count)
    if rest or not size:
        raise UnknownOperatorError
    return [part[i : i + size] for i in range(0, len(part), size)]


def pieces_of_all(parts: Iterable[list[int]], count: int) -> list[list[int]]:
    """Cut each of some parts into several even ones.

    Raises:
        UnknownOperatorError: It does not come out even.
    """
    cut = []
    for part in parts:
        cut += pieces(part, count)
    return cut


def tensors(value: object) -> list[Tensor]:
    """Collect the tensors in nested lists, tuples and dicts, in order."""
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    found: list[Tensor] = []
    if isinstance(value, (list, tuple)):
        for item in value:
            found += tensors(item)
    return found
