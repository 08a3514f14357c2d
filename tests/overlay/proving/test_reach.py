"""Layers that only a loss, another size or training reaches, and blocks that turn into others for deployment.

Also of: `slim.groups.deploying`.
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
from slim.pruning.plan import make_plan
from tests.overlay import small
from tests.overlay.networks import assert_same, differ, photo, randomise, run

WIDTH = 16


def images(side: int, batch: int = 2) -> dict[str, Tensor]:
    return {"img": photo(side, batch)}


class Far(small.Net):
    """Two features, and a part that a subclass reaches by a way of its own."""

    def build(self) -> None:
        self.low, self.high = small.block(WIDTH, 24, 3), small.block(24, WIDTH, 3)
        self.aux = nn.Conv2d(24, 7, 1)

    def body(self, x: Tensor) -> Tensor:
        self.kept = self.low(x)
        return self.high(self.kept)


class InLoss(Far):
    def loss(self, batch: dict[str, Tensor], preds: Any = None) -> Tensor:
        preds = self(batch["img"]) if preds is None else preds
        return preds.square().mean() + self.aux(self.kept).square().mean()


class InLossWithTargets(InLoss):
    def loss(self, batch: dict[str, Tensor], preds: Any = None) -> Tensor:
        total = super().loss(batch, preds) + (batch["cls"].float() + batch["bboxes"].sum(1, keepdim=True)).mean()
        return total * self.args.box / self.args.epochs  # type: ignore[union-attr,operator]


class LossThatFailsAfterwards(InLoss):
    def loss(self, batch: dict[str, Tensor], preds: Any = None) -> Tensor:
        return super().loss(batch, preds) + batch["nobody knows this"].mean()


class LossThatFailsBefore(InLoss):
    def loss(self, batch: dict[str, Tensor], preds: Any = None) -> Tensor:
        return batch["nobody knows this"].mean() + super().loss(batch, preds)


class Larger(Far):
    def body(self, x: Tensor) -> Tensor:
        y = super().body(x)
        return y + self.aux(self.kept).mean() if x.shape[-1] >= 200 else y


class Smaller(Far):
    def body(self, x: Tensor) -> Tensor:
        y = super().body(x)
        return y + self.aux(self.kept).mean() if x.shape[-1] < 50 else y


class Oblong(Far):
    def body(self, x: Tensor) -> Tensor:
        y = super().body(x)
        return y + self.aux(self.kept).mean() if x.shape[-1] != x.shape[-2] else y


class Several(Far):
    def body(self, x: Tensor) -> Tensor:
        y = super().body(x)
        return y + self.aux(self.kept).mean() if len(x) > 1 else y


class LargerInTraining(Far):
    def body(self, x: Tensor) -> Tensor:
        y = super().body(x)
        return y + self.aux(self.kept).mean() if self.training and x.shape[-1] >= 200 else y


class WithoutModule(Far):
    """The weight is used without its layer being called."""

    def body(self, x: Tensor) -> Tensor:
        y = super().body(x)
        return y + F.conv2d(self.kept, self.aux.weight, self.aux.bias).mean() if len(x) > 1 else y


REACHED = [InLoss, InLossWithTargets, LossThatFailsAfterwards, Larger, Smaller, Oblong, Several, LargerInTraining]


def pruned_and_masked(network: type[nn.Module], ratio: float = 0.4) -> tuple[Any, Any, Any]:
    torch.manual_seed(0)
    model = randomise(network())
    channels = analyse(model)
    plan = make_plan(model, channels, ratio=ratio)
    pruned, masked = copy.deepcopy(model), copy.deepcopy(model)
    apply_plan(pruned, plan, channels, fold=False)
    mask_plan(masked, plan, channels)
    assert differ(run(model, photo(64)), run(masked, photo(64)))
    return pruned, masked, channels


def assert_runs_alike(pruned: Any, masked: Any) -> None:
    for image in (photo(64), photo(32, 2), photo(256), photo(64)[..., :48]):
        assert_same(run(pruned, image), run(masked, image))


@pytest.mark.parametrize("network", [*REACHED, WithoutModule])
def test_what_another_way_reaches_is_pruned_with_the_rest(network: type[nn.Module]) -> None:
    pruned, masked, channels = pruned_and_masked(network)
    assert channels.unreached == ()
    assert all(channels.prunable("low.1"))
    assert pruned.aux.in_channels == pruned.low[0].out_channels < 24
    assert_runs_alike(pruned, masked)
    if isinstance(pruned, InLoss):
        assert_same([pruned.aux(pruned.kept)], [masked.aux(masked.kept)])
    pruned.train()
    run(pruned, photo(256, 2))


def test_the_model_is_not_changed_by_its_loss() -> None:
    model = randomise(InLossWithTargets())
    before = {name: value for name, value in vars(model).items() if not isinstance(value, dict)}
    analyse(model)
    assert {name: value for name, value in vars(model).items() if not isinstance(value, dict)} == before
    assert "args" not in vars(model)


def test_what_nobody_could_reach_keeps_what_may_feed_it() -> None:
    pruned, masked, channels = pruned_and_masked(LossThatFailsBefore)
    assert channels.unreached == ("aux",)
    assert channels.reasons() == {"low.1": "no pass in aux"}
    assert_runs_alike(pruned, masked)
    pruned.aux(pruned.kept)


def test_what_is_really_unused_costs_nothing() -> None:
    _, _, channels = pruned_and_masked(Far)
    assert channels.unreached == ("aux",)
    assert all(channels.prunable("low.1"))


class Deep(small.Net):
    """A fixed width in a branch that only larger images take."""

    def build(self) -> None:
        self.low, self.aux = small.block(WIDTH, 24, 3), small.block(24, WIDTH, 1)
        self.high = small.block(24, WIDTH, 3)

    def body(self, x: Tensor) -> Tensor:
        x = self.low(x) * 10
        return self.aux(x.view(len(x), 24, -1)[..., None]).mean() + self.high(x) if x.shape[-1] > 200 else self.high(x)


def test_other_ways_are_tried_at_another_width() -> None:
    pruned, masked, channels = pruned_and_masked(Deep, 0.7)
    assert not any(channels.prunable("low.1"))
    assert_runs_alike(pruned, masked)


def test_an_auxiliary_head_in_the_loss_of_a_detector() -> None:
    from ultralytics.cfg import get_cfg
    from ultralytics.nn.tasks import DetectionModel

    class Supervised(DetectionModel):
        def loss(self, batch: dict[str, Tensor], preds: Any = None) -> Any:
            total, items = super().loss(batch, preds)
            x = batch["img"]
            for layer in self.model[:7]:
                x = layer(x)
            return total + self.aux(x).mean(), items

    torch.manual_seed(0)
    model: Any = Supervised("yolov8n.yaml", verbose=False)
    model.aux = nn.Conv2d(128, 4, 1)
    randomise(model)
    channels = analyse(model)
    assert channels.unreached == ()
    apply_plan(model, make_plan(model, channels, ratio=0.5), channels)
    assert model.aux.in_channels == model.model[6].cv2.conv.out_channels < 128
    model.args = get_cfg()
    batch = {
        "img": photo(64, 2),
        "cls": torch.zeros(2, 1),
        "bboxes": torch.full((2, 4), 0.5),
        "batch_idx": torch.arange(2),
    }
    model.train().loss(batch)[0].sum().backward()


class Rep(nn.Module):
    """Three branches that become one convolution; the width of the third is remembered."""

    def __init__(self, width: int = WIDTH, groups: int = 1) -> None:
        super().__init__()
        self.in_channels, self.kernel, self.groups = width, 3, groups
        self.dense = nn.Conv2d(width, width, 3, padding=1, groups=groups, bias=False)
        self.dense_norm, self.norm = nn.BatchNorm2d(width), nn.BatchNorm2d(width)
        self.deployed: nn.Conv2d | None = None

    def forward(self, x: Tensor) -> Tensor:
        return F.silu(self.deployed(x) if self.deployed else self.dense_norm(self.dense(x)) + self.norm(x))

    def branch(self, weight: Tensor, norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
        scale = norm.weight / (norm.running_var + norm.eps).sqrt()  # type: ignore[operator]
        return weight * scale.view(-1, 1, 1, 1), norm.bias - norm.running_mean * scale  # type: ignore[operator]

    def kernel_of_identity(self) -> Tensor:
        weight = torch.zeros(self.in_channels, self.in_channels // self.groups, 3, 3)
        for index in range(self.in_channels):
            weight[index, index % (self.in_channels // self.groups), 1, 1] = 1
        return weight

    def switch_to_deploy(self) -> None:
        kernels = [self.branch(self.dense.weight, self.dense_norm), self.branch(self.kernel_of_identity(), self.norm)]
        layer = nn.Conv2d(self.in_channels, self.in_channels, self.kernel, padding=1, groups=self.groups)
        layer.weight.data, layer.bias.data = (sum(parts) for parts in zip(*kernels))  # type: ignore[union-attr]
        self.deployed = layer


class Depth(Rep):
    """Depthwise: as many groups as channels."""

    def __init__(self) -> None:
        super().__init__(groups=WIDTH)


class Twice(Rep):
    """Two numbers of the same value are read, and a third only looks like one."""

    def __init__(self) -> None:
        super().__init__()
        self.c1 = self.c2 = self.window = WIDTH

    def forward(self, x: Tensor) -> Tensor:
        assert self.window == WIDTH
        return super().forward(x)

    def kernel_of_identity(self) -> Tensor:
        weight = torch.zeros(self.c2, self.c1, 3, 3)
        weight[range(self.c2), range(self.c1), 1, 1] = 1
        return weight

    def reparameterize(self) -> None:
        self.in_channels = self.c1
        super().switch_to_deploy()

    switch_to_deploy = None  # type: ignore[assignment]


class Hidden(Rep):
    """Nobody can tell where the number comes from."""

    def __init__(self) -> None:
        super().__init__()
        self.shape = (WIDTH, WIDTH, 3, 3)

    def kernel_of_identity(self) -> Tensor:
        weight = torch.zeros(self.shape)
        weight[range(WIDTH), range(WIDTH), 1, 1] = 1
        return weight


class Inner(Rep):
    """The number is kept by a part."""

    def __init__(self) -> None:
        super().__init__()
        self.part = Sized()

    def kernel_of_identity(self) -> Tensor:
        weight = torch.zeros(self.part.width, self.part.width, 3, 3)
        weight[range(self.part.width), range(self.part.width), 1, 1] = 1
        return weight


class Sized(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.width = WIDTH


class Deploying(small.Net):
    kind: type[nn.Module] = Rep

    def build(self) -> None:
        between = [*small.block(WIDTH, 24, 3), *small.block(24, WIDTH, 3)]
        self.reps = nn.Sequential(self.kind(), nn.Sequential(*between), self.kind())

    def body(self, x: Tensor) -> Tensor:
        return self.reps(x)


def deploying(kind: type[nn.Module]) -> type[Deploying]:
    return type("Deploying", (Deploying,), {"kind": kind})


@pytest.mark.parametrize("kind", [Rep, Depth, Twice, Inner])
@pytest.mark.parametrize("ratio", [0.3, 0.6])
def test_a_block_is_deployed_after_pruning(kind: type[nn.Module], ratio: float) -> None:
    pruned, masked, channels = pruned_and_masked(deploying(kind), ratio)
    assert all(all(channels.prunable(name)) for name in channels.norms)
    assert not [key for key in channels.attributes if "window" in key.attribute or "kernel" in key.attribute]
    for rep in (pruned.reps[0], pruned.reps[2]):
        before = rep(torch.ones(2, rep.dense.in_channels, 5, 5))
        (getattr(rep, "switch_to_deploy", None) or rep.reparameterize)()
        assert_same([rep(torch.ones(2, rep.dense.in_channels, 5, 5)).detach()], [before.detach()])
    assert_same(run(pruned, photo(32)), run(masked, photo(32)))


def test_a_block_that_could_not_be_deployed_is_kept_whole() -> None:
    pruned, masked, channels = pruned_and_masked(deploying(Hidden), 0.7)
    assert set(channels.reasons().values()) == {"switch_to_deploy in reps.0", "switch_to_deploy in reps.2"}
    for rep in (pruned.reps[0], pruned.reps[2]):
        rep.switch_to_deploy()
    assert_same(run(pruned, photo(32)), run(masked, photo(32)))


@pytest.mark.parametrize("name", ["yolov9t", "yolov10n", "yolo12n", "yolov6n"])
def test_upstream_fuses_what_was_pruned(name: str) -> None:
    from ultralytics import YOLO

    torch.manual_seed(0)
    model: Any = randomise(YOLO(f"{name}.yaml", verbose=False).model)
    channels = analyse(model)
    apply_plan(model, make_plan(model, channels, ratio=0.4), channels)
    before = run(model, photo())[0]
    after = run(model.fuse(verbose=False), photo())[0]
    torch.testing.assert_close(after, before, atol=1e-2, rtol=1e-3)
