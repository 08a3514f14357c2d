"""Sizes that know where they came from: the width of a tensor, or an attribute of a module.

A number alone does not say what it counts: 8 may be the heads, the channels of one, or a window. So what the model's
code reads from a shape or from an attribute is an int that remembers, through `//`, `*`, `+` and `-`, what it is a
share of. Only then does a view or a slice that asks for it bind a number of channels to another.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple

from torch.nn.modules.batchnorm import _BatchNorm

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from torch import nn

NUMBERING = {"i", "f", "np"}  # a layer's place, its source and its parameters, as both upstreams note them
LAYER_WIDTHS = ("in_channels", "out_channels", "in_features", "out_features", "num_features")


class ModuleAttr(NamedTuple):
    """An attribute of a module that holds a number, written `module:attribute`.

    Attributes:
        module: Name of the module, "" of the model itself.
        attribute: Its name; of an item in a list or a dict "<name>.<key>".
    """

    module: str
    attribute: str

    def __str__(self) -> str:
        """Return it as it is written for people."""
        return f"{self.module}:{self.attribute}"


@dataclass(frozen=True)
class Source:
    """What a size was read from.

    Attributes:
        module: The module whose attribute it is, "" of the model itself or where it is none.
        attribute: Its name; of an item in a list or a dict "<name>.<key>". "" where it was read from a shape.
        row: The labels that it counts, where it was read from a shape.
    """

    module: str = ""
    attribute: str = ""
    row: tuple[int, ...] = ()

    @property
    def held(self) -> ModuleAttr:
        """The attribute that holds it."""
        return ModuleAttr(self.module, self.attribute)


class Size(int):
    """An int that is an exact sum of shares of what was read."""

    terms: tuple[tuple[Source, Fraction], ...] = ()

    @classmethod
    def of(cls, value: int, source: Source) -> Size:
        """Return a size as it was read."""
        return cls._made(value, {source: Fraction(1)})

    @classmethod
    def _made(cls, value: int, terms: dict[Source, Fraction]) -> Size:
        size = cls(value)
        size.terms = tuple((source, share) for source, share in terms.items() if share)
        return size

    def scaled(self, factor: Fraction) -> int:
        """Return this size times a number; without its origin where that is not whole."""
        value = Fraction(int(self)) * factor
        if value.denominator > 1:
            return int(self) * factor.numerator // factor.denominator
        return Size._made(int(value), {source: share * factor for source, share in self.terms})

    def _plus(self, other: int, sign: int) -> int | None:
        """Return a sum; None where it has no origin."""
        if isinstance(other, Size):
            terms = dict(self.terms)
            for source, share in other.terms:
                terms[source] = terms.get(source, Fraction(0)) + sign * share
            return Size._made(int(self) + sign * int(other), terms)
        return self if type(other) is int and other == 0 else None

    def __add__(self, other: int) -> int:
        """Add."""
        total = self._plus(other, 1)
        return int(self).__add__(other) if total is None else total

    __radd__ = __add__

    def __sub__(self, other: int) -> int:
        """Subtract."""
        rest = self._plus(other, -1)
        return int(self).__sub__(other) if rest is None else rest

    def __neg__(self) -> int:
        """Change the sign."""
        return self.scaled(Fraction(-1))

    def __mul__(self, other: int) -> int:
        """Multiply by a number, which a second size counts as."""
        return self.scaled(Fraction(int(other))) if isinstance(other, int) else int(self).__mul__(other)

    __rmul__ = __mul__

    def __floordiv__(self, other: int) -> int:
        """Divide by a number; what is rounded has no origin."""
        whole = isinstance(other, int) and other != 0
        return self.scaled(Fraction(1, int(other))) if whole else int(self).__floordiv__(other)

    def __rshift__(self, other: int) -> int:
        """Halve so many times."""
        return self // (1 << int(other))

    def __divmod__(self, other: int) -> tuple[int, int]:
        """Divide, and keep the rest as a number."""
        return self // other, self % other

    def __reduce__(self) -> tuple[type[int], tuple[int]]:
        """Pickle and copy as a plain int."""
        return int, (int(self),)


def terms_of(size: object) -> tuple[tuple[Source, Fraction], ...]:
    """Return what a size is a sum of; nothing for a plain number."""
    return size.terms if isinstance(size, Size) else ()


def part_of(size: int, parts: int) -> int:
    """Return the share of each of several equal parts."""
    return size.scaled(Fraction(1, parts)) if isinstance(size, Size) else size // parts


def sizes_of(module: nn.Module) -> Iterator[tuple[str, int]]:
    """Return the attributes of a module that may be sizes, those in lists and dicts as "<name>.<key>"."""
    for name, value in vars(module).items():
        if type(value) in {int, Size} and name not in NUMBERING:
            yield name, value
        elif type(value) in {list, tuple, dict} and not name.startswith("_") and name not in NUMBERING:
            for key, item in _items(value):
                if type(item) is int or type(item) is Size:
                    yield f"{name}.{key}", item


def name_sizes(twin: nn.Module) -> None:
    """Let the sizes that a copied model keeps say who they are."""
    for name, module in twin.named_modules():
        torchs = type(module).__module__.startswith("torch.")  # these hand theirs to operators, and cut nothing
        for attribute, value in list((_widths_of if torchs else sizes_of)(module)):
            set_size(module, attribute, Size.of(value, Source(name, attribute)))


def _widths_of(layer: nn.Module) -> Iterator[tuple[str, int]]:
    for name, value in vars(layer).items():
        if name in LAYER_WIDTHS:
            yield name, value


def set_size(module: nn.Module, attribute: str, value: int) -> None:
    """Set a size where `sizes_of` has found it; a list, tuple or dict is replaced, for others may hold it as well."""
    name, dot, key = attribute.partition(".")
    if not dot:
        setattr(module, name, value)
        return
    held = vars(module)[name]
    changed: dict[object, object] = dict(_items(held))
    keys = dict(zip(map(str, changed), changed))
    changed[keys[key]] = value
    setattr(module, name, changed if isinstance(held, dict) else type(held)(changed.values()))


def layer_side(layer: nn.Module, attribute: str) -> str:
    """Return which channels a layer's width counts: "out" or "in"."""
    return "out" if attribute.startswith("out") or isinstance(layer, _BatchNorm) else "in"


def _items(held: Collection[object]) -> Iterator[tuple[object, object]]:
    return iter(held.items() if isinstance(held, dict) else enumerate(held))
