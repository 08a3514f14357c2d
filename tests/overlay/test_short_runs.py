"""Runs that are too short for the scales: `auto` takes no larger step for it, or none; and what is ruined is named."""

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


LONG = 75  # epochs of four steps that take more than half of the channels to zero, and not the whole way
EPOCHS = (1, 3, 20, 60, LONG, 80, 120, 400)


def begun(run):
    """Return the penalty of a run that has not begun, and its largest lr·λ."""
    penalty = Penalty(run)
    penalty.detach()
    shapes = (run.lf(e) * penalty.settings.shape(e, run.epochs) for e in range(run.epochs))
    return penalty, LR0 * penalty.strength * max(shapes)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_steps_are_such_as_a_model_can_follow_and_take_half_of_the_channels_to_zero_or_there_is_none(schedule):
    runs = [begun(Run(epochs=epochs, sparsity="auto", **schedule)) for epochs in EPOCHS]
    with_any = [bool(step) for _, step in runs]
    assert with_any == sorted(with_any)  # the longer ones
    assert with_any[:3] == [False] * 3
    assert with_any[-3:] == [True] * 3
    for penalty, step in runs:  # all scales are 1
        assert step <= STEP * 1.01
        assert step == 0 or 0.99 < penalty.travel() < 1.01 * TRAVEL


def test_a_long_run_takes_smaller_ones():
    penalty, step = begun(Run(epochs=1000, sparsity="auto"))
    assert step < 0.5 * STEP
    assert penalty.travel() == pytest.approx(TRAVEL, rel=1e-2)


def test_the_step_is_a_share_of_what_the_scales_are_worth():
    for size in (1.0, 4.0):
        run = Run(epochs=LONG, sparsity="auto")
        for norm in (run.model.norm1, run.model.norm2):
            norm.weight.data.fill_(size)
        assert begun(run)[1] == pytest.approx(size * STEP, rel=1e-2)


@pytest.mark.parametrize(("epochs", "step"), [(LONG, 0), (3 * LONG, STEP)])
def test_the_fastest_group_of_scales_is_the_measure(epochs, step):
    """MuSGD trains some at three times the rate."""
    model = Net()
    groups = [{"params": list(model.norm2.parameters()), "lr": 3 * LR0}, {"params": list(model.norm1.parameters())}]
    run = Run(model, torch.optim.SGD(groups, lr=LR0), epochs=epochs, sparsity="auto")
    assert 3 * begun(run)[1] == pytest.approx(step, rel=1e-2)


def test_weights_by_cost_count():
    run = Run(epochs=80, sparsity="auto", sparsity_weight="flops")
    penalty, largest = begun(run)
    weights = torch.cat([mask for _, mask in penalty.norms])
    assert weights.unique().numel() == 2
    assert largest * float(weights.max()) == pytest.approx(STEP * penalty.distance(), rel=1e-2)


def learn(y):
    """Return a loss that moves what is trained."""
    return (y - 1).square().mean()


@pytest.mark.parametrize("arguments", [{}, {"sparsity_weight": "flops"}, {"sparsity_warmup": 2.0}])
def test_a_run_that_takes_none_trains_to_the_same_bits_as_without(arguments):
    ours = Run(epochs=5, sparsity="auto", **arguments).train(learn)
    plain = Run(epochs=5).train(learn)
    moved = [not torch.equal(p, q) for p, q in zip(plain.model.parameters(), Run().model.parameters())]
    assert any(moved)
    assert all(torch.equal(p, q) for p, q in zip(plain.model.parameters(), ours.model.parameters()))


@pytest.mark.parametrize("epochs", [2, 7])
def test_as_many_epochs_as_it_says_take_the_whole_way(epochs, caplog):
    caplog.set_level(logging.INFO, logger="slim")
    run = Run(epochs=epochs, sparsity="auto").train()
    (said,) = warnings(caplog)
    assert said.startswith(
        "slim: sparsity=auto trains without a penalty, and prune.py --data then chooses by images: steps of at most 1%"
    )
    part = STEP * sum(4 * run.lf(e) * (1 - 0.9 * e / epochs) for e in range(epochs))
    assert f"go {part:.2g} of {TRAVEL:.2g} in the {epochs} epochs of this run" in said
    assert "the penalty can move" not in caplog.text
    assert torch.equal(run.model.norm1.weight, torch.ones(8))
    enough = int(re.search(r"takes epochs=(\d+)$", said)[1])
    for length, whole in ((enough, True), (math.floor(0.97 * enough), False)):
        caplog.clear()
        penalty = Penalty(Run(epochs=length, sparsity="auto"))
        assert (penalty.travel() > 0.995 * TRAVEL) == whole
        assert ["slim: sparsity=auto: steps of at most" in text for text in warnings(caplog)] == [True] * (not whole)


def warnings(caplog):
    """Return what was warned of."""
    return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


@pytest.mark.parametrize("epochs", [4, LONG])
@pytest.mark.parametrize("at", [1, 2, 3])
def test_a_resumed_run_keeps_its_strength_and_says_nothing_of_its_length(epochs, at, tmp_path, caplog):
    whole = Run(epochs=epochs, sparsity="auto", folder=tmp_path).train(stop=at)
    caplog.clear()
    rest = Run(whole.model, epochs=epochs, sparsity="auto", folder=tmp_path)
    rest.epoch = at
    assert Penalty(rest).strength == pytest.approx(whole.slim_penalty.strength, rel=1e-6)
    assert bool(whole.slim_penalty.strength) == (epochs == LONG)
    assert not warnings(caplog)


class TestYolov5:
    @pytest.mark.parametrize("loop", [{"batch": 64}, {"batch": 16, "batches": 13, "epochs": 20}])
    def test_the_same(self, loop, caplog):
        run = RunV5("--sl", "auto", **loop).train()
        assert run.optimizer.slim_penalty.strength == 0
        assert torch.equal(run.model.norm1.weight, torch.ones(8))
        said = r"slim: --sl auto trains without a penalty, .* the whole way takes --epochs \d+$"
        assert re.search(said, caplog.text, re.MULTILINE)

    def test_a_run_that_is_all_but_long_enough_takes_the_largest_steps(self):
        run = RunV5("--sl", "auto", batch=64, epochs=LONG)
        run.train()
        assert LR0 * run.optimizer.slim_penalty.strength == pytest.approx(STEP, rel=1e-2)

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
