"""What is done on the user's images is what serves; the rest is measured and left."""

from __future__ import annotations

import copy

import pytest
import torch

from slim.analysis.channels import analyse
from slim.pruning.apply import apply_plan
from slim.pruning.plan import make_plan
from slim.recovery.choice import AS_CUT, STATISTICS, WAYS, WEIGHTS, most_images, output_error, recover
from tests.overlay import small
from tests.overlay.networks import photo, randomise, stock
from tests.overlay.recovery.test_reconstruct import images


def cut(ratio: float = 0.5):
    torch.manual_seed(0)
    model = randomise(small.Residual())
    channels = analyse(model)
    plan = make_plan(model, channels, ratio=ratio)
    pruned = copy.deepcopy(model)
    apply_plan(pruned, plan, channels)
    return model, pruned, plan, channels


def test_the_one_that_is_nearest_is_kept():
    model, pruned, plan, channels = cut()
    recovered = recover(model, pruned, plan, channels, images(16))
    assert list(recovered.errors) == [AS_CUT, STATISTICS, WEIGHTS]
    assert recovered.errors[recovered.way] == min(recovered.errors.values())
    unseen = images(16)[[7, 15]]
    assert output_error(model, recovered.model, channels, unseen) == pytest.approx(recovered.errors[recovered.way])


def test_nothing_is_done_where_nothing_is_lost():
    model, pruned, plan, channels = cut(0.0)
    recovered = recover(model, pruned, plan, channels, images(16))
    assert recovered.way == AS_CUT
    assert recovered.model is pruned
    assert recovered.errors[AS_CUT] < 1e-9


@pytest.mark.parametrize("way", [way for way in WAYS if way != "best"])
def test_one_that_is_asked_for_is_taken(way):
    model, pruned, plan, channels = cut()
    before = {name: value.clone() for name, value in pruned.state_dict().items()}
    recovered = recover(model, pruned, plan, channels, images(16), way)
    assert recovered.way == (AS_CUT if way == "none" else way)
    changed = {n for n, v in recovered.model.state_dict().items() if not torch.equal(v, before[n])}
    assert any(name.endswith("weight") for name in changed) == (way == "weights")
    assert any("running" in name for name in changed) == (way != "none")
    assert all(torch.equal(value, before[name]) for name, value in pruned.state_dict().items())


@pytest.mark.parametrize("value", [1e5, -7e4, float("nan"), float("inf")])
def test_what_a_checkpoint_cannot_hold_or_says_nothing_is_not_taken(value, monkeypatch):
    model, pruned, plan, channels = cut()

    def overflow(_, made, *__):
        made.get_submodule(next(iter(channels.norms))).weight.data[0] = value

    monkeypatch.setattr("slim.recovery.choice.reconstruct", overflow)
    recovered = recover(model, pruned, plan, channels, images(16))
    assert recovered.errors[WEIGHTS] == float("inf")
    assert recovered.way != WEIGHTS


def test_of_a_single_image_there_are_statistics_alone():
    model, pruned, plan, channels = cut()
    assert list(recover(model, pruned, plan, channels, images(1)).errors) == [AS_CUT, STATISTICS]


def test_a_larger_image_leaves_room_for_fewer():
    model, _ = stock("yolov8n")
    few, many = (most_images(model, photo(side), 1 << 28) for side in (256, 64))
    assert 2 <= few < many
    assert few * 4 * 16 * 128 * 128 < 1 << 28
