"""Sparse training in real forks: the scales move by Σ lr·λ in upstream's own trainer, whatever it is set to."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from tests.forks.conftest import NEW, TINY, StepError

STRENGTH = 2.0
WARM = {"warmup_epochs": 1.0, "warmup_bias_lr": 0.01}


def as_stated(seen):
    """Say whether every scale moved by lr·λ in every step, and by nothing else after the optimizer."""
    assert seen["worst"] < 1e-6
    assert seen["moved"] == pytest.approx(seen["stated"], rel=1e-4)
    return seen["stated"] > 0


def test_sgd(fork):
    seen = fork.train(fork.dense["last"], "sgd", sparsity=STRENGTH, epochs=2, batch=4, nbs=4, watch=True)
    assert as_stated(seen)
    assert (seen["steps"], seen["optimizer"]) == (8, "SGD")
    assert fork.dense["gamma"] - seen["gamma"] == pytest.approx(seen["stated"], rel=0.5)  # the EMA lags, the loss pulls


def test_adamw_with_accumulation_and_warm_up(fork):
    accumulate = 4 if fork.version == NEW else 20  # early releases warm up for 100 batches, and ramp this up meanwhile
    options = {"optimizer": "AdamW", "lr0": 0.01, "batch": 4, "nbs": 4 * accumulate, "epochs": 3, **WARM}
    seen = fork.train(fork.dense["last"], "adamw", sparsity=STRENGTH, watch=True, **options)
    assert as_stated(seen)
    assert seen["optimizer"] == "AdamW"
    assert 3 <= seen["steps"] < len(seen["batches"]) == 12


def test_musgd(new):
    """Class branches are trained at three times the rate, and their scales shrink three times as fast."""
    seen = new.train(new.dense["last"], "musgd", sparsity=STRENGTH, optimizer="MuSGD", watch=True)
    assert as_stated(seen)
    assert seen["optimizer"] == "MuSGD"
    assert seen["rates"] == pytest.approx([0.01, 0.03])


def test_bf16_is_left_to_cuda(new):
    """Upstream refuses it on a CPU; tests/overlay/test_sparsity_training.py has the penalty under bf16 autocast."""
    with pytest.raises(StepError, match="bfloat16 autocast requires CUDA"):
        new.train(new.dense["last"], "bf16", sparsity=STRENGTH, amp="bf16")


def test_out_of_memory_in_the_first_epoch(new):
    """Upstream halves the batch and begins anew, accumulating two; the penalty goes on."""
    seen = new.train(new.dense["last"], "oom", sparsity=STRENGTH, fail_at=1, watch=True)
    assert as_stated(seen)
    assert seen["batches"] == [8, 4, 4, 4, 4]
    assert seen["steps"] == 1 + 2


def test_the_write_ups_mode_hardly_moves_a_scale(fork):
    """λ = 1e-2 added to the gradients, as the write-up has it: nothing happens within its numbers."""
    seen = fork.train(fork.dense["last"], "gradient", sparsity=1e-2, sparsity_bias=1e-2, sparsity_mode="gradient")
    assert abs(fork.dense["gamma"] - seen["gamma"]) < 5e-3


def test_a_distillation_teacher_stays_dense(new):
    """The student is a pruned model and is trained sparse; the teacher is neither."""
    seen = new.train(
        str(new.pruned), "distilled", sparsity=STRENGTH, distill_model=new.dense["last"], watch=True, batch=4, nbs=4
    )
    assert as_stated(seen)
    assert seen["teachers"] > 10
    assert seen["teacher_kept"]
    assert seen["shapes"] == new.facts(new.pruned)["shapes"]


def test_a_distilled_student_stays_pruned_through_resume(new):
    """Upstream rebuilds its student from the YAML, and its teacher from the path."""
    shapes = new.facts(new.pruned)["shapes"]
    cut_off = new.train(str(new.pruned), "taught", distill_model=new.dense["last"], epochs=2, stop_after=0)
    assert cut_off["shapes"] == shapes
    resumed = new.call("resume", weights=cut_off["last"])
    assert resumed["epochs"] == 2
    assert resumed["shapes"] == shapes


class TestOff:
    """With the option off, a fork trains to the same bits as upstream."""

    def test_bit_identical(self, fork):
        stock = fork.pristine.call("train", weights=str(TINY), name="dense", data=fork.one)
        assert stock["digest"] == fork.dense["digest"]

    def test_bit_identical_with_other_classes(self, new):
        """Here the architecture patch compares two models, and must not use up random numbers for it."""
        ours, theirs = (
            tree.call("train", weights=new.dense["last"], name="other", data=new.three) for tree in (new, new.pristine)
        )
        assert ours["nc"] == 3
        assert ours["digest"] == theirs["digest"]


class TestArguments:
    def test_defaults(self, fork):
        numbers = {"sparsity": 0.0, "sparsity_decay": 0.9, "sparsity_warmup": 0.0, "sparsity_bias": 0.0}
        words = {"sparsity_mode": "decoupled", "sparsity_weight": "none" if fork.version == NEW else None}
        assert fork.call("configure") == {**numbers, **words}

    def test_a_word_passes_upstreams_checks(self, fork):
        assert fork.call("configure", sparsity="auto", sparsity_weight="flops")["sparsity"] == "auto"

    @pytest.mark.parametrize(
        ("argument", "kind"),
        [
            ({"sparsity_warmup": "abc"}, "TypeError"),
            ({"sparsity_bias": "abc"}, "TypeError"),
            ({"sparsity_decay": 2.0}, "ValueError"),
            ({"sparsity_decay": "abc"}, "TypeError"),
            ({"sparsitty": 0.1}, "SyntaxError"),
        ],
    )
    def test_bad_values_are_upstreams_own_errors(self, fork, argument, kind):
        with pytest.raises(StepError, match=next(iter(argument))) as raised:
            fork.call("configure", **argument)
        assert raised.value.kind == kind

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            ({"sparsity": 0.1, "sparsity_mode": "lasso"}, "sparsity_mode=lasso is not one of decoupled, gradient"),
            ({"sparsity": "abc"}, "sparsity=abc is neither a number nor auto"),
        ],
    )
    def test_a_bad_word_stops_the_run(self, fork, arguments, words):
        with pytest.raises(StepError, match=words):
            fork.train(fork.dense["last"], "bad", **arguments)

    def test_on_the_command_line_they_land_in_args_yaml(self, fork):
        module = "ultralytics.cfg" if fork.version == NEW else "ultralytics.yolo.cfg"
        code = f"import sys; sys.argv[0] = 'yolo'; from {module} import entrypoint; entrypoint()"
        arguments = {
            "model": fork.dense["last"],
            "data": fork.one,
            "epochs": 1,
            "imgsz": 64,
            "batch": 8,
            "workers": 0,
            "device": "cpu",
            "plots": False,
            "project": fork.work / "runs",
            "name": "cli",
            "sparsity": "auto",
            "sparsity_decay": 0.5,
        }
        done = fork.run("-c", code, "detect", "train", *(f"{key}={value}" for key, value in arguments.items()))
        assert done.returncode == 0, done.stderr[-3000:]
        written = (fork.work / "runs" / "cli" / "args.yaml").read_text()
        assert "sparsity: auto\n" in written
        assert "sparsity_decay: 0.5\n" in written
        said = done.stdout + done.stderr
        assert "slim: sparsity " in said
        assert "slim: sparsity=auto trains without a penalty, and prune.py --data then chooses by images" in said
        assert "the whole way takes epochs=" in said
        assert "too short" not in said


def table(path):
    """Read a CSV file whose column names may be padded."""
    with path.open(encoding="utf-8", newline="") as file:
        return [{name.strip(): float(value) for name, value in row.items()} for row in csv.DictReader(file)]


class TestRunFolder:
    """What is seen of the scales while they are trained, and that a run which is resumed goes on with the same λ."""

    @pytest.mark.parametrize(
        "arguments",
        [
            {
                "sparsity": "auto",
                "lrf": 1.0,
                "batch": 1,
                "nbs": 1,
                "epochs": 9,
            },  # steps enough, all of them the largest
            {"sparsity": STRENGTH, "sparsity_weight": "flops", "epochs": 4},
        ],
    )
    def test_with_an_interruption(self, fork, arguments):
        name = f"interrupted-{arguments['sparsity']}"
        run = Path(fork.train(fork.dense["last"], name, stop_after=1, sparsity_decay=0.0, **arguments)["run"])
        fork.call("resume", weights=str(run / "weights" / "last.pt"))
        rows = table(run / "gamma.csv")
        assert [row["epoch"] for row in rows] == list(range(arguments["epochs"] + 1))
        assert len({row["lambda"] for row in rows[1:]}) == 1
        assert rows[1]["lambda"] > 0
        assert rows[-1]["median"] < rows[0]["median"]
        assert (run / "gamma.png").stat().st_size > 1000
        results = table(run / "results.csv")
        assert [row["gamma/median"] for row in results] == pytest.approx([row["median"] for row in rows[1:]], rel=1e-4)

    def test_off_leaves_none(self, fork):
        run = Path(fork.dense["run"])
        assert not list(run.glob("gamma*"))
        assert not [name for name in table(run / "results.csv")[0] if "gamma" in name]
