"""Sparse training in YOLOv5: what its train scripts call, in a loop like theirs."""

from __future__ import annotations

import argparse
import logging
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from slim.training.gamma_log import rows_of
from slim.training.schedule import TRAVEL
from slim.yolov5 import keep_out_of_evolution, penalize, sparse_arguments
from tests.overlay.sparse_run import LR0, Net, no_loss, state

HYP = {"lr0": LR0, "lrf": 0.01, "sl": 0.0}


def options(*arguments, **more):
    """Parse a command line as upstream does, with the batch size that the loop below has."""
    parser = argparse.ArgumentParser()
    sparse_arguments(parser)
    return argparse.Namespace(**vars(parser.parse_args([str(a) for a in arguments])), **{"batch_size": 4, **more})


class Run:
    """Upstream's loop: accumulate to 64, fp16's scaler, clip where told, a schedule that is a line."""

    def __init__(self, *arguments, hyp=None, epochs=3, batches=4, batch=4, clip=0.0, scale=1.0, model=None, **more):
        torch.manual_seed(0)
        self.model = model or Net()
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=LR0, momentum=0.9)
        self.opt, self.hyp = options(*arguments, batch_size=batch, cos_lr=False, **more), HYP if hyp is None else hyp
        self.epochs, self.images = epochs, [torch.rand(batch, 3, 8, 8) for _ in range(batches)]
        self.lf = lambda epoch: (1 - epoch / epochs) * 0.99 + 0.01
        self.scheduler = torch.optim.lr_scheduler.LambdaLR(self.optimizer, self.lf)
        self.accumulate = max(round(64 / batch), 1)
        self.scaler = torch.amp.GradScaler("cpu", init_scale=scale, enabled=scale > 1)
        self.clip, self.count, self.stated, self.losses = clip, 0, 0.0, []

    def train(self, loss=no_loss):
        for epoch in range(self.epochs):
            for images in self.images:
                plain = loss(self.model(images))
                told = (self.opt, self.hyp, epoch, self.epochs, images, len(self.images))
                total = penalize(plain, self.model, self.optimizer, *told)
                self.losses.append((plain, total))
                self.scaler.scale(total).backward()
                self.count += 1
                if self.count % self.accumulate == 0:
                    self.step(epoch)
            self.scheduler.step()
        return self

    def step(self, epoch):
        if self.clip:
            self.scaler.unscale_(self.optimizer)
            nn.utils.clip_grad_norm_(self.model.parameters(), max_norm=self.clip)
        strength = (self.hyp.get("sl") or 0.0) if self.opt.sl is None else self.opt.sl
        strength = self.optimizer.slim_penalty.strength if strength == "auto" else strength
        decay = 0.9 if self.opt.sl_decay is None else self.opt.sl_decay
        self.stated += self.optimizer.param_groups[0]["lr"] * strength * (1 - decay * epoch / self.epochs)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad()


class TestOff:
    @pytest.mark.parametrize("arguments", [(), ("--sl", 0), ("--sl", 0, "--sl-mode", "loss")])
    @pytest.mark.parametrize("hyp", [HYP, {}, {"lr0": LR0, "sl": None}])
    def test_the_loss_is_the_very_same_and_nothing_is_remembered(self, arguments, hyp):
        run = Run(*arguments, hyp=hyp, batch=64)
        names = set(vars(run.optimizer))
        run.train()
        assert all(total is plain for plain, total in run.losses)
        assert set(vars(run.optimizer)) - names <= {"_opt_called"}  # the scheduler's
        assert torch.equal(run.model.norm1.weight, torch.ones(8))

    def test_options_that_an_older_run_does_not_have(self):
        run = Run()
        for name in ("sl", "sl_mode", "sl_decay", "sl_bias"):
            delattr(run.opt, name)
        run.hyp = {}
        loss = torch.tensor(1.0)
        assert penalize(loss, run.model, run.optimizer, run.opt, {}, 0, 1, run.images[0], 4) is loss

    def test_zero_on_the_command_line_goes_before_the_hyp_file(self):
        run = Run("--sl", 0, hyp={**HYP, "sl": 0.5}, batch=64).train()
        assert torch.equal(run.model.norm1.weight, torch.ones(8))


class TestDecoupled:
    @pytest.mark.parametrize(
        "loop",
        [
            {"batch": 64},
            {"batch": 16, "batches": 8},
            {"batch": 64, "clip": 10.0, "scale": 2.0**16},
            {"batch": 64, "scale": 2.0**16},
        ],
    )
    def test_every_scale_moves_by_the_sum_of_rate_times_strength(self, loop):
        """Whatever the batch size, the loss scale and clipping (v5.0 to v6.1 have none, v6.2 has)."""
        run = Run("--sl", 0.2, **loop).train()
        torch.testing.assert_close(1 - run.model.norm1.weight.data, torch.full((8,), run.stated), rtol=1e-4, atol=1e-5)
        assert run.stated > 0.02
        assert torch.equal(run.model.norm3.weight.data, torch.ones(4))  # the output's channels may not go

    def test_the_loss_is_handed_back_as_it_is(self):
        assert all(total is plain for plain, total in Run("--sl", 0.2).train().losses)

    def test_the_strength_may_stand_in_the_hyp_file(self):
        run = Run(hyp={**HYP, "sl": 0.2}, batch=64).train()
        torch.testing.assert_close(1 - run.model.norm1.weight.data, torch.full((8,), run.stated), rtol=1e-4, atol=1e-5)
        assert run.stated > 0.02

    def test_shifts_shrink_by_their_own_strength(self):
        run = Run("--sl", 0.2, "--sl-bias", 0.1, "--sl-decay", 0, batch=64)
        run.model.norm1.bias.data.fill_(1.0)
        run.train()
        torch.testing.assert_close(
            1 - run.model.norm1.bias.data, torch.full((8,), run.stated / 2), rtol=1e-4, atol=1e-5
        )

    def test_a_second_optimizer_in_the_same_process_starts_anew(self):
        """As in `--evolve`, which trains many times."""
        first, second = Run("--sl", 0.2, batch=64).train(), Run("--sl", 0.4, batch=64).train()
        torch.testing.assert_close(first.stated * 2, second.stated)
        assert len(second.optimizer._optimizer_step_post_hooks) == 1

    def test_synchronised_batchnorms_count(self):
        model = nn.SyncBatchNorm.convert_sync_batchnorm(Net())
        run = Run("--sl", 0.2, model=model)
        model.eval()  # on a CPU these only run so
        loss = no_loss(model(run.images[0]))
        penalize(loss, model, run.optimizer, run.opt, HYP, 0, 1, run.images[0], 4).backward()
        run.optimizer.step()
        torch.testing.assert_close(1 - model.norm1.weight.data, torch.full((8,), LR0 * 0.2))

    def test_the_optimizers_state_holds_nothing_of_it(self, tmp_path):
        run = Run("--sl", 0.2, batch=64).train()
        torch.save(run.optimizer.state_dict(), tmp_path / "optimizer.pt")
        assert set(torch.load(tmp_path / "optimizer.pt", weights_only=True)) == {"state", "param_groups"}


class TestLoss:
    """The write-up's term: mean over all BatchNorm2d of ‖γ‖₁, times sl, times the batch size."""

    def test_its_value(self):
        run = Run("--sl", 2e-3, "--sl-mode", "loss", batch=64)
        run.model.norm1.weight.data.uniform_(-1, 1)
        norms = [m.weight.detach().norm(1) for m in run.model.modules() if isinstance(m, nn.BatchNorm2d)]
        loss = torch.ones(1, requires_grad=True)
        total = penalize(loss, run.model, run.optimizer, run.opt, HYP, 0, 100, run.images[0], 4)
        torch.testing.assert_close(total, loss + sum(norms) / 3 * 2e-3 * 64)
        assert total.shape == (1,)

    def test_its_gradient(self):
        run = Run("--sl", 2e-3, "--sl-mode", "loss", batch=16)
        run.model.norm2.weight.data[0] = -0.5
        penalize(torch.zeros(1), run.model, run.optimizer, run.opt, HYP, 0, 100, run.images[0], 4).backward()
        for norm in (run.model.norm1, run.model.norm2, run.model.norm3):  # all of them, prunable or not
            torch.testing.assert_close(norm.weight.grad, 2e-3 * 16 / 3 * norm.weight.sign())

    @pytest.mark.parametrize("batch", [8, 16, 64])
    def test_a_step_sees_the_gradient_of_64_pictures_whatever_the_batch(self, batch):
        run = Run("--sl", 2e-3, "--sl-mode", "loss", batch=batch)
        for _ in range(run.accumulate):
            penalize(torch.zeros(1), run.model, run.optimizer, run.opt, HYP, 0, 100, run.images[0], 4).backward()
        torch.testing.assert_close(run.model.norm1.weight.grad, torch.full((8,), 2e-3 * 64 / 3))

    def test_it_does_not_decay_unless_told(self):
        run = Run("--sl", 1.0, "--sl-mode", "loss")
        arguments = (run.model, run.optimizer, run.opt, HYP)
        values = [penalize(torch.zeros(1), *arguments, epoch, 100, run.images[0], 4).item() for epoch in (0, 99)]
        assert values[0] == pytest.approx(values[1])

    @pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
    def test_under_autocast_it_is_neither_cast_nor_overflows(self, kind):
        """An fp16 loss and a sum beyond 65504."""
        run = Run("--sl", 1.0, "--sl-mode", "loss", batch=64)
        run.model.norm1.weight.data.fill_(1e4)
        loss = torch.ones(1, dtype=kind)
        with torch.autocast("cpu", dtype=kind):
            total = penalize(loss, run.model, run.optimizer, run.opt, HYP, 0, 100, run.images[0], 4)
        assert total.dtype == torch.float32
        torch.testing.assert_close(total, torch.tensor([1 + (8e4 + 6 + 4) / 3 * 64]))

    def test_clipping_takes_it_away(self):
        """Why it is not the default: a large gradient elsewhere takes ninety-nine hundredths of it away."""
        moved = []
        for clip in (0.0, 10.0):
            run = Run("--sl", 1.0, "--sl-mode", "loss", batch=64, epochs=1, batches=1, clip=clip)
            run.train(loss=lambda y, run=run: no_loss(y) + 1e3 * run.model.first.bias.sum())
            moved.append((1 - run.model.norm2.weight.data).abs().max().item())
        assert moved[0] == pytest.approx(LR0 * 64 / 3, rel=1e-3)
        assert moved[1] < 0.01 * moved[0]


class TestSaid:
    def test_how_far_it_gets_and_each_epoch_where_it_stands(self, caplog):
        caplog.set_level(logging.INFO, logger="slim")
        run = Run("--sl", 0.1, "--sl-decay", 0, epochs=4, batch=64).train()
        assert len([m for m in caplog.messages if "sparsity 0.1 (decoupled), 14 prunable channels" in m]) == 4
        assert f"can move each scale by {run.stated:.3g} in this run; their median is 1" in caplog.text
        assert run.stated == pytest.approx(4 * 0.1 * LR0 * sum(run.lf(epoch) for epoch in range(4)))
        assert "too short to reach zero; more epochs, or --sl " in caplog.text

    def test_accumulation_counts_steps(self, caplog):
        caplog.set_level(logging.INFO, logger="slim")
        run = Run("--sl", 0.1, "--sl-decay", 0, epochs=2, batches=8, batch=16).train()
        assert f"by {2 * 0.1 * LR0 * (run.lf(0) + run.lf(1)):.3g} in this run" in caplog.text

    @pytest.mark.parametrize(
        ("more", "middle"),
        [
            ({"cos_lr": True}, 0.505),
            ({"cos_lr": False}, 0.505),
            ({"linear_lr": False}, 0.505),
            ({"linear_lr": True}, 0.505),
        ],
    )
    def test_the_schedule_of_each_line(self, more, middle):
        from slim.yolov5 import _Run

        run = _Run(SimpleNamespace(**more), {"lrf": 0.01}, 0, 10, 4, nn.Conv2d(3, 8, 1))
        schedule = run.standing().schedule
        assert (schedule(0), schedule(5), schedule(10)) == pytest.approx((1.0, middle, 0.01))
        cosine = more in ({"cos_lr": True}, {"linear_lr": False})
        assert (schedule(1) > 0.95) == cosine


class TestAuto:
    @pytest.mark.parametrize("loop", [{"batch": 64, "epochs": 90}, {"batch": 16, "batches": 8, "epochs": 180}])
    def test_it_takes_the_scales_as_far_as_they_need_whatever_the_length(self, loop):
        run = Run("--sl", "auto", **loop).train()
        assert run.stated == pytest.approx(TRAVEL, rel=1e-2)  # all scales are 1 at first
        assert torch.equal(run.model.norm1.weight.data, torch.zeros(8))

    def test_the_hyp_file_may_ask_for_it(self):
        assert Run(hyp={**HYP, "sl": "auto"}, batch=64, epochs=90).train().stated == pytest.approx(TRAVEL, rel=1e-2)


class TestRunFolder:
    def test_a_row_each_epoch_and_one_at_the_end(self, tmp_path):
        run = Run("--sl", 0.5, "--sl-decay", 0, epochs=3, batch=64, save_dir=str(tmp_path)).train()
        rows = rows_of(tmp_path)
        assert [row["epoch"] for row in rows] == [0, 1, 2, 3]
        assert [row["lambda"] for row in rows] == [0, 0.5, 0.5, 0.5]
        last_step = LR0 * run.lf(2) * 0.5
        assert 1 - rows[-1]["median"] == pytest.approx(run.stated - last_step, rel=1e-4)
        assert (tmp_path / "gamma.png").stat().st_size > 1000

    def test_off_leaves_none(self, tmp_path):
        Run(batch=64, save_dir=str(tmp_path)).train()
        assert not list(tmp_path.iterdir())


class TestRefused:
    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            (("--sl", -0.1), "--sl, --sl-bias and --sl-warmup must not be negative"),
            (("--sl", "nan"), "--sl, --sl-bias and --sl-warmup must not be negative"),
            (("--sl", 0.1, "--sl-bias", -1), "--sl, --sl-bias and --sl-warmup must not be negative"),
            (("--sl", 0.1, "--sl-decay", 1.5), "--sl-decay lies in 0..1"),
            (("--sl", 0.1, "--sl-mode", "loss", "--sl-bias", 0.1), "--sl-bias: the write-up's loss has no term for"),
        ],
    )
    def test_numbers_out_of_range(self, arguments, words):
        with pytest.raises(ValueError, match=words):
            Run(*arguments).train()

    @pytest.mark.parametrize("arguments", [("--sl-mode", "lasso"), ("--sl-weight", "latency"), ("--sl", "much")])
    def test_other_words_are_usage_errors(self, capsys, arguments):
        with pytest.raises(SystemExit):
            options(*arguments)
        assert arguments[0] in capsys.readouterr().err

    def test_or_an_error_where_the_command_line_is_not_parsed(self):
        run = Run("--sl", 0.1)
        run.opt.sl_mode = "lasso"  # PyPI's `run(**kwargs)`
        with pytest.raises(ValueError, match="--sl-mode lasso is not one of decoupled, loss"):
            run.train()

    def test_nothing_to_act_on(self):
        with pytest.raises(ValueError, match="sparsity has nothing to act on"):
            Run("--sl", 0.1, model=nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU())).train()


class TestEvolution:
    """Upstream pairs the keys of the hyp file with those of its table by order, and mutates by the table's gain."""

    def meta(self):
        return {"lr0": (1, 1e-5, 1e-1), "anchors": (2, 2.0, 10.0), "mixup": (1, 0.0, 1.0)}

    def test_off_leaves_both_as_upstream_has_them(self):
        meta, hyp = self.meta(), {"lr0": 0.01, "mixup": 0.0, "sl": 0.0}
        keep_out_of_evolution(meta, hyp)
        assert meta == self.meta()
        assert hyp == {"lr0": 0.01, "mixup": 0.0}

    def test_on_it_keeps_its_value_through_mutation_and_limits(self):
        meta, hyp = self.meta(), {"lr0": 0.01, "sl": 0.002, "mixup": 0.1, "anchors": 3}
        keep_out_of_evolution(meta, hyp)
        assert list(hyp)[-1] == list(meta)[-1] == "sl"
        gains = [row[0] for row in meta.values()]
        for (key, _), gain in zip(list(hyp.items()), gains):
            hyp[key] *= 1 + gain  # mutate, as upstream does up to v7.0
        for key, (_, low, high) in meta.items():
            hyp[key] = round(min(max(hyp[key], low), high), 5)
        assert hyp["sl"] == 0.002

    def test_a_word_is_refused_since_upstream_calculates_with_it(self):
        with pytest.raises(ValueError, match="auto in the hyp file and --evolve do not go together; take --sl auto"):
            keep_out_of_evolution(self.meta(), {"lr0": 0.01, "sl": "auto"})

    def test_on_the_newest_table_it_is_taken_out_of_the_search(self):
        meta, hyp = self.meta(), {"lr0": 0.01, "mixup": 0.1, "sl": 0.002}
        keep_out_of_evolution(meta, hyp)
        searched = {key for key, row in meta.items() if row[0] is not False}
        assert "sl" not in searched


def test_state_of_the_model_is_otherwise_untouched():
    run = Run("--sl", 0.2, batch=64)
    before = state(run.model)
    run.train()
    changed = {name for name, tensor in run.model.named_parameters() if not torch.equal(tensor, before[name])}
    assert changed == {"norm1.weight", "norm2.weight"}
