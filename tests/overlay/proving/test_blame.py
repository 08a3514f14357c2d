"""What fails is kept, and nothing beside it; what only large images reach is proved at their size.

Also of: `slim.proving.trying`.
"""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from slim.analysis.channels import analyse
from slim.analysis.proof import UnprovenError, proven
from slim.pruning.apply import apply_plan, mask_plan
from slim.pruning.plan import Plan, make_plan
from tests.overlay.networks import assert_same, photo, randomise, run

WIDTH = 16


class Unit(nn.Module):
    """Convolution, BatchNorm, and one activation that the whole network shares, as upstream's Conv has it."""

    act = nn.SiLU()

    def __init__(self, c1: int, c2: int, kernel: int = 1) -> None:
        super().__init__()
        self.conv, self.bn = nn.Conv2d(c1, c2, kernel, padding=kernel // 2, bias=False), nn.BatchNorm2d(c2)
        self.shared = Unit.act

    def forward(self, x: Tensor) -> Tensor:
        return self.shared(self.bn(self.conv(x)))


class Chosen(nn.Module):
    """A layer that is chosen by its width."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.bank = Unit(WIDTH, WIDTH), nn.ModuleDict({str(WIDTH): Unit(WIDTH, WIDTH, 3)})

    def forward(self, x: Tensor) -> Tensor:
        y = self.first(x)
        return self.bank[str(y.shape[1])](y)


class Evenly(nn.Module):
    """Another way for odd widths, with fewer activations in it."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = Unit(WIDTH, WIDTH), Unit(WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        y = self.first(x)
        return self.second(y) if y.shape[1] == WIDTH else y * 2


class Large(nn.Module):
    """Centred over channels where the image is large."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = Unit(WIDTH, WIDTH), Unit(WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        y = self.first(x)
        return self.second(y - y.mean(1, keepdim=True) if y.shape[-1] > 150 else y)


class Strict(nn.Module):
    """Will have nothing but an int."""

    def __init__(self) -> None:
        super().__init__()
        self.first = Unit(WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        if type(x.shape[1]) is not int:
            raise TypeError(type(x.shape[1]))
        return self.first(x)


def network(block: nn.Module) -> Any:
    torch.manual_seed(0)
    layers = [Unit(3, 8, 3), Unit(8, WIDTH, 3), block, Unit(WIDTH, 24, 3), Unit(24, 20), nn.Conv2d(20, 5, 1)]
    return randomise(nn.Sequential(*layers))


@pytest.mark.parametrize("block", [Chosen, Evenly])
def test_a_block_that_fails_keeps_nothing_beside_it(block: type[nn.Module]) -> None:
    model = network(block())
    channels = analyse(model)
    assert set(channels.reasons().values()) <= {"fixed width in 2", "differs in 2"}
    for name in ("0.bn", "3.bn", "4.bn"):
        assert all(channels.prunable(name)), name
    for seed in range(3):
        full = randomise(copy.deepcopy(model), seed)
        plan = make_plan(full, channels, ratio=0.4)
        pruned, masked = copy.deepcopy(full), copy.deepcopy(full)
        apply_plan(pruned, plan, channels, fold=False)
        mask_plan(masked, plan, channels)
        assert_same(run(pruned, photo(32, batch=2)), run(masked, photo(32, batch=2)))


def test_a_plan_is_proved_at_the_size_that_the_model_is_for() -> None:
    model = network(Large())
    channels = analyse(model)
    plan = make_plan(model, channels, ratio=0.5)
    apply_plan(copy.deepcopy(model), plan, channels, fold=False)
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(UnprovenError, match=r"that begins in 2 \(") as caught:
        apply_plan(model, plan, channels, fold=False, imgsz=160)
    assert caught.value.module == "2"
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_what_is_not_proved_is_kept_and_the_plan_made_anew() -> None:
    model = network(Large())
    channels = analyse(model)
    pruned, masked = copy.deepcopy(model), copy.deepcopy(model)

    def apply(plan: Plan) -> Any:
        trying = copy.deepcopy(model)
        apply_plan(trying, plan, channels, fold=False, imgsz=160)
        return trying

    plan, pruned = proven(channels, lambda free: make_plan(model, free, ratio=0.5), apply)
    mask_plan(masked, plan, channels)
    assert_same(run(pruned, photo(160)), run(masked, photo(160)))
    assert plan.notes[0].startswith("differs in 2 (")
    assert any("BatchNorm channels must stay: differs in 2" in note for note in plan.notes)
    assert len(plan.keep["3.bn"]) < 24


def test_code_that_demands_a_plain_int_is_given_one() -> None:
    channels = analyse(network(Strict()))
    assert channels.reasons() == {}


def test_where_nothing_may_go_the_reason_is_named() -> None:
    model = nn.Sequential(nn.Conv2d(3, 8, 1, bias=False), nn.BatchNorm2d(8), nn.Sigmoid(), nn.Conv2d(8, 4, 1)).eval()
    with pytest.raises(ValueError, match="can be pruned: no BatchNorm before convolution in 3 keeps most"):
        make_plan(model, analyse(model), ratio=0.5)
