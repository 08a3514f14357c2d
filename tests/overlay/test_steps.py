"""A pruned model steps after each batch in a short run; a dense one, and who says otherwise, as upstream does."""

from __future__ import annotations

import argparse
from types import SimpleNamespace

import pytest
from torch import nn

from slim.steps import gathered, nominal_batch, step_arguments, step_each_batch
from slim.yolov5 import _Run
from tests.overlay.test_architecture import build, pruned


class Wrapped(nn.Module):
    """As DDP holds a model, without the process group that it asks for."""

    def __init__(self, module):
        super().__init__()
        self.module = module


Wrapped.__module__ = "torch.nn.parallel"


def trained(model, *, nbs=64, batch=16, batches=13, epochs=50):
    """Return `nbs` as the trainer counts with it."""
    loader = {} if batches is None else {"train_loader": range(batches)}
    trainer = SimpleNamespace(args=SimpleNamespace(nbs=nbs), model=model, batch_size=batch, epochs=epochs, **loader)
    step_each_batch(trainer)
    step_each_batch(trainer)  # once more, as a retry after out-of-memory does
    return trainer.args.nbs


class TestUltralytics:
    @pytest.mark.parametrize("head", ["Detect", "Segment", "Pose", "OBB", "Classify"])
    def test_pruned_model_steps_after_each_batch(self, head):
        assert trained(pruned(head)) == 16
        assert trained(build(head)) == 64

    def test_it_is_told_through_a_wrapper(self):
        assert trained(Wrapped(pruned())) == 16
        assert trained(Wrapped(build())) == 64

    def test_loader_that_is_not_there_yet_counts_as_a_short_run(self):
        assert trained(pruned(), batches=None) == 16

    def test_long_run_has_steps_enough(self):
        assert trained(pruned(), batches=200, epochs=50) == 16
        assert trained(pruned(), batches=201, epochs=50) == 64

    @pytest.mark.parametrize("nbs", [1, 16, 32, 65, 128])
    def test_users_own_number_stays(self, nbs):
        assert trained(pruned(), nbs=nbs) == nbs

    @pytest.mark.parametrize(("batch", "wanted"), [(1, 1), (31, 31), (42, 42), (43, 64), (64, 64), (256, 64)])
    def test_batches_that_fill_a_step_change_nothing(self, batch, wanted):
        assert trained(pruned(), batch=batch) == wanted

    def test_it_is_said_once_and_how_to_have_it_otherwise(self, caplog):
        with caplog.at_level("INFO"):
            trained(build())
        assert not caplog.text
        with caplog.at_level("INFO"):
            trained(pruned())
        assert caplog.text.count("a step after each batch, of 16") == 1
        assert "nbs=65" in caplog.text


def options(*words):
    parser = argparse.ArgumentParser()
    step_arguments(parser)
    return parser.parse_args(words)


class TestYolov5:
    def test_pruned_model_steps_after_each_batch(self, caplog):
        with caplog.at_level("INFO"):
            assert nominal_batch(64, pruned(), options(), 16) == 16
        assert "--nbs 64" in caplog.text
        assert nominal_batch(64, build(), options(), 16) == 64
        assert nominal_batch(64, pruned(), options(), 64) == 64

    @pytest.mark.parametrize("asked", [16, 32, 64, 128])
    def test_what_the_user_says_goes_for_every_model(self, asked, caplog):
        with caplog.at_level("INFO"):
            for model in (pruned(), build()):
                assert nominal_batch(64, model, options("--nbs", str(asked)), 16) == asked
        assert not caplog.text

    def test_run_of_an_older_fork_is_resumed(self):
        assert gathered(64, build(), argparse.Namespace(), 16) == 64
        assert gathered(64, pruned(), argparse.Namespace(), 16) == 16

    @pytest.mark.parametrize(("nbs", "steps"), [([], 13), (["--nbs", "64"], 13 / 4)])
    def test_penalty_counts_the_same_steps(self, nbs, steps):
        opt = options(*nbs)
        opt.batch_size = 16
        run = _Run(opt, {"lrf": 0.01}, 0, 50, 13, pruned())
        assert run.standing().steps == steps
        assert _Run(opt, {"lrf": 0.01}, 0, 50, 13, build()).standing().steps == 13 / 4

    @pytest.mark.parametrize("text", ["0", "-4", "many", "1.5"])
    def test_number_that_makes_no_sense_is_refused(self, text, capsys):
        with pytest.raises(SystemExit):
            options(f"--nbs={text}")
        assert "--nbs" in capsys.readouterr().err
