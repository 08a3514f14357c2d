"""A pruned model is made ready for few steps in a short run; a dense one, and who says otherwise, go as upstream."""

from __future__ import annotations

import argparse
import math
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from ultralytics.utils.torch_utils import ModelEMA

from slim.few_steps import MADE, add_option, gathered, prepare, prepared, ramp
from slim.yolov5 import _Run
from tests.overlay.test_architecture import build, pruned


class Wrapped(nn.Module):
    """As DDP holds a model, without the process group that it asks for."""

    def __init__(self, module):
        super().__init__()
        self.module = module


Wrapped.__module__ = "torch.nn.parallel"


def trained(model, *, nbs=64, batch=16, batches=13, epochs=50):
    """Return a trainer as it stands before its first epoch, made ready as upstream's `_setup_train` does."""
    loader = {} if batches is None else {"train_loader": range(batches)}
    args = SimpleNamespace(nbs=nbs, warmup_bias_lr=0.1)
    trainer = SimpleNamespace(args=args, model=model, batch_size=batch, epochs=epochs, callbacks={}, **loader)
    for _ in range(2):  # once more, as a retry after out-of-memory does
        prepare(trainer)
    trainer.ema = ModelEMA(nn.Linear(1, 1))
    for listener in trainer.callbacks.get(MADE, []):
        listener(trainer)
    return trainer


def as_upstream(trainer):
    return trainer.args.warmup_bias_lr == 0.1 and trainer.ema.decay is not ramp and MADE not in trainer.callbacks


class TestUltralytics:
    @pytest.mark.parametrize("head", ["Detect", "Segment", "Pose", "OBB", "Classify"])
    def test_pruned_model_is_made_ready(self, head):
        trainer = trained(pruned(head))
        assert (trainer.args.nbs, trainer.args.warmup_bias_lr, trainer.ema.decay) == (16, 0.0, ramp)
        assert len(trainer.callbacks[MADE]) == 1

    @pytest.mark.parametrize("head", ["Detect", "Segment", "Pose", "OBB", "Classify"])
    def test_dense_model_goes_upstreams_way(self, head):
        trainer = trained(build(head))
        assert trainer.args.nbs == 64
        assert as_upstream(trainer)

    def test_it_is_told_through_a_wrapper(self):
        assert trained(Wrapped(pruned())).args.nbs == 16
        assert trained(Wrapped(build())).args.nbs == 64

    def test_loader_that_is_not_there_yet_counts_as_a_short_run(self):
        assert trained(pruned(), batches=None).args.nbs == 16

    def test_long_run_has_steps_enough(self):
        assert trained(pruned(), batches=200, epochs=50).args.nbs == 16
        trainer = trained(pruned(), batches=201, epochs=50)
        assert trainer.args.nbs == 64
        assert as_upstream(trainer)

    @pytest.mark.parametrize("nbs", [1, 8, 32, 65, 128])
    def test_users_own_number_leaves_all_as_it_is(self, nbs):
        trainer = trained(pruned(), nbs=nbs)
        assert trainer.args.nbs == nbs
        assert as_upstream(trainer)

    def test_run_that_is_resumed_goes_on_as_it_began(self):
        begun = trained(pruned())
        resumed = trained(pruned(), nbs=begun.args.nbs)
        assert (resumed.args.nbs, resumed.ema.decay) == (16, ramp)

    @pytest.mark.parametrize(("batch", "wanted"), [(1, 1), (16, 16), (48, 48), (64, 64), (256, 64)])
    def test_a_step_takes_a_batch_and_no_more_than_upstreams(self, batch, wanted):
        trainer = trained(pruned(), batch=batch)
        assert (trainer.args.nbs, trainer.ema.decay) == (wanted, ramp)
        assert max(round(trainer.args.nbs / batch), 1) == 1

    def test_retry_with_a_smaller_batch_steps_after_each_too(self):
        trainer = trained(pruned())
        trainer.batch_size = 8
        prepare(trainer)
        assert trainer.args.nbs == 8
        assert len(trainer.callbacks[MADE]) == 1

    def test_other_processes_have_no_average(self):
        trainer = trained(pruned())
        trainer.ema = None
        trainer.callbacks[MADE][0](trainer)

    def test_it_is_said_and_how_to_have_it_otherwise(self, caplog):
        with caplog.at_level("INFO"):
            trained(build())
        assert not caplog.text
        with caplog.at_level("INFO"):
            trained(pruned())
        assert caplog.text.count("a step after each batch") == 1
        assert "nbs=65 trains as upstream does" in caplog.text


class TestAverage:
    def test_it_remembers_a_tenth_of_the_steps(self):
        for updates in (100, 1000, 5000):
            assert 1 / (1 - ramp(updates)) == pytest.approx(updates / 9, rel=0.15)
        assert ramp(0) == pytest.approx(0.1)
        assert ramp(1e9) == 0.9999

    def test_upstreams_own_class_averages_by_it(self):
        """Weights that swing about a value: the average lies nearer to it than upstream's own."""
        errors = {}
        for decay in (None, ramp):
            torch.manual_seed(0)
            model = nn.Linear(64, 64, bias=False)
            ema = ModelEMA(model)
            ema.decay = decay or ema.decay
            for _ in range(600):
                model.weight.data.normal_(1.0, 0.5)
                ema.update(model)
            errors[decay] = float((ema.ema.weight - 1).abs().mean())
        assert errors[ramp] < errors[None] / 4


def options(*words):
    parser = argparse.ArgumentParser()
    add_option(parser)
    return parser.parse_args(words)


def ready(model, *words, nw=100, batch=16, batches=13, epochs=50):
    """Return what YOLOv5's trainer goes on with: nbs, accumulate, nw, the biases' first learning rate, the decay."""
    hyp, ema = {"warmup_epochs": 3.0, "warmup_bias_lr": 0.1}, ModelEMA(nn.Linear(1, 1))
    found = prepared(nw, model, ema, hyp, options(*words), batch, batches, epochs)
    return (*found, hyp["warmup_bias_lr"], ema.decay is ramp)


class TestYolov5:
    def test_pruned_model_is_made_ready(self, caplog):
        with caplog.at_level("INFO"):
            assert ready(pruned()) == (16, 1, 100, 0.0, True)
        assert "--nbs 64 trains as upstream does" in caplog.text

    @pytest.mark.parametrize(("model", "epochs"), [(build, 50), (pruned, 770)])
    def test_dense_model_and_long_run_go_upstreams_way(self, model, epochs):
        assert ready(model(), epochs=epochs) == (64, 4, 100, 0.1, False)

    def test_warm_up_of_early_releases_is_that_of_today(self):
        assert ready(pruned(), nw=1000)[2] == 100
        assert ready(pruned(), nw=1000, batches=50)[2] == 150
        assert ready(build(), nw=1000)[2] == 1000

    @pytest.mark.parametrize(("asked", "batches"), [(16, 1), (32, 2), (64, 4), (128, 8), (65, 4)])
    def test_what_the_user_says_goes_for_every_model(self, asked, batches):
        for model in (pruned(), build()):
            assert ready(model, "--nbs", str(asked)) == (asked, batches, 100, 0.1, False)

    def test_upstreams_own_count_is_the_same(self):
        for batch in (1, 5, 16, 24, 43, 64, 100):
            nbs, accumulate, *_ = ready(build(), batch=batch)
            assert (nbs, accumulate) == (64, max(round(64 / batch), 1))

    def test_other_processes_have_no_average(self):
        hyp = {"warmup_epochs": 3.0, "warmup_bias_lr": 0.1}
        assert prepared(100, pruned(), None, hyp, options(), 16, 13, 50) == (16, 1, 100)

    def test_run_of_an_older_fork_is_resumed(self):
        assert gathered(build(), argparse.Namespace(), 16, 650) == 64
        assert gathered(pruned(), argparse.Namespace(), 16, 650) == 16

    @pytest.mark.parametrize(("nbs", "steps"), [([], 13), (["--nbs", "64"], 13 / 4)])
    def test_penalty_counts_the_same_steps(self, nbs, steps):
        opt = options(*nbs)
        opt.batch_size = 16
        assert _Run(opt, {"lrf": 0.01}, 0, 50, 13, pruned()).standing().steps == steps
        assert math.isclose(_Run(opt, {"lrf": 0.01}, 0, 50, 13, build()).standing().steps, 13 / 4)

    @pytest.mark.parametrize("text", ["0", "-4", "many", "1.5"])
    def test_number_that_makes_no_sense_is_refused(self, text, capsys):
        with pytest.raises(SystemExit):
            options(f"--nbs={text}")
        assert "--nbs" in capsys.readouterr().err
