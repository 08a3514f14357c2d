"""Values that modules give to each other, with other tensors in them."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor

from slim.labels.kept import mapped
from slim.labels.tracked import tensors


class Pair(list):  # type: ignore[type-arg]
    """A list that is made of two."""

    def __init__(self, one: Any, other: Any) -> None:
        super().__init__([one, other])
        self.said = "kept"


class Couple(tuple):  # type: ignore[type-arg]
    """A tuple that is made of two."""

    __slots__ = ()

    def __new__(cls, one: Any, other: Any) -> Any:
        return super().__new__(cls, (one, other))


class Named(NamedTuple):
    one: Any
    other: Any = None


ONE, OTHER = torch.zeros(2), torch.ones(2)


@pytest.mark.parametrize(
    "value",
    [
        ONE,
        [ONE, 3, [OTHER]],
        (ONE, OTHER),
        {"a": ONE, "b": [OTHER, None]},
        OrderedDict(a=ONE),
        Pair(ONE, OTHER),
        Couple(ONE, OTHER),
        Named(ONE, "said"),
        [ONE.shape, OTHER],
        torch.stack([ONE, OTHER]).max(0),
        (Pair(Couple(ONE, 1), OTHER), Named({"a": ONE})),
    ],
)
def test_other_tensors_come_in_the_same_place_in_the_same_class(value: Any) -> None:
    seen: list[Tensor] = []

    def change(tensor: Tensor) -> Tensor:
        seen.append(tensor)
        return tensor + 1

    before = tensors(value)
    made = mapped(value, change)
    assert list(map(id, seen)) == list(map(id, before)) == list(map(id, tensors(value)))
    assert all(torch.equal(new, old + 1) for new, old in zip(tensors(made), before))
    assert len(tensors(made)) == len(before)
    assert type(made) is type(value)
    assert vars(made) == vars(value) if hasattr(value, "__dict__") and not isinstance(value, Tensor) else True
