"""Exact zeros: a threshold takes them all, a target as many as it needs, the lightest first, of every layer alike."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from slim.analysis.channels import analyse
from slim.command import UltralyticsScript
from slim.costs.layer_costs import Costs
from slim.pruning.apply import apply_plan
from slim.pruning.importance import Importance
from slim.pruning.plan import make_plan, plan_of
from slim.pruning.selection import Selector
from slim.pruning.target import Target, reach
from slim.pruning.validate import lost_groups
from slim.pruning.weighing import carried, squares
from slim.script.options import PruneOptions
from slim.script.planner import Planner
from tests.overlay import small
from tests.overlay.networks import randomise, stock

IMGSZ = 160


def kill(model, channels, share, seed=0):
    """Set a share of all scales that may go to exactly zero; return the model."""
    generator = torch.Generator().manual_seed(seed)
    for name in channels.norms:
        weight = model.get_submodule(name).weight.data
        weight[torch.rand(len(weight), generator=generator) < share] = 0
    return model


def reached(model, channels, text, *, weighed=False, **options):
    """Return the plan for a target, and the share of the dense model that it leaves."""
    target, costs, importance = Target.parse(text), Costs.of(model, channels, IMGSZ), Importance.of(model, channels)
    if weighed:
        importance = importance.weighed(
            {g: t.of(target.kind) for g, t in costs.of_groups(channels).items()}, target.kind
        )
    selector = Selector(model, channels, importance, **options)
    dense = costs.total(channels, ()).of(target.kind)

    def price(tried):
        return costs.total(channels, tried.lost, tried.removed).of(target.kind)

    plan = plan_of(selector, reach(target, selector, price, target.limit(dense)))
    return plan, costs.total(channels, lost_groups(plan, channels), plan.removed).of(target.kind) / dense


@pytest.mark.parametrize("dead", [0.9, 0.99, 1.0])
@pytest.mark.parametrize(
    ("name", "text", "weighed"), [("yolov8n", "flops=0.4", True), ("yolo11n", "params=0.3", False)]
)
def test_a_target_keeps_what_it_was_asked_to_keep(name, text, weighed, dead):
    model, channels = stock(name)
    kill(model, channels, dead)
    _, left = reached(model, channels, text, weighed=weighed)
    asked = Target.parse(text).amount
    assert 0.97 * asked < left <= asked


def test_prune_says_how_many_stay_at_zero():
    model, channels = stock("yolov8n")
    options = PruneOptions(Path("last.pt"), score="flops")
    planner = Planner.of(
        UltralyticsScript(load=None, export=None), options, kill(model, channels, 0.95), channels, IMGSZ
    )
    plan = planner.plan_for(Target.parse("flops=0.4"), None, {})
    alive, zeros = 0, 0
    for name in channels.norms:
        kept = plan.keep.get(name, [])
        scales = [planner.selector.importance.of_group.get(channels.outputs[name][index], 1.0) for index in kept]
        zeros += sum(scale == 0 for scale in scales)
        alive += sum(scale > 0 for scale in scales)
    assert zeros > alive > 0
    assert plan.notes[1].startswith(f"{zeros} scales that stay are exactly zero")


def test_as_closely_as_rounding_allows():
    model, channels = stock("yolov8n")
    plan, left = reached(kill(model, channels, 0.95), channels, "flops=0.4", weighed=True, round_to=16)
    assert 0.34 < left <= 0.4
    assert all(len(plan.keep[n]) % 16 == 0 or len(plan.keep[n]) == plan.widths[n] for n in channels.norms)


def test_a_threshold_of_zero_takes_all_of_them():
    model, channels = stock("yolov8n")
    kill(model, channels, 0.5)
    plan = make_plan(model, channels, threshold=0)
    for name in channels.norms:
        scales = model.get_submodule(name).weight
        kept = scales[plan.keep.get(name, [*range(len(scales))])]
        dead = [group for group in channels.outputs[name] if group not in channels.frozen]
        if name == "model.9.cv1.bn":  # no residual, no chunk: nothing but its own scales decides
            assert dead
            assert bool((kept != 0).all())


def test_what_is_alive_stays_while_there_are_zeros():
    model, channels = stock("yolov8n")
    kill(model, channels, 0.8)
    plan, _ = reached(model, channels, "flops=0.5")
    assert plan.threshold == 0
    importance, lost = Importance.of(model, channels), lost_groups(plan, channels)
    assert all(importance.of_group[group] == 0 for group in lost)
    assert lost


def test_of_zeros_the_lightest_go_first():
    model, channels = stock("yolov8n")
    name = "model.9.cv1"
    norm, layer = model.get_submodule(f"{name}.bn"), model.get_submodule(f"{name}.conv")
    norm.weight.data.zero_()
    light = set(
        torch.randperm(len(norm.weight), generator=torch.Generator().manual_seed(0))[: len(norm.weight) // 2].tolist()
    )
    layer.weight.data[sorted(light)] *= 0.1
    row = channels.outputs[f"{name}.bn"]
    last = Importance.of(model, channels).ranked(row)[-len(light) :]
    assert {row.index(group) for group in last} == light


def test_layers_whose_scales_are_all_equal_lose_equal_shares():
    model, channels = stock("yolov8n")
    for name in channels.norms:
        model.get_submodule(name).weight.data.zero_()
    plan = make_plan(model, channels, ratio=0.5)
    narrow = [n for n in channels.norms if all(channels.prunable(n)) and n in plan.keep]
    shares = [len(plan.keep[name]) / plan.widths[name] for name in narrow]
    assert min(shares) > 0.4
    assert len(shares) > 20


class TestBlocks:
    def test_one_that_fell_goes_by_a_threshold(self):
        model, channels = dead_block()
        assert make_plan(model, channels, threshold=0).removed == {"branch": ["branch.1.1"]}

    def test_a_target_that_needs_less_leaves_it(self):
        model, channels = dead_block()
        plan, left = reached(model, channels, "flops=0.95")
        assert plan.removed == {}
        assert 0.8 < left <= 0.95

    def test_a_target_that_needs_more_takes_it(self):
        model, channels = dead_block()
        plan, left = reached(model, channels, "flops=0.3")
        assert plan.removed == {"branch": ["branch.1.1"]}
        assert left <= 0.3


class Branch(small.Net):
    """A residual path around a block of two convolutions."""

    def build(self):
        self.branch = _Sum(small.block(16, 12, 3), small.block(12, 16, 3))

    def body(self, x):
        return self.branch(x)


class _Sum(nn.Sequential):
    def forward(self, x):
        return x + super().forward(x)


def dead_block():
    """Return a model whose block says nothing, for the last of its BatchNorms has no scale left."""
    model = randomise(Branch())
    model.get_submodule("branch.1.1").weight.data.zero_()
    model.get_submodule("branch.0.1").weight.data[:6] = 0
    return model, analyse(model)


class TestCarried:
    @pytest.mark.parametrize(
        "layer",
        [
            nn.Conv2d(8, 12, 3),
            nn.Conv2d(8, 12, 3, groups=4),
            nn.Conv2d(8, 8, 3, groups=8),
            nn.ConvTranspose2d(8, 12, 2),
            nn.ConvTranspose2d(8, 12, 2, groups=2),
            nn.Linear(8, 12),
        ],
    )
    def test_rows_and_columns_are_those_that_the_layer_computes_with(self, layer):
        """A layer is linear: with its weights squared, one pixel of one channel sums what that channel meets."""
        made, read = squares(layer)
        entering = layer.in_features if isinstance(layer, nn.Linear) else layer.in_channels
        layer.weight.data.square_()
        layer.bias.data.zero_()
        sums = torch.zeros(len(made))
        for index in range(entering):
            kernel = () if isinstance(layer, nn.Linear) else (7, 7)
            x = torch.zeros(1, entering, *kernel)
            x[:, index, ...] = 1 if isinstance(layer, nn.Linear) else 0
            if kernel:
                x[:, index, 3, 3] = 1  # one pixel meets every tap once
            out = layer(x).detach()
            each = out[0] if isinstance(layer, nn.Linear) else out[0].sum((1, 2))
            assert float(each.sum()) == pytest.approx(read[index], rel=1e-4)
            sums += each
        assert sums.tolist() == pytest.approx(made, rel=1e-4)

    def test_every_channel_that_may_go_has_a_number(self):
        model, channels = stock("yolo11n")
        found = carried(model, channels)
        groups = {g for name in channels.norms for g in channels.outputs[name]} - channels.frozen.keys()
        assert all(found[group] > 0 for group in groups)


def test_what_is_kept_at_zero_comes_back_in_fine_tuning():
    model, channels = stock("yolov8n")
    plan, _ = reached(kill(model, channels, 0.8), channels, "flops=0.4")
    apply_plan(model, plan, channels)
    zeros = [n.weight.detach() == 0 for n in model.modules() if isinstance(n, nn.BatchNorm2d)]
    assert sum(int(row.sum()) for row in zeros) > 100
    model.train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for _ in range(2):
        found = model(torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0)))
        outputs = found if isinstance(found, list) else list(found.values())
        loss = sum((x - 1).square().mean() for x in outputs if isinstance(x, torch.Tensor))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    now = [n.weight.detach() == 0 for n in model.modules() if isinstance(n, nn.BatchNorm2d)]
    assert sum(int((row & before).sum()) for row, before in zip(now, zeros)) == 0
