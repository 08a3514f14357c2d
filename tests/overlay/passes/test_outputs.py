"""What a model gives out stays as it is, in whatever it is put, and counts as read.

Also of: `slim.passes.caller`, `slim.passes.trace`.
"""

from __future__ import annotations

import copy
from collections import deque
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - its usual name

from slim.analysis.channels import analyse
from slim.labels.tracked import Product
from slim.passes.flops import operations
from slim.passes.outputs import reached
from slim.pruning.apply import apply_plan
from slim.pruning.plan import make_plan
from tests.overlay.networks import photo, randomise, run
from tests.overlay.rule_networks import WIDTH, parameter
from tests.overlay.small import block

if TYPE_CHECKING:
    from collections.abc import Callable

    from slim.pruning.plan import Plan

GIVEN = "output of the model"


@dataclass(frozen=True)
class Given:
    feature: Tensor
    more: object = None


class Slotted:
    __slots__ = ("feature",)

    def __init__(self, feature: Tensor) -> None:
        self.feature = feature


class Ring:
    """Holds itself."""

    def __init__(self, feature: Tensor) -> None:
        self.ring, self.feature = self, feature


class Giving(nn.Module):
    """Two blocks, and what is made of the second."""

    def __init__(self, give: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.give, self.first, self.second = give, block(3, WIDTH, 3), block(WIDTH, WIDTH, 3)

    def forward(self, x: Tensor) -> object:
        return self.give(self.second(self.first(x)))


def reasons(model: nn.Module) -> dict[str, str]:
    return dict(analyse(randomise(model), torch.zeros(1, 3, 32, 32)).reasons())


@pytest.mark.parametrize(
    "give",
    [
        Given,
        Slotted,
        Ring,
        lambda x: SimpleNamespace(feature=x),
        lambda x: Given(x.new_zeros(1), [{"deep": Slotted(x)}]),
        lambda x: {x},
        lambda x: deque([x]),
        lambda x: (x.new_zeros(1), {"feature": x}),
    ],
)
def test_an_output_stays_in_whatever_it_is_put(give: Callable[[Tensor], Any]) -> None:
    assert reasons(Giving(give)) == {"second.1": GIVEN}


@pytest.mark.parametrize(
    ("give", "name"),
    [
        (Tensor.numpy, "numpy"),
        (lambda x: x.mean((2, 3)).tolist(), "tolist"),
        (lambda x: x.detach().cpu().__array__(), "__array__"),
        (lambda x: (x.new_zeros(1), {"deep": Slotted(x.sigmoid().numpy())}), "numpy"),
    ],
)
def test_what_is_given_out_as_numbers_stays(give: Callable[[Tensor], Any], name: str) -> None:
    assert reasons(Giving(give)) == {"second.1": f"{name} in the model"}


def test_what_is_but_computed_elsewhere_is_left_to_the_proof() -> None:
    assert reasons(Giving(lambda x: torch.from_numpy(x.numpy().sum(1)))) == {}


@pytest.mark.parametrize(
    "put",
    [
        lambda y: y,
        Given,
        Slotted,
        Ring,
        lambda y: {y},
        lambda y: Given(y[:0], {"deep": [Slotted(y)]}),
        lambda y: y.numpy(),
        lambda y: [0.5, y.flatten().tolist()],
    ],
)
def test_an_output_is_proved_in_whatever_it_is_put(put: Callable[[Tensor], Any]) -> None:
    def give(x: Tensor) -> object:
        return put(x.sum(1, keepdim=True) + torch.from_numpy(x.numpy().mean(1, keepdims=True)))

    model: Any = Giving(give)
    found = reasons(model)
    assert set(found) == {"first.1", "second.1"} or found == {"second.1": "numpy in the model"}
    assert set(found.values()) <= {"differs in the model", "numpy in the model"}


def test_each_tensor_is_reached_once_and_none_of_a_module() -> None:
    x = torch.zeros(1)
    assert list(reached([x, {"again": x}, Given(x, nn.Linear(2, 2))])) == [x]


class Computed(nn.Module):
    """Gives out what it makes of a weight that it convolves with."""

    def __init__(self, give: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.stem, self.weight, self.give = block(3, WIDTH, 3), parameter(WIDTH, WIDTH, 1, 1), give
        self.norm, self.head = nn.BatchNorm2d(WIDTH), nn.Conv2d(WIDTH, 5, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.head(self.norm(F.conv2d(self.stem(x), self.weight))), self.give(self.weight)


@pytest.mark.parametrize("give", [lambda w: w * 2, lambda w: w.flatten(1) + 0, lambda w: w.flip(1)])
def test_an_output_with_several_rows_of_channels_stays(give: Callable[[Tensor], Tensor]) -> None:
    assert reasons(Computed(give)) == {"stem.1": GIVEN, "norm": GIVEN}


class Read(nn.Module):
    """Its convolution is read by a BatchNorm, and by something else as well, or not."""

    def __init__(self, gate: Callable[[Any, Tensor], Tensor] | None, *, give: bool = False) -> None:
        super().__init__()
        self.stem, self.conv = block(3, WIDTH, 1), nn.Conv2d(WIDTH, WIDTH, 1, bias=False)
        self.norm, self.head, self.gate = nn.BatchNorm2d(WIDTH), nn.Conv2d(WIDTH, 5, 1), gate
        self.give, self.each, self.many = give, parameter(1, WIDTH, 1, 1), parameter(1, WIDTH, 32, 1)

    def forward(self, x: Tensor) -> Any:
        y = self.conv(self.stem(x))
        z = self.norm(y)
        z = self.head(z if self.gate is None else z * self.gate(self, y))
        return (z, y) if self.give else z


def speaking(model: nn.Module, plan: Plan) -> Any:
    """Return a copy in which what goes says what it says with a scale of zero."""
    twin = copy.deepcopy(model)
    for name, keep in plan.keep.items():
        norm = twin.get_submodule(name)
        if isinstance(norm, nn.BatchNorm2d):
            kept = torch.zeros(norm.num_features).index_fill(0, torch.tensor(keep), 1.0)
            norm.weight.data *= kept
    return twin


@pytest.mark.parametrize(
    ("network", "alone"),
    [
        (lambda: Read(None), True),
        (lambda: Read(lambda s, y: (y * s.each).sigmoid()), False),
        (lambda: Read(lambda s, y: (y * s.many).sigmoid()), False),
        (lambda: Read(lambda s, y: torch.addcmul(y, y, s.many).sigmoid()), False),
        (lambda: Read(None, give=True), False),
    ],
)
def test_what_is_folded_reaches_all_that_read_a_convolution(network: Callable[[], nn.Module], *, alone: bool) -> None:
    torch.manual_seed(0)
    model: Any = randomise(network())
    model.norm.weight.data += 5  # what goes is the stem's, which the convolution alone reads
    channels = analyse(model, torch.zeros(1, 3, 32, 32))
    assert (channels.followed_by.get("conv") == "norm") == alone
    plan = make_plan(model, channels, ratio=0.2)
    wanted = run(speaking(model, plan), photo(32))
    apply_plan(model, plan, channels)
    assert model.conv.in_channels < WIDTH
    for ours, theirs in zip(run(model, photo(32)), wanted):
        torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)


class Failing(nn.Linear):
    """What a machine lacks, as a fast attention."""

    def forward(self, _: Tensor) -> Tensor:
        raise RuntimeError("there is none")


class Falling(nn.Module):
    """Goes on in another way where a part has failed."""

    def __init__(self, put: Callable[[Tensor], Any], *, deep: bool) -> None:
        super().__init__()
        self.put, self.first, self.second = put, block(3, WIDTH, 3), block(WIDTH, WIDTH, 3)
        self.fast, self.last = Failing(2, 2), nn.Conv2d(WIDTH, 5, 1)
        if deep:
            self.fast = nn.Sequential(nn.Identity(), nn.Sequential(self.fast))  # type: ignore[assignment]

    def forward(self, x: Tensor) -> object:
        y = self.second(self.first(x))
        try:
            y = self.fast(y)
        except RuntimeError:
            y = y * 2
        return self.put(self.last(y) + torch.from_numpy(y.numpy().mean(1, keepdims=True)))


@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize("put", [lambda y: y, lambda y: [y], Given])
def test_a_failure_that_code_has_caught_is_blamed_on_nobody(put: Callable[[Tensor], Any], *, deep: bool) -> None:
    assert reasons(Falling(put, deep=deep)) == dict.fromkeys(("first.1", "second.1"), "differs in the model")


class Around(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = Falling(lambda y: y.flatten(2), deep=True)

    def forward(self, x: Tensor) -> Tensor:
        y = self.inner(x)
        return torch.bmm(y, y.transpose(1, 2))


def test_products_are_counted_by_the_module_whose_code_has_asked() -> None:
    found = operations(Around(), 32)
    assert [operation.product for operation in found if operation.product is not None] == [Product("", 1)]
