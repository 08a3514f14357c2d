"""The table of layer times: what is timed, what lies between, where it is kept; and targets in latency, measured.

Times are compared as ratios, generously: other processes are timed along.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
import torch

from slim.analysis.channels import analyse
from slim.command import UltralyticsScript
from slim.costs.latency_model import Latency
from slim.costs.layer_costs import Costs, penalty_weights, prices
from slim.costs.layer_timer import Block, channel_block, timed
from slim.costs.measure import latencies, undisturbed_latency
from slim.costs.timing_cache import Timings
from slim.pruning.plan import make_plan
from slim.pruning.target import Target, TargetError
from slim.pruning.validate import lost_groups
from slim.script.latency_search import MARGIN, Prediction, Trial, Trials, aim
from slim.script.options import PruneOptions
from slim.script.planner import Planner
from tests.overlay import small
from tests.overlay.networks import randomise, stock

pytest.importorskip("onnxruntime")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::torch.jit.TracerWarning")

MODELS = ["yolov8n", "yolo11n", "yolo26n", "yolov5nu"]


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """A table of this test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "slim"


def invented(latency, law):
    """Fill the table with times by a law of a block and its widths."""
    for layer in latency.layers.values():
        for corner in layer.corners():
            latency.timings[layer.block.key(*corner)] = law(layer.block, *corner)
    return latency


def multiply_adds(block, entering, leaving):
    """Return what a block computes, in millions."""
    pixels = block.size[0] * block.size[1] / (block.stride[0] * block.stride[1])
    pairs = leaving if block.groups == 0 else entering * leaving
    return 1e-6 * pixels * pairs * block.kernel[0] * block.kernel[1]


def test_a_block_is_what_onnx_runtime_pads_channels_to():
    block = channel_block()
    assert block in {8, 16}
    wide = Block(size=(40, 40), kernel=(3, 3), padding=(1, 1))
    fastest = {width: min(timed(wide, width, width, 1) for _ in range(5)) for width in (block + 4, 2 * block)}
    assert fastest[block + 4] > 0.8 * fastest[2 * block]  # the rest of a block costs what a whole one does


class TestTimes:
    def test_a_wider_layer_takes_longer(self):
        block = Block((40, 40), (3, 3), padding=(1, 1))
        narrow, wide = (min(timed(block, width, width, 1) for _ in range(3)) for width in (8, 128))
        assert wide > 5 * narrow > 0

    def test_a_larger_picture_takes_longer(self):
        few, many = (min(timed(Block((side, side)), 32, 32, 1) for _ in range(3)) for side in (8, 80))
        assert many > 5 * few

    @pytest.mark.parametrize("kind", [small.Grouped, small.Depthwise, small.Upsampled, small.Classifier, small.Twice])
    def test_every_kind_of_layer_can_be_timed(self, kind):
        model = randomise(kind())
        channels = analyse(model)
        latency = Latency.of(model, channels, 64)
        assert latency.layers.keys() == channels.inputs.keys()
        latency.measure()
        assert latency.known
        assert 0 < latency.total(channels, ()) < 1000

    def test_the_table_is_kept_and_read_again(self, cache):
        model = randomise(small.Residual())
        channels = analyse(model)
        first = Latency.of(model, channels, 64)
        assert not first.known
        first.measure()
        (file,) = cache.iterdir()
        assert re.fullmatch(r"latency-[0-9a-f]{12}-onnxruntime-[\d.]+-\d+-threads\.json", file.name)
        before = file.stat().st_mtime_ns
        again = Latency.of(model, channels, 64)
        assert again.known
        again.measure()
        assert again.timings == first.timings
        assert file.stat().st_mtime_ns == before

    def test_two_runs_at_once_keep_what_both_have_timed(self):
        one, other = Timings.read(), Timings.read()
        one["a"], other["b"] = 1.0, 2.0
        one.write()
        other.write()
        assert Timings.read() == {"a": 1.0, "b": 2.0}

    @pytest.mark.parametrize("content", ["", "{", "[1]", '{"a": "b"}', '{"a": null}'])
    def test_a_file_that_cannot_be_read_counts_for_nothing(self, content):
        timings = Timings.read()
        timings["a"] = 1.0
        timings.write()
        timings.place.write_text(content)
        assert Timings.read() == {}

    def test_where_nothing_can_be_kept_it_goes_on(self, tmp_path, monkeypatch):
        (tmp_path / "file").write_text("")
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
        model = randomise(small.Residual())
        latency = Latency.of(model, analyse(model), 64)
        latency.measure()
        assert latency.known

    @pytest.mark.parametrize("package", ["onnx", "onnxruntime"])
    def test_a_missing_package_is_named(self, package, monkeypatch):
        monkeypatch.setitem(sys.modules, package, None)
        with pytest.raises(ValueError, match=f"latency needs {package}: pip install onnx onnxruntime"):
            timed(Block((8, 8)), 4, 4, 1)


class TestTotals:
    @pytest.mark.parametrize("name", MODELS)
    def test_know_every_layer(self, name):
        model, channels = stock(name)
        latency = invented(Latency.of(model, channels, 160), lambda *_: 1.0)
        assert latency.layers.keys() == channels.inputs.keys()
        assert latency.total(channels, ()) == pytest.approx(sum(layer.calls for layer in latency.layers.values()))

    @pytest.mark.parametrize("name", MODELS)
    def test_follow_a_law_of_inputs_and_outputs_between_what_was_timed(self, name):
        """a + b·in + c·out + d·in·out, exactly, where widths are whole blocks."""
        model, channels = stock(name)

        def law(block, entering, leaving):
            both = leaving if block.groups == 0 else entering * leaving
            return 3 + 0.1 * entering + 0.2 * leaving + 0.01 * both

        latency = invented(Latency.of(model, channels, 160), law)
        lost = lost_groups(make_plan(model, channels, ratio=0.5, round_to=16), channels)
        expected = 0.0
        for layer_name, layer in latency.layers.items():
            kept = [sum(g not in lost for g in side[layer_name]) for side in (channels.inputs, channels.outputs)]
            whole = [
                width if width <= 16 else min(full, -(-width // 16) * 16)
                for width, full in zip(kept, (layer.in_channels, layer.out_channels), strict=True)
            ]
            expected += layer.calls * law(layer.block, *whole)
        assert latency.total(channels, lost) == pytest.approx(expected)
        assert latency.total(channels, lost) < latency.total(channels, ())

    def test_count_blocks_of_channels(self):
        """ONNX Runtime computes sixteen at a time: 33 channels cost what 48 do."""
        model, channels = stock("yolov8n")
        latency = invented(Latency.of(model, channels, 160), lambda _, a, b: float(a * b))
        layer = latency.layers["model.9.cv1.conv"]
        times = {width: layer.in_blocks(latency.timings, 128, width) for width in (32, 33, 48)}
        assert times[32] < times[33] == times[48]


class TestPrices:
    def test_are_what_the_next_channel_saves(self):
        """By a law that is the multiply-adds, latency weighs as FLOPs do."""
        model, channels = stock("yolov8n")
        invented(Latency.of(model, channels, 160), multiply_adds).timings.write()
        flops, times = (penalty_weights(model, channels, kind, imgsz=160) for kind in ("flops", "latency"))
        assert times == pytest.approx(flops, rel=0.02)

    def test_measured_ones_are_positive_for_all_that_can_go(self):
        model = randomise(small.Auxiliary())  # a branch of it runs in training alone
        channels = analyse(model)
        for kind in ("params", "flops", "latency"):
            found = prices(model, channels, kind, 64)
            assert found.keys() == {g for n in channels.norms for g in channels.outputs[n]} - channels.frozen.keys()
            assert min(found.values()) > 0


def exported(path, imgsz):
    """Export as a release line does, without upstream."""
    model = torch.load(path, weights_only=False)["model"].float().eval()
    model.model[-1].export, model.model[-1].format = True, "onnx"
    torch.onnx.export(model, torch.zeros(1, 3, imgsz, imgsz), str(path.with_suffix(".onnx")), dynamo=False)
    return path.with_suffix(".onnx")


def aimed(model, channels, text, folder, imgsz):
    """Reach a target by a table that is quite wrong, and return the plan."""
    invented(Latency.of(model, channels, imgsz), multiply_adds).timings.write()
    folder.mkdir()
    trials = Trials(exported, model, {}, channels, imgsz, folder)
    script = UltralyticsScript(load=None, export=exported)
    planner = Planner.of(script, PruneOptions(Path("last.pt"), round_to=8), model, channels, imgsz)
    return aim(Target.parse(text), planner, Latency.of(model, channels, imgsz), trials)


class TestTargets:
    def test_are_reached_and_said(self, tmp_path):
        model, channels = stock("yolov8n")
        plan = aimed(model, channels, "latency=0.5", tmp_path / "trials", 160)
        said = re.match(
            r"target latency=0\.5: ([\d.]+) ms are left of ([\d.]+) ms \(([\d.]+)%\), measured with ONNX Runtime on "
            r"\d+ threads?(; missed.*)?$",
            plan.notes[0],
        )
        assert said
        assert float(said[1]) / float(said[2]) == pytest.approx(float(said[3]) / 100, abs=0.01)
        assert (float(said[3]) <= 50 * (1 + MARGIN)) == (not said[4])
        lost = lost_groups(plan, channels)
        costs = Costs.of(model, channels, 160)
        assert 0.02 < costs.total(channels, lost).flops / costs.total(channels, ()).flops < 0.8

    @pytest.mark.slow
    def test_out_of_reach_are_refused_with_what_was_measured(self, tmp_path):
        model, channels = stock("yolov8n")
        with pytest.raises(TargetError, match=r"cannot be reached: at least [\d.]+ ms are left, 0\.01 ms are asked"):
            aimed(model, channels, "latency=0.01ms", tmp_path / "trials", 64)

    def test_what_was_measured_bends_what_is_predicted(self):
        known = [(0.0, 0.0), (1.0, 1.0)]
        predicted = Prediction(latency=None, channels=None, rest=0.0, known=known)
        assert predicted.wanted(0.5) == pytest.approx(0.5)
        known.append((0.5, 0.25))  # faster than the table has it, so there may be more
        assert predicted.wanted(0.5) == pytest.approx(2 / 3)
        known.append((2 / 3, 0.6))  # and slower: in between
        assert 0.5 < predicted.wanted(0.5) < 2 / 3
        known.append((0.6, 1.2))  # disturbed
        assert 0 < predicted.wanted(0.5) < 1

    @pytest.mark.parametrize(
        ("pruned", "fits", "close"), [(5.0, True, True), (5.2, True, True), (5.3, False, False), (4.0, True, False)]
    )
    def test_count_as_met_within_a_margin(self, pruned, fits, close):
        outcome = Trial(plan=None, dense=10.0, pruned=pruned, limit=5.0)
        assert (outcome.fits, outcome.close) == (fits, close)


def test_an_undisturbed_latency_is_no_more_than_a_measured_one(tmp_path):
    """The fastest of each operator, against the median of the whole, which also has what lies between them."""
    model, _ = stock("yolov8n")
    torch.save({"model": model}, tmp_path / "model.pt")
    path = exported(tmp_path / "model.pt", 160)
    whole = latencies([path], imgsz=160, threads=1, runs=10, warmup=2)[0]
    parts = undisturbed_latency(path, imgsz=160, threads=1, runs=10)
    assert 0.1 * whole < parts < 1.3 * whole
