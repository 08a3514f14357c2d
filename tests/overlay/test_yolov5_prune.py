"""prune.py in real forks of YOLOv5: the second write-up's options, its three examples, and what it prints.

Also of: `slim.models.model_yaml`, `slim.script.yolov5_release`.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from slim.yolov5_line import line_of
from tests.overlay.yolov5_forks import names


def below(fork, weights, threshold):
    """Name the scales that lie below a threshold, by layer."""
    every = fork.call("scales", path=str(weights))
    return {name: places_below(values, threshold) for name, values in every.items()}


def places_below(values, threshold):
    return {place for place, value in enumerate(values) if value < threshold}


def widths(fork, weights):
    """Count the scales of each layer."""
    return {name: len(values) for name, values in fork.call("scales", path=str(weights)).items()}


def dropped(plan, every):
    return {name: every_index - set(plan["keep"].get(name, every_index)) for name, every_index in every.items()}


def read(path):
    return json.loads(path.read_text())


class TestTheWriteUpsExamples:
    def test_prob_takes_the_threshold_at_that_quantile_of_all_scales(self, fork, weights):
        last = weights(fork)
        done = fork.prune("--cfg", fork.cfg_like_upstream(), "--weights", last, "--prob", 0.5, "--no-onnx", "--no-fold")
        assert done["code"] == 0, done["err"]

        scales = fork.call("scales", path=str(last))
        ordered = sorted(value for values in scales.values() for value in values)
        plan = read(last.with_name("pruned_5.json"))
        assert plan["threshold"] == ordered[int(0.5 * len(ordered))]
        low = below(fork, last, plan["threshold"])
        lost = dropped(plan, {name: set(range(len(values))) for name, values in scales.items()})
        assert all(lost[name] <= low[name] for name in scales)  # nothing above it goes
        first = "model.0.conv.bn" if "model.0.conv.bn" in scales else "model.0.bn"
        assert lost[first] == low[first]  # all that lies below goes where no residual ties it to another
        assert 0.2 < sum(map(len, lost.values())) / len(ordered) < 0.5
        assert (
            fork.call(
                "is_masked",
                dense=str(last),
                pruned=str(last.with_name("pruned_5.pt")),
                plan=str(last.with_name("pruned_5.json")),
            )
            < 2e-2
        )

    def test_thres_prunes_what_is_smaller(self, new, weights):
        last = weights(new, zeros=0.3)
        done = new.prune("--weights", last, "--save-dir", last.parent, "--thres", 0.01, "--no-onnx")
        assert done["code"] == 0, done["err"]
        plan = read(last.with_name("pruned_auto.json"))
        scales = new.call("scales", path=str(last))
        low = below(new, last, 0.01)
        lost = dropped(plan, {name: set(range(len(values))) for name, values in scales.items()})
        assert plan["threshold"] == 0.01
        assert sum(map(len, lost.values())) > 0.15 * sum(map(len, scales.values()))
        assert all(lost[name] <= low[name] for name in scales)

    def test_rate_keeps_multiples_and_rounds_up(self, new, weights):
        last = weights(new, zeros=0.3)
        assert (
            new.prune("--weights", last, "--thres", 0.01, "--no-onnx", "--out", last.with_name("plain.pt"))["code"] == 0
        )
        assert new.prune("--weights", last, "--thres", 0.01, "--rate", 8, "--no-onnx")["code"] == 0
        dense, plain, rounded = (
            widths(new, last.with_name(name)) for name in ("last.pt", "plain.pt", "pruned_auto.pt")
        )
        assert sum(rounded.values()) < sum(dense.values())
        assert all(width % 8 == 0 or width == dense[name] for name, width in rounded.items()), rounded
        assert all(rounded[name] >= plain[name] for name in dense)
        assert any(plain[name] % 8 for name in plain)


class TestNames:
    @pytest.mark.parametrize(
        ("amount", "name"),
        [
            ((), "pruned_5.pt"),
            (("-p", 0.25), "pruned_25.pt"),
            (("--prob", 0.05), "pruned_05.pt"),
            (("-p", 0), "pruned_0.pt"),
            (("-t", 0.01), "pruned_auto.pt"),
            (("--target", "params=0.1"), "pruned_auto.pt"),
            (("--plan", "plan.json"), "pruned_plan.pt"),
        ],
    )
    def test_are_the_write_ups(self, amount, name):
        arguments = ["--weights", "runs/exp/weights/last.pt", *map(str, amount)]
        script = line_of(package="")
        out = [script.out(script.read([*arguments, *more])) for more in ((), ("--save-dir", "there"))]
        assert out == [Path("runs/exp/weights", name), Path("there", name)]

    def test_everything_lies_in_the_save_dir(self, fork, weights, tmp_path):
        last = weights(fork)
        done = fork.prune("--weights", last, "--save-dir", tmp_path / "out", "-p", 0.4)
        assert done["code"] == 0, done["err"]
        made = [
            "after_pruning.png",
            "before_pruning.png",
            "pruned_4-channels.png",
            "pruned_4.json",
            "pruned_4.onnx",
            "pruned_4.pt",
        ]
        assert names(tmp_path / "out") == made
        assert names(last.parent) == ["last.pt"]
        assert all(str(tmp_path / "out" / name) in done["out"] for name in made)
        for words in ("parameters, M", "GFLOPs", "checkpoint, MB", "ONNX file, MB", "ONNX Runtime latency, ms"):
            assert words in done["out"]
        pruned = tmp_path / "out" / "pruned_4.pt"
        assert fork.call("onnx_agrees", pruned=str(pruned), onnx=str(pruned.with_suffix(".onnx"))) < 1e-2

    def test_and_beside_the_weights_otherwise(self, new, weights):
        last = weights(new)
        assert new.prune("--weights", last, "--no-onnx")["code"] == 0
        assert names(last.parent) == [
            "after_pruning.png",
            "before_pruning.png",
            "last.pt",
            *sorted(["pruned_5-channels.png", "pruned_5.json", "pruned_5.pt"]),
        ]


def test_it_prints_what_the_write_up_prints(new, weights):
    last = weights(new)
    done = new.prune("--cfg", new.cfg_like_upstream(), "--weights", last, "--dry-run")
    scales = sorted(v for values in new.call("scales", path=str(last)).values() for v in values)
    middle = scales[int(0.5 * len(scales))]
    assert f"Build model from {new.cfg_like_upstream()}" in done["out"]
    assert f"Restore weight from {last}" in done["out"]
    assert "vars, omit 0 vars" in done["out"]
    assert f"Min γ is {scales[0]:.6f}, max γ is {scales[-1]:.6f}, threshold is {middle:.6f}" in done["out"]
    assert f"{sum(value < middle for value in scales)} of {len(scales)} scales lie below it" in done["out"]
    assert re.search(r"Params: \d+ => \d+", done["out"])
    assert "Output: (1, 3, 8, 8, 6)" in done["out"]
    assert names(last.parent) == ["last.pt"]


class TestTargets:
    @pytest.mark.parametrize("amount", [("--target", "flops=0.3"), ("--target", "params=20%", "--score", "params")])
    def test_leave_no_more_than_is_asked_for(self, new, weights, amount):
        last = weights(new)
        done = new.prune("--weights", last, *amount, "--no-onnx", "--json")
        assert done["code"] == 0, done["err"]
        row = json.loads(done["out"])["rows"]["gflops" if "flops=0.3" in amount else "parameters"]
        limit = 0.3 if "flops=0.3" in amount else 0.2
        assert 0.95 * limit < row["after"] / row["before"] <= limit
        assert names(last.parent)[-1] == "pruned_auto.pt"

    @pytest.mark.slow  # several exports
    def test_in_latency_are_measured(self, new, weights):
        last = weights(new)
        done = new.prune("--weights", last, "--target", "latency=0.8", "--json")
        assert done["code"] == 0, done["err"]
        said = re.match(r"target latency=0.8: .* \(([\d.]+)%\), measured with ONNX Runtime", read_notes(done)[0])
        assert said
        assert float(said[1]) <= 84 or "; missed" in read_notes(done)[0]
        assert names(last.parent)[-1] == "pruned_auto.pt"

    def test_stand_alone(self, new, weights):
        done = new.prune("--weights", weights(new), "--target", "flops=0.3", "--prob", 0.5)
        assert done["code"] == 2
        assert "error: --target finds the threshold: leave out --prob, --thres and --plan" in done["err"]

    def test_weighed_scores_take_the_quantile_of_what_can_be_pruned(self, new, weights):
        last = weights(new)
        done = new.prune("--weights", last, "--prob", 0.5, "--score", "flops", "--no-onnx", "--json")
        assert done["code"] == 0, done["err"]
        assert any(re.fullmatch(r"\d+ of \d+ prunable .* dropped \((4[5-9]|5\d)\.\d%\)", n) for n in read_notes(done))


def read_notes(done):
    return json.loads(done["out"])["notes"]


class TestScales:
    def test_where_the_quantile_is_zero_the_zeros_go(self, new, weights):
        last = weights(new, zeros=0.7)
        done = new.prune("--weights", last, "--prob", 0.5, "--no-onnx")
        scales = new.call("scales", path=str(last))
        kept = new.call("scales", path=str(last.with_name("pruned_5.pt")))
        assert "threshold is 0.000000" in done["out"]
        assert sum(map(len, kept.values())) < 0.65 * sum(map(len, scales.values()))
        assert "WARNING" not in done["out"]

    def test_prob_zero_drops_nothing(self, new, weights):
        last = weights(new, zeros=0.3)
        assert new.prune("--weights", last, "--prob", 0, "--no-onnx")["code"] == 0
        assert widths(new, last) == widths(new, last.with_name("pruned_0.pt"))

    def test_a_dense_model_is_doubted(self, new, weights):
        last = weights(new)
        done = new.prune("--weights", last, "--dry-run")
        assert "and none of this model is near zero: it was not trained sparse" in done["out"]
        assert f"next: yolov5 train --weights {last} --data data.yaml --sl auto" in done["out"]

    def test_advice_shows_them_and_does_nothing(self, new, weights):
        last = weights(new, zeros=0.7)
        done = new.prune("--weights", last, "--advice")
        assert done["code"] == 0, done["err"]
        assert done["out"].startswith("prunable |γ|")
        assert re.search(r"\nthe cliff is at \|γ\| 0\.0\d+; what lies above has a median of 0\.\d+\n", done["out"])
        assert names(last.parent) == ["last.pt"]
