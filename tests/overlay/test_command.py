"""The journey of `prune.py`, with stock ultralytics as the release line: options, files, JSON, and what it refuses.

Also of: `slim.writing.console`, `slim.script.before_after`, `slim.script.journey`, `slim.script.accuracy`.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from slim.calibration.ultralytics_data import open_data
from slim.command import Line, main
from slim.pruning.apply import apply_plan, mask_plan
from slim.pruning.plan import Plan
from tests.overlay.networks import assert_same, photo, randomise, run
from tests.overlay.test_architecture import build
from ultralytics import YOLO


def load(path):
    yolo = YOLO(str(path))
    return yolo.model, yolo.ckpt


def export(path, imgsz):
    return Path(YOLO(str(path)).export(format="onnx", imgsz=imgsz))


def validate(path, data, imgsz):
    found = YOLO(str(path)).val(data=str(data), imgsz=imgsz, plots=False, verbose=False, project=str(path.parent))
    return {name.partition("/")[2]: value for name, value in found.results_dict.items() if name.startswith("metrics/")}


LINE = Line(load=load, export=export, validate=validate)


@pytest.fixture
def weights(tmp_path):
    """A checkpoint as training leaves it, alone in a folder."""
    torch.manual_seed(0)
    return save(tmp_path / "run" / "last.pt", randomise(build()))


def save(path, model):
    model.names, model.args = {0: "qr"}, {"imgsz": 64, "task": "detect"}
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"epoch": -1, "model": model.half(), "train_args": {"imgsz": 64, "task": "detect"}}, path)
    return path


@pytest.fixture
def data(tmp_path):
    """A data set of six images."""
    images = tmp_path / "set" / "images"
    images.mkdir(parents=True)
    noise, labels = np.random.default_rng(0), tmp_path / "set" / "labels"
    labels.mkdir()
    for index in range(6):
        cv2.imwrite(str(images / f"{index}.png"), noise.integers(0, 255, (64, 64, 3), np.uint8))
        (labels / f"{index}.txt").write_text("0 0.5 0.5 0.5 0.5\n")
    (tmp_path / "set" / "data.yaml").write_text("train: images\nval: images\nnames: {0: qr}\n")
    return tmp_path / "set" / "data.yaml"


@pytest.fixture
def prune(capfd):
    """Run the script: its exit code, stdout and stderr."""

    def run_it(*arguments):
        capfd.readouterr()
        code = main(LINE, [str(a) for a in arguments])
        out, err = capfd.readouterr()
        return code, out, err

    return run_it


def files(folder):
    return sorted(p.name for p in folder.iterdir())


def widths(path):
    model = load(path)[0]
    return {n: m.num_features for n, m in model.named_modules() if isinstance(m, nn.BatchNorm2d)}


def test_everything_lies_beside_the_weights(prune, weights):
    code, out, _ = prune("--weights", weights, "--ratio", 0.5)

    assert code == 0
    made = [
        "last-pruned-channels.png",
        "last-pruned-gamma.png",
        "last-pruned.json",
        "last-pruned.onnx",
        "last-pruned.pt",
    ]
    assert files(weights.parent) == sorted([*made, "last.pt"])
    assert all(str(weights.with_name(name)) in out for name in made)
    for words in ("parameters, M", "GFLOPs", "checkpoint, MB", "ONNX file, MB", "ONNX Runtime latency, ms"):
        assert words in out


def test_the_result_computes_what_the_plan_says(prune, weights):
    """The proof, end to end: the file that is written against the dense one with the same channels silenced."""
    assert prune("--weights", weights, "--ratio", 0.5, "--no-onnx", "--no-fold")[0] == 0
    masked = load(weights)[0]
    mask_plan(masked, Plan.from_json(weights.with_name("last-pruned.json").read_text()))
    pruned = load(weights.with_name("last-pruned.pt"))[0]
    assert_same(run(pruned, photo()), run(masked, photo()), atol=2e-2)  # in half precision, as upstream saves


def test_out_names_another_place(prune, weights, tmp_path):
    out = tmp_path / "new" / "small.pt"
    assert prune("--weights", weights, "--ratio", 0.5, "--no-onnx", "--out", out)[0] == 0
    assert files(out.parent) == ["small-channels.png", "small-gamma.png", "small.json", "small.pt"]
    assert files(weights.parent) == ["last.pt"]


def test_ratio_is_the_share_of_channels(prune, weights):
    code, out, _ = prune("--weights", weights, "--ratio", 0.5, "--no-onnx", "--json")
    before, after = sum(widths(weights).values()), sum(widths(weights.with_name("last-pruned.pt")).values())
    assert code == 0
    assert json.loads(out)["rows"]["parameters"]["ratio"] > 1.3
    assert 0.45 < 1 - after / before < 0.55


def test_threshold_drops_what_is_at_most_as_large(prune, weights):
    assert prune("--weights", weights, "--threshold", 0.25, "--no-onnx", "--no-fold")[0] == 0
    plan = Plan.from_json(weights.with_name("last-pruned.json").read_text())
    dense = dict(load(weights)[0].named_modules())
    assert plan.threshold == 0.25
    norms = {name: keep for name, keep in plan.keep.items() if isinstance(dense[name], nn.BatchNorm2d)}
    lost = []
    for name, keep in norms.items():
        gone = set(range(dense[name].num_features)) - set(keep)
        lost += dense[name].weight[list(gone)].abs().tolist()
    assert lost
    assert max(lost) <= 0.25


def test_threshold_zero_takes_a_model_that_was_not_trained_sparse_as_it_is(prune, weights):
    code, out, _ = prune("--weights", weights, "--threshold", 0, "--no-onnx", "--json")
    assert code == 0
    assert json.loads(out)["rows"]["parameters"]["ratio"] == 1


@pytest.mark.parametrize(("kind", "row"), [("params", "parameters"), ("flops", "gflops")])
def test_target_leaves_that_share(prune, weights, kind, row):
    code, out, _ = prune("--weights", weights, "--target", f"{kind}=0.4", "--no-onnx", "--json")
    report = json.loads(out)
    left = report["rows"][row]["after"] / report["rows"][row]["before"]
    assert code == 0
    assert 0.38 < left <= 0.4
    assert report["notes"][0].startswith(f"target {kind}=0.4: ")
    assert f"({left:.1%})" in report["notes"][0]


def test_score_spares_what_is_cheap(prune, weights):
    """At equal FLOPs more channels stay when they are chosen by what they cost."""
    kept = {}
    for score in ("gamma", "flops"):
        prune("--weights", weights, "--target", "flops=40%", "--score", score, "--round-to", 2, "--no-onnx")
        kept[score] = sum(widths(weights.with_name("last-pruned.pt")).values())
    assert kept["flops"] > 1.05 * kept["gamma"]


@pytest.mark.parametrize(
    ("amount", "said"),
    [(("--target", "flops=0.4"), "weighed with flops"), (("--target", "params=0.4"), "weighed with params")],
)
def test_what_is_to_be_saved_weighs_the_scores_of_a_sparse_model(prune, half_silent, amount, said):
    notes = json.loads(prune("--weights", half_silent, *amount, "--no-onnx", "--dry-run", "--json")[1])["notes"]
    assert any(said in note for note in notes)


@pytest.mark.parametrize("amount", [("--ratio", 0.5), ("--target", "flops=0.4", "--score", "gamma")])
@pytest.mark.parametrize("kind", ["weights", "half_silent"])
def test_plain_scales_where_nothing_is_to_be_saved_or_they_are_asked_for(prune, request, kind, amount):
    weights = request.getfixturevalue(kind)
    notes = json.loads(prune("--weights", weights, *amount, "--no-onnx", "--dry-run", "--json")[1])["notes"]
    assert not any("weighed with" in note for note in notes)


def test_costs_do_not_decide_where_no_scale_is_near_zero(prune, weights):
    for more, weighed in (((), False), (("--score", "flops"), True)):
        done = prune("--weights", weights, "--target", "flops=0.4", *more, "--no-onnx", "--dry-run", "--json")
        report = json.loads(done[1])
        assert any("weighed with flops" in note for note in report["notes"]) == weighed
        assert any("not trained sparse" in warning for warning in report["warnings"])


@pytest.mark.parametrize("multiple", [4, 8])
def test_round_to_keeps_multiples(prune, weights, multiple):
    assert prune("--weights", weights, "--ratio", 0.5, "--round-to", multiple, "--no-onnx")[0] == 0
    dense, pruned = widths(weights), widths(weights.with_name("last-pruned.pt"))
    changed = {name: pruned[name] for name in pruned if pruned[name] != dense[name]}
    assert changed
    assert all(width % multiple == 0 for width in changed.values()), changed


def test_min_channels_spares_every_layer_that_many(prune, weights):
    assert prune("--weights", weights, "--ratio", 0.95, "--min-channels", 4, "--no-onnx")[0] == 0
    assert min(widths(weights.with_name("last-pruned.pt")).values()) >= 4


def test_dry_run_reports_and_writes_nothing(prune, weights, data):
    before = weights.stat().st_mtime_ns
    code, out, _ = prune("--weights", weights, "--ratio", 0.5, "--data", data, "--dry-run")
    assert code == 0
    assert "parameters, M" in out
    assert "wrote" not in out
    assert (files(weights.parent), weights.stat().st_mtime_ns) == (["last.pt"], before)
    assert files(data.parent) == ["data.yaml", "images", "labels"]


def test_dry_run_predicts_latency_where_the_layers_have_been_timed(prune, weights, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    predicted = re.compile(r"table of layers predicts ([\d.]+) ms before, ([\d.]+) ms after, for layers alone")
    assert not predicted.search(prune("--weights", weights, "--ratio", 0.5, "--dry-run")[1])
    assert prune("--weights", weights, "--ratio", 0.5, "--score", "latency", "--no-onnx")[0] == 0
    before, after = map(float, predicted.search(prune("--weights", weights, "--ratio", 0.9, "--dry-run")[1]).groups())
    assert 0 <= after < before


@pytest.mark.parametrize("more", [("--dry-run",), ("--no-onnx",), ()])
def test_json_is_one_document_on_stdout(prune, weights, data, more):
    code, out, err = prune("--weights", weights, "--ratio", 0.5, "--data", data, "--json", *more)
    report = json.loads(out)
    assert code == 0
    assert list(report) == ["accuracy", "checkpoint", "imgsz", "notes", "recovery", "rows", "threshold", "warnings"]
    assert report["checkpoint"] == (None if "--dry-run" in more else str(weights.with_name("last-pruned.pt")))
    assert ("latency_ms" in report["rows"]) == (not more)
    assert (report["imgsz"], bool(report["notes"])) == (64, True)
    assert list(report["recovery"]) == ["as cut", "kept", "statistics", "weights"]
    assert "looking at 6 images" in err  # what else is said goes to stderr


def test_a_plan_can_be_applied_again(prune, weights):
    assert prune("--weights", weights, "--ratio", 0.5, "--no-onnx")[0] == 0
    plan, again = weights.with_name("last-pruned.json"), weights.with_name("again.pt")
    assert prune("--weights", weights, "--plan", plan, "--out", again, "--no-onnx")[0] == 0
    assert again.with_suffix(".json").read_text() == plan.read_text()
    one, two = load(weights.with_name("last-pruned.pt"))[0].state_dict(), load(again)[0].state_dict()
    assert all(torch.equal(one[name], two[name]) for name in two)


def test_a_plan_can_be_made_first_and_applied_later(prune, weights, tmp_path):
    plan = tmp_path / "plans" / "small.json"
    code, out, _ = prune("--weights", weights, "--ratio", 0.5, "--dry-run", "--plan-out", plan)
    assert code == 0
    assert files(weights.parent) == ["last.pt"]
    assert out.endswith(f"wrote the plan {plan}; to apply it:\n  python prune.py --weights {weights} --plan {plan}\n")
    again = weights.with_name("again.pt")
    assert prune("--weights", weights, "--plan", plan, "--out", again, "--no-onnx")[0] == 0
    assert prune("--weights", weights, "--ratio", 0.5, "--no-onnx")[0] == 0
    assert again.with_suffix(".json").read_text() == plan.read_text()
    assert widths(again) == widths(weights.with_name("last-pruned.pt")) != widths(weights)


def test_two_rounds_are_two_plans_on_one_model(prune, weights):
    """Both plans, from the checkpoint, make of the first model what two runs of the script made."""
    once, twice = weights.with_name("last-pruned.pt"), weights.with_name("last-pruned-pruned.pt")
    for path in (weights, once):
        assert prune("--weights", path, "--ratio", 0.3, "--no-onnx", "--no-fold")[0] == 0
    model, result = load(weights)[0].float().eval(), load(twice)[0].float().eval()
    first, *rest = result.slim["before"]
    assert (rest, first) == ([], {k: v for k, v in load(once)[0].slim.items() if k != "before"})
    masked = []
    for plan in (first, result.slim):
        twin = load(weights if plan is first else once)[0].float().eval()
        mask_plan(twin, Plan.from_dict(plan))
        masked.append(run(twin, photo()))
        apply_plan(model, Plan.from_dict(plan), fold=False)
        assert_same(run(model, photo()), masked[-1], atol=2e-2)
    assert_same(run(result, photo()), masked[-1], atol=2e-2)


def test_layers_that_are_named_keep_their_channels(prune, weights):
    assert prune("--weights", weights, "--ratio", 0.5, "--keep", "model.0", "--skip", "model.1", "--no-onnx")[0] == 0
    before, after = widths(weights), widths(weights.with_name("last-pruned.pt"))
    assert all(after[name] == before[name] for name in before if name.startswith(("model.0.", "model.1.")))
    assert sum(after.values()) < sum(before.values())


def test_only_layers_that_are_named_lose_any(prune, weights):
    assert prune("--weights", weights, "--ratio", 0.5, "--only", "model.1", "--no-onnx")[0] == 0
    before, after = widths(weights), widths(weights.with_name("last-pruned.pt"))
    assert [name for name in before if after[name] != before[name]] == ["model.1.bn"]


def test_advice_shows_the_scales_and_writes_nothing(prune, weights):
    code, out, _ = prune("--weights", weights, "--advice")
    assert code == 0
    assert out.splitlines()[1].split()[:2] == ["model.0.bn", str(widths(weights)["model.0.bn"])]
    assert files(weights.parent) == ["last.pt"]
    code, out, _ = prune("--weights", weights, "--advice", "--json")
    assert json.loads(out)["advice"]["sparse"] is False


def test_what_folding_leaves_is_measured(prune, weights, data):
    for more, where in (((), "noise"), (("--data", data), "images")):
        _, out, _ = prune("--weights", weights, "--ratio", 0.5, "--dry-run", "--json", *more)
        (said,) = [note for note in json.loads(out)["notes"] if note.startswith("folding leaves")]
        numbers = re.fullmatch(
            rf"folding leaves the outputs ([\d.]+)% off in the mean, ([\d.]+)% at most, on {where}", said
        )
        assert 0 < float(numbers[1]) < 5
        assert float(numbers[1]) < float(numbers[2])
    _, out, _ = prune("--weights", weights, "--ratio", 0.5, "--dry-run", "--no-fold")
    assert "note: fold" not in out


def test_val_says_what_each_step_costs(prune, weights, data):
    how = ("--val", "--dry-run", "--json", "--recover", "weights")
    code, out, _ = prune("--weights", weights, "--ratio", 0.5, "--data", data, *how)
    assert code == 0
    accuracy = json.loads(out)["accuracy"]
    assert list(accuracy) == ["dense", "folded", "new weights", "pruned, not folded"]
    assert all(set(found) >= {"mAP50(B)", "mAP50-95(B)"} for found in accuracy.values())


def test_data_puts_the_statistics_right(prune, weights, data):
    how = ("--recover", "statistics", "--no-onnx")
    assert prune("--weights", weights, "--ratio", 0.5, "--data", data, *how)[0] == 0
    model = load(weights.with_name("last-pruned.pt"))[0]
    images = next(open_data(data, model, 64, 6).batches(6))
    seen = []
    model.model[0].conv.register_forward_hook(lambda *passed: seen.append(passed[-1].mean((0, 2, 3))))
    run(model, images)
    torch.testing.assert_close(model.model[0].bn.running_mean, seen[0], atol=2e-3, rtol=1e-2)


def test_a_dense_model_is_doubted(prune, weights):
    _, out, _ = prune("--weights", weights, "--ratio", 0.5, "--dry-run")
    assert re.search(r"WARNING: channels with \|γ\| up to 0\.\d+ go, and none of this model is near zero", out)
    assert f"it was not trained sparse; with --data, images choose; next: yolo train model={weights} " in out
    assert f"next: yolo train model={weights} data=data.yaml sparsity=auto" in out


def test_images_are_no_help_to_a_threshold(prune, weights):
    _, out, _ = prune("--weights", weights, "--threshold", 0.5, "--dry-run")
    assert "it was not trained sparse; next: yolo train" in out


@pytest.fixture
def half_silent(tmp_path):
    model = randomise(build())
    for norm in model.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.weight.data[: norm.num_features // 2] = 0
    return save(tmp_path / "last.pt", model)


def test_a_sparse_model_is_not(prune, half_silent):
    _, out, _ = prune("--weights", half_silent, "--threshold", 0.001, "--dry-run")
    assert "WARNING" not in out


def test_a_sparse_model_of_which_too_much_goes_needs_advice_and_no_training(prune, half_silent):
    _, out, _ = prune("--weights", half_silent, "--ratio", 0.9, "--dry-run")
    assert re.search(r"WARNING: \d+ of the \d+ scales that go are not near zero", out)
    assert f"next: python prune.py --weights {half_silent} --advice" in out


def test_a_target_on_a_sparse_model_takes_what_it_takes_and_says_so(prune, half_silent):
    _, out, _ = prune("--weights", half_silent, "--target", "flops=0.1", "--dry-run")
    assert "WARNING" not in out
    assert re.search(r"note: \d+ of the \d+ scales that go are not near zero, up to \|γ\| \d", out)


def test_a_target_on_a_dense_model_is_doubted(prune, weights):
    _, out, _ = prune("--weights", weights, "--target", "flops=0.5", "--dry-run")
    assert "near zero: it was not trained sparse" in out
    assert f"next: yolo train model={weights} data=data.yaml sparsity=auto" in out


def test_a_model_whose_sparse_training_was_short_is_not_called_dense(prune, weights):
    checkpoint = torch.load(weights, weights_only=False)
    checkpoint["train_args"]["sparsity"] = "auto"
    torch.save(checkpoint, weights)
    _, out, _ = prune("--weights", weights, "--ratio", "0.5", "--dry-run")
    assert "near zero: its sparse training was too short for that; with --data, images choose; next: train on" in out
    assert "next: train on, in more epochs: yolo train" in out


def test_a_pruned_checkpoint_can_be_pruned_again(prune, weights):
    assert prune("--weights", weights, "--ratio", 0.3, "--no-onnx")[0] == 0
    once = weights.with_name("last-pruned.pt")
    assert prune("--weights", once, "--ratio", 0.3, "--no-onnx")[0] == 0
    sizes = [sum(widths(p).values()) for p in (weights, once, once.with_name("last-pruned-pruned.pt"))]
    assert sizes == sorted(sizes, reverse=True)
    assert len(set(sizes)) == 3


def unsupported(*_):
    raise RuntimeError("unsupported operator\nand a long story")


class TestRefused:
    """One line on stderr, exit code 2, and nothing written."""

    def one_line(self, result, *words):
        code, out, err = result
        assert (code, out) == (2, "")
        lines = [line for line in err.splitlines() if not line.startswith(("WARNING", "Ultralytics"))]
        assert len(lines) == 1, err
        assert lines[0].startswith("error: ")
        assert all(word in lines[0] for word in words), lines[0]

    @pytest.mark.parametrize(
        ("options", "words"),
        [
            (("--ratio", 1.5), "ratio is 1.5"),
            (("--target", "params"), "--target params: give one of params, flops, latency"),
            (("--target", "latency=0.5", "--no-onnx"), "is measured on the ONNX file; leave out --no-onnx"),
            (("--target", "params=0.001"), "--target params=0.001: cannot be reached: at least"),
            (("--target", "flops=0.1", "--min-channels", 99), "--min-channels set the bound"),
            (("--ratio", -0.1), "ratio is -0.1"),
            (("--threshold", -1), "threshold is -1"),
            (("--threshold", "inf"), "threshold is inf"),
            (("--ratio", 0.5, "--round-to", 0), "round_to is 0"),
            (("--ratio", 0.5, "--min-channels", 0), "min_channels is 0"),
            (("--ratio", 0.5, "--imgsz", 0), "--imgsz 0: must be at least 1"),
            (("--ratio", 0.5, "--imgsz", -32), "--imgsz -32: must be at least 1"),
            (("--ratio", 0.5, "--data", "nowhere.yaml"), "nowhere.yaml"),
            (("--ratio", 0.5, "--out", "small.onnx"), "--out small.onnx: must end in .pt"),
            (("--plan", "nowhere.json"), "nowhere.json"),
            (("--plan", "any.json", "--keep", "model.0"), "--plan says already which channels stay"),
            (("--ratio", 0.5, "--keep", "modle.0"), "--keep modle.0: no layer is called so; the nearest are model.0"),
            (("--ratio", 0.5, "--only", "head"), "--only head: no layer is called so; the nearest are"),
            (("--ratio", 0.5, "--plan-out", "plan.txt"), "--plan-out plan.txt: must end in .json"),
            (("--ratio", 0.5, "--val"), "--val: needs --data"),
        ],
    )
    def test_options_out_of_range(self, prune, weights, options, words):
        self.one_line(prune("--weights", weights, *options), words)
        assert files(weights.parent) == ["last.pt"]

    def test_its_own_input_as_output(self, prune, weights):
        before = weights.read_bytes()
        self.one_line(prune("--weights", weights, "--ratio", 0.5, "--out", weights), "is the checkpoint to prune")
        assert weights.read_bytes() == before

    def test_no_weights(self, prune, tmp_path):
        missing = tmp_path / "last.pt"
        self.one_line(prune("--weights", missing, "--ratio", 0.5), str(missing), "no such checkpoint", "weights/")

    @pytest.mark.parametrize("content", [b"", b"not a checkpoint at all", b"PK\x03\x04 cut off"])
    def test_no_checkpoint(self, prune, tmp_path, content):
        (tmp_path / "last.pt").write_bytes(content)
        self.one_line(
            prune("--weights", tmp_path / "last.pt", "--ratio", 0.5), "last.pt: not a checkpoint that this fork"
        )

    def test_an_export_that_fails_says_that_the_checkpoint_is_there(self, weights, capfd):
        assert main(Line(load=load, export=unsupported), ["--weights", str(weights), "--ratio", "0.5"]) == 2
        last = capfd.readouterr().err.splitlines()[-1]
        assert last.startswith("error: the checkpoint is written, but not the ONNX file (RuntimeError: unsupported op")
        assert "--no-onnx" in last
        assert load(weights.with_name("last-pruned.pt"))

    def test_an_export_that_fails_while_a_latency_is_sought_says_what_needs_none(self, weights, capfd):
        before = files(weights.parent)
        assert main(Line(load=load, export=unsupported), ["--weights", str(weights), "--target", "latency=0.5"]) == 2
        last = capfd.readouterr().err.splitlines()[-1]
        assert last.startswith("error: --target latency=... times ONNX files, and one failed to export (RuntimeError:")
        assert "--target flops=" in last
        assert files(weights.parent) == before

    def test_a_plan_of_another_model_names_the_layer(self, prune, weights, tmp_path):
        assert prune("--weights", weights, "--ratio", 0.5, "--no-onnx")[0] == 0
        plan = weights.with_name("last-pruned.json")
        other = save(tmp_path / "other" / "last.pt", randomise(build("Detect, end to end")))
        self.one_line(prune("--weights", other, "--plan", plan), "model.")
        pruned = weights.with_name("last-pruned.pt")
        self.one_line(
            prune("--weights", pruned, "--plan", plan),
            "model.0",
            f"make a plan for it: python prune.py --weights {pruned} --ratio 0.5 --dry-run --plan-out new.json",
        )
        assert files(other.parent) == ["last.pt"]

    @pytest.mark.parametrize("text", ["", "{}", "[1]", '{"format": 99}'])
    def test_no_plan(self, prune, weights, tmp_path, text):
        (tmp_path / "plan.json").write_text(text)
        self.one_line(prune("--weights", weights, "--plan", tmp_path / "plan.json"), "plan")

    @pytest.mark.parametrize(
        "options",
        [
            (),
            ("--ratio", 0.5, "--threshold", 0.1),
            ("--ratio", 0.5, "--target", "params=0.1"),
            ("--ratio", "half"),
            ("--ratio", 0.5, "--score", "watts"),
        ],
    )
    def test_usage(self, weights, options, capfd):
        with pytest.raises(SystemExit) as stopped:
            main(LINE, ["--weights", str(weights), *map(str, options)])
        assert stopped.value.code == 2
        assert capfd.readouterr().err.startswith("usage: ")
