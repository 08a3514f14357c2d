"""A block goes only where an identity serves in its place: its parents, its other sizes and training are asked.

Also of: `slim.groups.masking`, `slim.groups.serving`.
"""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - its usual name

from slim.analysis.channels import analyse
from slim.pruning.apply import apply_plan, mask_plan
from slim.pruning.plan import Plan, PlanError, make_plan
from tests.overlay import small
from tests.overlay.networks import assert_same, photo, randomise, run

WIDTH = 16


class Block(nn.Module):
    """x + branch(x), and what parents like to know of it."""

    def __init__(self) -> None:
        super().__init__()
        self.cv1, self.cv2 = small.block(WIDTH, 12, 3), small.block(12, WIDTH, 3)
        self.stride = 1
        self.add = True

    def branch(self, x: Tensor) -> Tensor:
        return self.cv2(self.cv1(x))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.branch(x)


class Wide(small.Net):
    """Two blocks, of which the first is silent."""

    kind: type[nn.Module] = Block

    def build(self) -> None:
        self.m = nn.ModuleList([self.kind(), Block()])

    def body(self, x: Tensor) -> Tensor:
        for block in self.m:
            x = block(x)
        return x


class AsksStride(Wide):
    def body(self, x: Tensor) -> Tensor:
        return super().body(x) * self.m[0].stride


class AsksInTraining(Wide):
    def body(self, x: Tensor) -> Tensor:
        return super().body(x * (int(self.m[0].add) if self.training else 1))


class AsksDefault(Wide):
    """An attribute that the identity lacks without a fall."""

    def body(self, x: Tensor) -> Tensor:
        return super().body(x) + (1.0 if getattr(self.m[0], "add", False) else 0.0)


class AsksConvolution(Wide):
    def body(self, x: Tensor) -> Tensor:
        assert self.m[0].cv2[0].out_channels == x.shape[1]
        return super().body(x)


class CallsMethod(Wide):
    def body(self, x: Tensor) -> Tensor:
        for block in self.m:
            x = x + block.branch(x)
        return x


class Counted(Wide):
    """Iterates over the parts of the block."""

    def body(self, x: Tensor) -> Tensor:
        return super().body(x) / len(list(self.m[0].children()))


class Remembering(Block):
    def forward(self, x: Tensor) -> Tensor:
        self.seen = x.mean((1, 2, 3), keepdim=True)
        return super().forward(x)


class ReadsMemory(Wide):
    kind = Remembering

    def body(self, x: Tensor) -> Tensor:
        x = super().body(x)
        return x + self.m[0].seen


class Listing(Block):
    """Leaves a feature in a list that is not its own."""

    def __init__(self) -> None:
        super().__init__()
        self.shared: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        self.shared.append(x.mean((1, 2, 3), keepdim=True))
        return super().forward(x)


class ReadsList(Wide):
    kind = Listing

    def build(self) -> None:
        super().build()
        self.shared = self.m[0].shared

    def body(self, x: Tensor) -> Tensor:
        x = super().body(x)
        total = x + sum(self.shared) if self.shared else x
        self.shared.clear()
        return total


class Pair(Block):
    def forward(self, x: Tensor, other: Any = None) -> Tensor:
        return super().forward(x if other is None else x + 0)


class TwoInTraining(Wide):
    kind = Pair

    def body(self, x: Tensor) -> Tensor:
        x = self.m[0](x, x) if self.training else self.m[0](x)
        return self.m[1](x)


class NamedInTraining(TwoInTraining):
    def body(self, x: Tensor) -> Tensor:
        x = self.m[0](x, other=1) if self.training else self.m[0](x)
        return self.m[1](x)


class Resizing(Block):
    """The identity at 64 pixels alone."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(F.interpolate(x, (64, 64)))


class ResizesToFixed(Wide):
    kind = Resizing


class Cropping(Block):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x)[..., :64]


class Crops(Wide):
    kind = Cropping


class FirstOnly(Block):
    """Works on the first image of a batch for all."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x[:1].expand_as(x))


class Batched(Wide):
    kind = FirstOnly


class Noisy(Block):
    """Another way in training."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x * 0.5 if self.training else x)


class OtherInTraining(Wide):
    kind = Noisy


class Held(Wide):
    """The block's forward is also kept as a function."""

    def build(self) -> None:
        super().build()
        self.call = self.m[0].branch

    def body(self, x: Tensor) -> Tensor:
        return super().body(x) + self.call(x)


class SharedNorm(Wide):
    """A BatchNorm of the block is used outside as well."""

    def build(self) -> None:
        super().build()
        self.again = nn.Conv2d(WIDTH, WIDTH, 1, bias=False)
        self.norm = self.m[0].cv2[1]

    def body(self, x: Tensor) -> Tensor:
        return super().body(x) + self.norm(self.again(x))


class Own(Wide):
    """The loss asks for what the block has."""

    def loss(self, batch: dict[str, Tensor]) -> Tensor:
        return self(batch["img"]).mean() * self.m[0].stride


class Walked(Wide):
    """A parent that is a `Sequential`, whose own parent walks through it."""

    def build(self) -> None:
        self.m = nn.Sequential(Block(), Block())

    def body(self, x: Tensor) -> Tensor:
        for index in range(len(self.m)):
            x = self.m[index](x)
        return x


class Repeated(Wide):
    """The same block at two places, around one of its own."""

    def build(self) -> None:
        block = Block()
        self.m = nn.ModuleList([block, Block(), block])


class TwoNames(Wide):
    def build(self) -> None:
        super().build()
        self.alias = self.m[0]

    def body(self, x: Tensor) -> Tensor:
        return self.alias(super().body(x))


class DropsPath(Block):
    """Stochastic depth: draws at random in training."""

    def forward(self, x: Tensor) -> Tensor:
        keep = torch.rand(len(x), 1, 1, 1) > 0.5 if self.training else 1.0
        return x + self.branch(x) * keep


class StochasticDepth(Wide):
    kind = DropsPath

    def build(self) -> None:
        self.m = nn.ModuleList([DropsPath(), DropsPath()])


KEPT = [
    *(AsksStride, AsksInTraining, AsksDefault, AsksConvolution, CallsMethod, Counted, ReadsMemory, ReadsList),
    *(TwoInTraining, NamedInTraining, ResizesToFixed, Crops, Batched, OtherInTraining, Held, SharedNorm, Own),
]
GONE = [Wide, Walked, Repeated, TwoNames, StochasticDepth]


def silent(network: type[Wide]) -> tuple[Any, Plan]:
    """Return a network whose first block says nothing, and its plan."""
    torch.manual_seed(0)
    model: Any = randomise(network())
    for norm in model.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.weight.data.add_(0.2)
    model.m[0].cv2[1].weight.data.mul_(0.01)
    return model, make_plan(model, analyse(model), threshold=0.05)


def assert_pruned_is_masked(model: nn.Module, plan: Plan) -> None:
    pruned, masked = copy.deepcopy(model), copy.deepcopy(model)
    channels = analyse(model)
    mask_plan(masked, plan, channels)
    apply_plan(pruned, plan, channels, fold=False)
    for image in (photo(64, 2), photo(96, 1)):
        try:
            expected = run(masked, image)
        except RuntimeError:
            continue
        assert_same(run(pruned, image), expected)
    pruned.train()
    assert all(bool(output.isfinite().all()) for output in run(pruned, photo(64, 2)))


@pytest.mark.parametrize("network", KEPT)
def test_a_block_that_the_model_knows_otherwise_is_kept_at_its_least(network: type[Wide]) -> None:
    model, plan = silent(network)
    assert plan.removed == {}
    if network not in {CallsMethod, Held, SharedNorm}:
        assert len(plan.keep["m.0.cv1.1"]) == 12
    assert_pruned_is_masked(model, plan)


@pytest.mark.parametrize("network", GONE)
def test_a_block_goes_wherever_it_stands(network: type[Wide]) -> None:
    model, plan = silent(network)
    assert list(plan.removed) == ["m.0"]
    assert_pruned_is_masked(model, plan)
    apply_plan(model, plan)
    assert not [name for name, m in model.named_modules() if isinstance(m, Block) and m.cv2[1].weight.abs().max() < 0.1]


class Mixed(Wide):
    """Of four silent blocks one may not go."""

    def build(self) -> None:
        self.m = nn.ModuleList([Block(), Block(), Block(), Block()])

    def body(self, x: Tensor) -> Tensor:
        return super().body(x) * self.m[2].stride


def test_one_that_must_stay_does_not_hold_the_others() -> None:
    model = silent(Mixed)[0]
    for block in model.m:
        block.cv2[1].weight.data.fill_(0.001)
    plan = make_plan(model, analyse(model), threshold=0.05)
    assert sorted(plan.removed) == ["m.0", "m.1", "m.3"]
    assert_pruned_is_masked(model, plan)


class Nested(Wide):
    """The parts of a `Sequential` that is itself asked for its length may go, though it may not."""

    def build(self) -> None:
        self.m = nn.ModuleList([nn.Sequential(Block(), Block())])

    def body(self, x: Tensor) -> Tensor:
        return super().body(x) / len(self.m[0])


def test_parts_may_go_where_the_whole_may_not() -> None:
    torch.manual_seed(0)
    model: Any = randomise(Nested())
    for block in model.m[0]:
        block.cv2[1].weight.data.fill_(0.001)
    plan = make_plan(model, analyse(model), threshold=0.005)
    assert sorted(plan.removed) == ["m.0.0", "m.0.1"]
    assert_pruned_is_masked(model, plan)


def test_a_plan_that_removes_what_is_known_otherwise_is_refused() -> None:
    _, plan = silent(Wide)
    model, _ = silent(AsksStride)
    with pytest.raises(PlanError, match=r"removes m\.0, in whose place the identity does not serve; make a plan anew"):
        apply_plan(model, plan)
    assert isinstance(model.m[0], Block)
