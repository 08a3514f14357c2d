"""How the penalty's strength changes over a run, what `auto` makes of it, and what channels that cost more get."""

from __future__ import annotations

import pytest
import torch

from slim.analysis.channels import analyse
from slim.costs.layer_costs import penalty_weights
from slim.sparsity import SPELLING, Penalty
from slim.training.gamma_log import rows_of
from slim.training.schedule import TRAVEL, Settings, Standing
from tests.overlay.sparse_run import LR0, Run
from tests.sampling import sampled


def settings(**more):
    plain = {"mode": "decoupled", "strength": 1.0, "decay": 0.0, "warmup": 0.0, "bias": 0.0, "weight": "none"}
    return Settings(**{**plain, **more}, spelling=SPELLING)


class TestSchedule:
    @pytest.mark.parametrize(
        ("more", "expected"),
        [
            ({}, [1, 1, 1, 1]),
            ({"decay": 1.0}, [1, 0.75, 0.5, 0.25]),
            ({"warmup": 1.0}, [0.5, 1, 1, 1]),
            ({"warmup": 3.0}, [0.25, 0.5, 0.75, 1]),
            ({"warmup": 1.0, "decay": 0.5}, [0.5, 0.875, 0.75, 0.625]),
        ],
    )
    def test_constant_decaying_and_warmed_up(self, more, expected):
        assert [settings(**more).shape(epoch, 4) for epoch in range(4)] == pytest.approx(expected)

    def test_the_budget_is_what_a_strength_of_one_could_move(self):
        standing = Standing(epoch=1, epochs=3, steps=10, schedule=lambda epoch: 1 / (epoch + 1))
        assert standing.budget(0.1, settings(decay=0.9)) == pytest.approx(10 * 0.1 * (0.7 / 2 + 0.4 / 3))

    @pytest.mark.parametrize("warmup", [0.0, 2.0])
    def test_scales_move_by_it(self, warmup):
        run = Run(epochs=5, sparsity=0.1, sparsity_warmup=warmup).train()
        torch.testing.assert_close(1 - run.model.norm1.weight.data, torch.full((8,), run.stated), rtol=1e-4, atol=1e-6)


class TestAuto:
    @pytest.mark.parametrize("loop", [{"epochs": 90}, {"epochs": 180, "batches": 2}, {"epochs": 180, "accumulate": 2}])
    @pytest.mark.parametrize(
        "schedule", sampled([{}, {"sparsity_decay": 0.0}, {"sparsity_warmup": 2.0}], by_default=[{}])
    )
    def test_it_moves_scales_far_enough_whatever_the_length(self, loop, schedule):
        run = Run(sparsity="auto", **loop, **schedule).train()
        assert run.stated == pytest.approx(TRAVEL, rel=1e-2)  # all scales are 1 at first
        assert torch.equal(run.model.norm1.weight, torch.zeros(8))

    def test_it_goes_by_the_median_of_the_scales(self):
        strengths = []
        for size in (1.0, 3.0):
            run = Run(epochs=90, sparsity="auto")
            for norm in (run.model.norm1, run.model.norm2):
                norm.weight.data.fill_(size)
            strengths.append(Penalty(run).strength)
        assert strengths[1] == pytest.approx(3 * strengths[0], rel=1e-2)

    def test_a_resumed_run_goes_on_with_the_strength_it_began_with(self, tmp_path):
        whole = Run(epochs=90, sparsity="auto", sparsity_warmup=1.0, folder=tmp_path).train(stop=2)
        rest = Run(whole.model, epochs=90, sparsity="auto", sparsity_warmup=1.0, folder=tmp_path)
        rest.epoch = 2
        assert whole.slim_penalty.strength > 0
        assert Penalty(rest).strength == pytest.approx(whole.slim_penalty.strength, rel=1e-6)

    def test_without_what_it_left_it_begins_anew_with_what_is_left(self):
        run = Run(epochs=400, sparsity="auto", sparsity_decay=0.0)
        run.epoch = 200
        assert Penalty(run).travel() == pytest.approx(TRAVEL, rel=1e-2)

    def test_a_learning_rate_of_zero_is_an_error(self):
        run = Run(sparsity="auto")
        run.optimizer.param_groups[0]["initial_lr"] = 0.0
        with pytest.raises(ValueError, match="sparsity=auto: the learning rate is zero"):
            Penalty(run)


class TestWeights:
    @pytest.mark.parametrize("kind", ["flops", "params"])
    @pytest.mark.parametrize("mode", ["decoupled", "unclipped"])
    def test_scales_move_by_the_weight_of_their_layer(self, kind, mode):
        """Without momentum and with no other gradient both modes are one."""
        run = Run(sparsity=0.1, sparsity_weight=kind, sparsity_mode=mode)
        run.optimizer.param_groups[0]["momentum"] = 0.0
        weights = penalty_weights(run.model, analyse(run.model), kind, imgsz=32)
        run.train()
        assert set(weights) == {"norm1", "norm2"}
        assert weights["norm1"] != weights["norm2"]
        for name, weight in weights.items():
            moved = 1 - run.model.get_submodule(name).weight.data
            torch.testing.assert_close(moved, torch.full_like(moved, run.stated * weight), rtol=1e-4, atol=1e-6)
        assert torch.equal(run.model.norm3.weight.data, torch.ones(4))

    def test_auto_takes_half_of_the_channels_to_zero_and_further(self):
        run = Run(epochs=120, batches=8, sparsity="auto", sparsity_weight="flops")
        weights = penalty_weights(run.model, analyse(run.model), "flops", imgsz=32)
        run.train()
        reached = {name: run.stated * weight > 1 for name, weight in weights.items()}
        for name, zero in reached.items():
            assert bool((run.model.get_submodule(name).weight == 0).all()) == zero
        assert any(reached.values())

    def test_it_says_so(self, caplog):
        caplog.set_level("INFO", logger="slim")
        Run(sparsity=0.1, sparsity_weight="flops").train()
        assert "times its weight by flops in this run" in caplog.text


class TestUnclipped:
    def test_clipping_takes_nothing_away(self):
        moved = {}
        for mode in ("gradient", "unclipped"):
            run = Run(sparsity=0.5, sparsity_mode=mode, sparsity_decay=0.0, epochs=1, batches=1)
            plain = run.optimizer_step

            def clipped(run=run, plain=plain):
                torch.nn.utils.clip_grad_norm_(run.model.parameters(), max_norm=10.0)
                plain()

            run.optimizer_step = clipped
            run.train(loss=lambda y, run=run: 0 * y.sum() + 1e6 * run.model.third.weight.sum())
            moved[mode] = 1 - run.model.norm1.weight[0].item()
        assert moved["unclipped"] == pytest.approx(LR0 * 0.5, rel=1e-4)
        assert moved["gradient"] < 1e-3 * moved["unclipped"]


class TestRunFolder:
    """`gamma.csv` and `gamma.png` in the run folder, and upstream's `results.csv` through what it writes there."""

    def test_a_row_for_each_epoch_and_one_for_the_start(self, tmp_path):
        run = Run(epochs=3, sparsity=0.5, sparsity_decay=0.0, folder=tmp_path).train()
        rows = rows_of(tmp_path)
        assert [row["epoch"] for row in rows] == [0, 1, 2, 3]
        assert [row["lambda"] for row in rows] == [0, 0.5, 0.5, 0.5]
        assert rows[0]["median"] == 1
        assert 1 - rows[-1]["median"] == pytest.approx(run.stated, rel=1e-5)
        assert list(rows[0]) == ["epoch", "lambda", "p5", "p25", "median", "p75", "p95", "near_zero"]

    def test_what_upstream_writes_has_the_same_numbers(self, tmp_path):
        run = Run(epochs=2, sparsity=0.5, folder=tmp_path).train()
        for row, result in zip(rows_of(tmp_path)[1:], run.results):
            assert result["gamma/median"] == pytest.approx(row["median"])
            assert result["gamma/lambda"] == pytest.approx(row["lambda"])
            assert "lr/pg0" in result

    def test_near_zero_and_quantiles_are_those_of_the_channels_that_may_go(self, tmp_path):
        run = Run(epochs=1, sparsity=1e-9, folder=tmp_path)
        run.model.norm1.weight.data.copy_(torch.tensor([0.0, 0.0, 0.0, -2.0, 2.0, 2.0, 2.0, 2.0]))
        run.model.norm3.weight.data.zero_()  # the output's channels stay, and do not count
        run.train()
        row = rows_of(tmp_path)[0]
        assert row["near_zero"] == pytest.approx(3 / 14)
        assert (row["p5"], row["median"], row["p95"]) == (0, 1, 2)

    def test_a_resumed_run_goes_on_where_it_was(self, tmp_path):
        first = Run(epochs=4, sparsity=0.1, folder=tmp_path).train(stop=2)
        Run(first.model, epochs=4, sparsity=0.1, folder=tmp_path).train(start=2)
        rows = rows_of(tmp_path)
        assert [row["epoch"] for row in rows] == [0, 1, 2, 3, 4]
        assert rows[0]["median"] == 1
        assert all(a["median"] > b["median"] for a, b in zip(rows, rows[1:]))

    def test_a_run_begun_anew_in_the_same_folder_forgets_the_other(self, tmp_path):
        Run(epochs=4, sparsity=0.1, folder=tmp_path).train()
        Run(epochs=2, sparsity=0.1, folder=tmp_path).train()
        assert [row["epoch"] for row in rows_of(tmp_path)] == [0, 1, 2]

    def test_the_picture_is_drawn_anew_each_epoch(self, tmp_path):
        run = Run(epochs=3, sparsity=1.0, folder=tmp_path).train(stop=1)
        before = (tmp_path / "gamma.png").read_bytes()
        run.train(start=1)
        after = (tmp_path / "gamma.png").read_bytes()
        assert before != after
        assert after.startswith(b"\x89PNG")

    def test_only_the_first_process_writes(self, tmp_path, monkeypatch):
        monkeypatch.setenv("RANK", "1")
        run = Run(epochs=2, sparsity=0.1, folder=tmp_path).train()
        assert not list(tmp_path.iterdir())
        assert "gamma/median" in run.results[-1]

    def test_a_folder_that_cannot_be_written_is_said_once_and_stops_nothing(self, tmp_path, caplog):
        (tmp_path / "gamma.csv").mkdir()
        run = Run(epochs=3, sparsity=0.1, folder=tmp_path).train()
        said = [m for m in caplog.messages if "gamma.csv and what goes with it end here" in m]
        assert len(said) == 1
        assert run.stated > 0

    def test_a_table_of_something_else_is_not_read(self, tmp_path):
        (tmp_path / "gamma.csv").write_text("a,b\nx,y\n")
        Run(epochs=1, sparsity=0.1, folder=tmp_path).train()
        assert [row["epoch"] for row in rows_of(tmp_path)] == [0, 1]

    def test_a_trainer_that_shares_its_callbacks_hears_once_an_epoch(self, tmp_path):
        """Up to 8.3 a second `train` of one model is handed the callbacks of the first."""
        first = Run(epochs=2, sparsity=0.1).train()
        again = Run(epochs=2, sparsity=0.1, folder=tmp_path)
        again.callbacks = first.callbacks
        again.train()
        assert len(again.callbacks["on_train_epoch_end"]) == 1
        plain = Run(epochs=1)
        plain.callbacks = first.callbacks
        plain.train()
        assert list(plain.results[-1]) == ["lr/pg0"]


class TestTensorBoard:
    def test_where_upstream_writes_there_the_scales_are_there_too(self, tmp_path):
        board = pytest.importorskip("torch.utils.tensorboard", reason="TensorBoard is not installed")
        accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
        upstreams = board.SummaryWriter(str(tmp_path))
        run = Run(epochs=2, sparsity=0.5, folder=tmp_path).train()
        run.slim_penalty.detach()
        upstreams.close()
        found = {}
        for path in tmp_path.glob("events.out.tfevents*"):
            seen = accumulator.EventAccumulator(str(path), {"histograms": 0}).Reload()
            found.update({tag: seen.Scalars(tag) for tag in seen.Tags()["scalars"]})
            found.update({tag: seen.Histograms(tag) for tag in seen.Tags()["histograms"]})
        rows = rows_of(tmp_path)
        assert [each.value for each in found["gamma/median"]] == pytest.approx([row["median"] for row in rows])
        assert [each.step for each in found["gamma"]] == [0, 1, 2]

    def test_where_it_is_off_nothing_is_begun(self, tmp_path):
        Run(epochs=1, sparsity=0.5, folder=tmp_path).train()
        assert sorted(path.name for path in tmp_path.iterdir()) == ["gamma.csv", "gamma.png"]
