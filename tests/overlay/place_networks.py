"""Places that write into memory which others read, cut what does not come out even, or give lists of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from .rule_networks import WIDTH, Case
from .small import block

if TYPE_CHECKING:
    from collections.abc import Callable


def written(write: Callable[[Tensor, Tensor], object], spread: Callable[[Tensor, Tensor], Tensor]) -> Case:
    """A case in which what is written to a gate of each channel is read where that was spread over the image before."""

    def do(s: Any, x: Tensor) -> Tensor:
        gate = x.mean((2, 3), keepdim=True).clone()
        wide = spread(gate, x)
        write(gate, s.c(x).mean((2, 3), keepdim=True))
        return x * wide.sigmoid()

    return Case(do, lambda: {"c": block(WIDTH, WIDTH)})


WRITTEN = {
    "over_what_is_expanded": written(Tensor.copy_, Tensor.expand_as),
    "added_to_what_is_expanded": written(Tensor.add_, Tensor.expand_as),
    "multiplied_with_what_is_expanded": written(Tensor.mul_, Tensor.expand_as),
    "shifted_where_it_is_expanded": written(lambda gate, _: gate.sigmoid_(), Tensor.expand_as),
    "over_what_is_expanded_once": written(Tensor.copy_, lambda gate, x: gate.expand(-1, -1, x.shape[2], -1)),
    "over_what_is_expanded_and_turned": written(
        Tensor.copy_, lambda gate, x: gate.expand_as(x).transpose(1, 3).transpose(1, 3)
    ),
    "over_a_view": written(Tensor.copy_, lambda gate, _: gate.view(gate.shape)),
}


class Parts(nn.Module):
    """Cuts into parts of a size that it holds, and joins them the other way round."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat(x.split(self.size, 1)[::-1], 1)


def parts(size: int, frozen: str = "") -> Case:
    return Case(lambda s, x: s.parts(x), lambda: {"parts": Parts(size)}, frozen=frozen)


CUT = {
    "two_parts": parts(WIDTH // 2),
    "four_parts": parts(WIDTH // 4),
    "parts_with_a_rest": parts(6, "split in place.parts"),
    "two_parts_with_a_rest": parts(10, "split in place.parts"),
    "a_part_alone": parts(WIDTH),
}


class Pair(list):  # type: ignore[type-arg]
    """A list that is made of two."""

    def __init__(self, one: Tensor, other: Tensor) -> None:
        super().__init__([one, other])


class Couple(tuple):  # type: ignore[type-arg]
    __slots__ = ()

    def __new__(cls, one: Tensor, other: Tensor) -> Any:
        return super().__new__(cls, (one, other))


class Giving(nn.Module):
    def __init__(self, kind: type) -> None:
        super().__init__()
        self.kind = kind

    def forward(self, x: Tensor) -> Any:
        return self.kind(x, x.sigmoid())


def given(kind: type) -> Case:
    return Case(lambda s, x: torch.mul(*s.two(x)), lambda: {"two": Giving(kind)})


GIVEN = {"list_of_its_own": given(Pair), "tuple_of_its_own": given(Couple)}
