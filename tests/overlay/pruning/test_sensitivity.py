"""Importance by images: what the outputs lose, without a label. Also of: `slim.pruning.selection`."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from torch import Tensor, nn

from slim.analysis.channels import analyse
from slim.costs.measure import count_parameters
from slim.pruning.apply import apply_plan
from slim.pruning.importance import Importance
from slim.pruning.plan import make_plan
from slim.pruning.selection import Selector
from slim.pruning.sensitivity import by_images, raw_outputs
from slim.recovery.choice import output_error
from tests.overlay import small
from tests.overlay.networks import randomise, stock
from tests.overlay.recovery.test_reconstruct import images


class Linear(nn.Module):
    """No activation: what a channel adds to the outputs is what they lose without it, and not only to first order."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.head = nn.Conv2d(3, 6, 3, bias=False), nn.BatchNorm2d(6), nn.Conv2d(6, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.norm(self.conv(x)))


def without(model: nn.Module, channel: int, shown: Tensor) -> Tensor:
    """Return by how much each output changes when a channel falls silent."""
    silent = copy.deepcopy(model)
    silent.norm.weight.data[channel] = silent.norm.bias.data[channel] = 0
    with torch.no_grad():
        return model(shown) - silent(shown)


def test_is_what_the_outputs_lose():
    torch.manual_seed(0)
    model = randomise(Linear())
    channels, shown = analyse(model), torch.randn(600, 3, 3, 3)
    importance = by_images(model, channels, torch.split(shown, 100))
    for channel, group in enumerate(channels.outputs["norm"]):
        lost = without(model, channel, shown).square().sum((1, 2, 3)).mean().sqrt()
        assert importance.of_group[group] == pytest.approx(float(lost), rel=0.15)  # of 600 draws of signs


def test_a_channel_that_nothing_reads_has_none_however_large_its_scale():
    model = randomise(small.Depthwise())
    with torch.no_grad():
        model.point[1].weight[3] = 9.0
        model.head.weight[:, 3] = 0.0
    channels = analyse(model)
    group = channels.outputs["point.1"][3]
    assert by_images(model, channels, [images(4)]).of_group[group] == 0
    gamma = Importance.of(model, channels).of_group
    assert gamma[group] == max(gamma.values())


def test_a_group_has_what_all_its_batchnorms_have():
    model = randomise(small.Residual())
    channels = analyse(model)
    importance = by_images(model, channels, [images(4)])
    (group,) = {channels.outputs["stem.1"][2]} & set(channels.outputs["second.1"])
    both = [importance.norms[name][channels.outputs[name].index(group)] for name in ("stem.1", "second.1")]
    assert importance.of_group[group] == pytest.approx(math.hypot(*both))
    assert importance.weight[group] == 2


def test_what_only_training_runs_is_looked_at_in_its_branches():
    model, channels = stock("yolov10n")
    importance = by_images(model, channels, [images(4, 64)])
    assert all(math.isfinite(value) for value in importance.of_group.values())


def test_what_no_pass_reaches_stays():
    class Idle(small.Residual):
        def build(self) -> None:
            super().build()
            self.gate = small.block(16, 16)

        def body(self, x: Tensor) -> Tensor:
            return super().body(x) + (self.gate(x) if x.shape[-1] > 64 else 0)

    model = randomise(Idle())
    channels = analyse(model, torch.zeros(1, 3, 96, 96))
    importance = by_images(model, channels, [images(4)])
    kept = make_plan(model, channels, ratio=0.6, importance=importance).keep
    assert set(importance.norms["gate.1"]) == {math.inf}
    assert kept["gate.1"] == list(range(16))
    assert len(kept["first.1"]) < 12


def test_a_batchnorm_without_scales_stays():
    class Plain(small.Residual):
        def build(self) -> None:
            super().build()
            self.plain = nn.BatchNorm2d(16, affine=False)

        def body(self, x: Tensor) -> Tensor:
            return self.plain(super().body(x))

    torch.manual_seed(0)
    model = Plain().eval()
    channels = analyse(model)
    plan = make_plan(model, channels, ratio=0.5, importance=by_images(model, channels, [images(4)]))
    assert len(plan.keep["first.1"]) < 12
    assert len(plan.keep.get("plain", range(16))) == 16


def test_outputs_that_are_not_finite_are_refused():
    model = randomise(small.Residual())
    channels = analyse(model)
    model.head.weight.data.fill_(math.nan)
    with pytest.raises(ValueError, match="not finite"):
        by_images(model, channels, [images(4)])


@pytest.mark.parametrize("name", ["yolov8n", "yolo26n", "yolov8n-cls"])
def test_of_as_many_channels_the_outputs_lose_less_than_by_scales(name):
    model, channels = stock(name)
    weights, state = {n: v.clone() for n, v in model.state_dict().items()}, torch.get_rng_state()
    errors = []
    for importance in (by_images(model, channels, [images(8, 64)]), Importance.of(model, channels)):
        plan = make_plan(model, channels, ratio=0.2, importance=importance)
        pruned = copy.deepcopy(model)
        apply_plan(pruned, plan, channels)
        assert count_parameters(pruned) < count_parameters(model)
        errors.append(output_error(model, pruned, channels, images(4, 64)))
    assert errors[0] < 0.8 * errors[1]
    assert all(torch.equal(value, weights[n]) for n, value in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), state)


def test_the_raw_outputs_are_those_of_the_head():
    model, channels = stock("yolov8n")
    assert raw_outputs(channels) == [f"model.22.cv{branch}.{level}.2" for branch in (2, 3) for level in range(3)]
    assert model.get_submodule("model.22.cv3.0.2").out_channels == 80


def test_blocks_are_tried_once_for_the_same_batchnorms():
    model, channels = stock("yolov8n")
    selector = Selector(model, channels, Importance.of(model, channels))
    first, second = selector.by_ratio(0.3), selector.by_ratio(0.3)
    assert (first.lost, first.removed) == (second.lost, second.removed)
    assert len(selector.tried) == 1
