"""Runs that are too short for the scales: `auto` takes no larger step for it, says so, and what is ruined is named."""

from __future__ import annotations

import logging
import math
import re

import pytest
import torch

from slim.sparsity import SPELLING, Penalty, note_end
from slim.training.ending import fallen
from slim.training.schedule import STEP, TRAVEL
from tests.overlay.sparse_run import LR0, Net, Run
from tests.overlay.test_yolov5_sparsity import Run as RunV5

SCHEDULES = [{}, {"sparsity_decay": 0.0}, {"sparsity_warmup": 2.0}]


def largest_step(run):
    """Return the largest lr·λ of a run that has not begun."""
    penalty = Penalty(run)
    penalty.detach()
    return max(LR0 * run.lf(e) * penalty.strength * penalty.settings.shape(e, run.epochs) for e in range(run.epochs))


@pytest.mark.parametrize("epochs", [1, 3, 20, 60])
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_no_step_is_larger_than_a_model_can_follow(epochs, schedule):
    run = Run(epochs=epochs, batches=3, sparsity="auto", **schedule)
    assert largest_step(run) == pytest.approx(STEP, rel=1e-2)  # all scales are 1


def test_a_long_run_takes_smaller_ones():
    run = Run(epochs=1000, sparsity="auto")
    assert largest_step(run) < 0.5 * STEP
    assert Penalty(run).travel() == pytest.approx(TRAVEL, rel=1e-2)


def test_the_step_is_a_share_of_what_the_scales_are_worth():
    run = Run(epochs=3, sparsity="auto")
    for norm in (run.model.norm1, run.model.norm2):
        norm.weight.data.fill_(4.0)
    assert largest_step(run) == pytest.approx(4 * STEP, rel=1e-2)


def test_the_fastest_group_of_scales_is_the_measure():
    """MuSGD trains some at three times the rate."""
    model = Net()
    groups = [{"params": list(model.norm2.parameters()), "lr": 3 * LR0}, {"params": list(model.norm1.parameters())}]
    run = Run(model, torch.optim.SGD(groups, lr=LR0), epochs=3, sparsity="auto")
    assert 3 * largest_step(run) == pytest.approx(STEP, rel=1e-2)


def test_weights_by_cost_count():
    run = Run(epochs=3, sparsity="auto", sparsity_weight="flops")
    penalty = Penalty(run)
    before = [norm.weight.detach().clone() for norm, _ in penalty.norms]
    penalty.detach()
    run.train()
    steps = len(run.train_loader) * 3
    moved = max(float((a - norm.weight.detach()).abs().max()) for a, (norm, _) in zip(before, penalty.norms))
    assert 0 < moved <= steps * STEP * penalty.distance() * 1.01


@pytest.mark.parametrize("epochs", [2, 7])
def test_as_many_epochs_as_it_says_take_the_whole_way(epochs, caplog):
    caplog.set_level(logging.INFO, logger="slim")
    run = Run(epochs=epochs, sparsity="auto").train()
    (said,) = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert f"{run.stated:.2g} of {TRAVEL:.2g} in the {epochs} epochs of this run" in said
    assert run.model.norm1.weight.min().item() > 0.5
    enough = int(re.search(r"takes epochs=(\d+)$", said)[1])
    for length, whole in ((enough, True), (math.floor(0.97 * enough), False)):
        caplog.clear()
        penalty = Penalty(Run(epochs=length, sparsity="auto"))
        assert (penalty.travel() > 0.995 * TRAVEL) == whole
        assert bool([r for r in caplog.records if r.levelno == logging.WARNING]) != whole


def test_a_resumed_run_keeps_its_strength_and_says_nothing_of_its_length(tmp_path, caplog):
    whole = Run(epochs=4, sparsity="auto", folder=tmp_path).train(stop=2)
    caplog.clear()
    rest = Run(whole.model, epochs=4, sparsity="auto", folder=tmp_path)
    rest.epoch = 2
    assert Penalty(rest).strength == pytest.approx(whole.slim_penalty.strength, rel=1e-6)
    assert not [r for r in caplog.records if r.levelno == logging.WARNING]


class TestYolov5:
    @pytest.mark.parametrize("loop", [{"batch": 64}, {"batch": 16, "batches": 13, "epochs": 20}])
    def test_the_same(self, loop, caplog):
        run = RunV5("--sl", "auto", **loop).train()
        assert LR0 * run.optimizer.slim_penalty.strength == pytest.approx(STEP, rel=1e-2)
        assert run.model.norm1.weight.min().item() > 0.3
        assert re.search(
            r"slim: --sl auto takes steps of at most 1% .* the whole way takes --epochs \d+$", caplog.text, re.MULTILINE
        )

    def test_the_end_is_warned_of(self, caplog):
        run = RunV5("--sl", 20.0, batch=64, save_dir="runs/exp").train()
        assert bool((run.model.norm1.weight == 0).all())
        (said,) = [m for m in caplog.messages if "scales are at zero" in m]
        assert "all of norm1, norm2 among them" in said
        assert "python prune.py --weights runs/exp/weights/last.pt --advice" in said
        assert said.endswith("--sl 6.7")


class TestTheEnd:
    def ended(self, dead1, dead2, caplog):
        run = Run(sparsity=1e-9)
        for norm, dead in ((run.model.norm1, dead1), (run.model.norm2, dead2)):
            norm.weight.data[:dead] = 0
        run.train()
        caplog.clear()
        for callback in run.callbacks["on_train_end"]:
            callback(run)
        return caplog.messages

    def test_a_layer_that_has_nothing_left_is_named(self, caplog):
        (said,) = self.ended(8, 1, caplog)
        assert said.startswith("slim: 64.3% of the scales are at zero, all of norm1 among them: ")
        assert "python prune.py --weights nowhere/weights/last.pt --advice" in said
        assert "sparsity=3.3e-10" in said

    @pytest.mark.parametrize(("dead1", "dead2"), [(0, 0), (4, 3), (7, 5)])
    def test_a_penalty_that_leaves_something_everywhere_is_fine(self, dead1, dead2, caplog):
        assert self.ended(dead1, dead2, caplog) == []

    def test_channels_that_stay_do_not_count(self):
        norm = torch.nn.BatchNorm2d(40)
        norm.weight.data[1:39] = 0
        masks = torch.tensor([0.0] + [1.0] * 39)
        assert "97.4% of the scales are at zero: " in fallen({"norm": (norm, masks)}, 1.0, SPELLING, None)
        assert fallen({"norm": (norm, 1 - masks)}, 1.0, SPELLING, None) == ""

    def test_a_run_without_a_penalty_says_nothing(self):
        assert note_end(Run()) is None
