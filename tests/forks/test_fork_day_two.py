"""What upstream does with a trained model, it does with a pruned one, in the newest and in an old fork."""

from __future__ import annotations

import importlib.util
import re

import pytest

pytestmark = pytest.mark.slow

CLI = """
try:
    from ultralytics.cfg import entrypoint
except ImportError:
    from ultralytics.yolo.cfg import entrypoint
entrypoint()
"""
NEEDS = {"torchscript": "torch", "onnx": "onnxruntime", "openvino": "openvino", "ncnn": "ncnn", "mnn": "MNN"}


@pytest.fixture
def yolo(fork):
    """Call upstream's command line in the fork, as one types it; all that it said."""

    def call(*words):
        done = fork.run("-c", CLI, *words, f"model={fork.pruned}", "imgsz=64", "device=cpu")
        assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
        return done.stdout + done.stderr

    return call


def pictures(fork):
    return f"source={fork.one.removesuffix('data.yaml')}images/val"


def test_val(fork, yolo):
    assert re.search(r"\n +all +4 +\d+( +[\d.e-]+){4}", yolo("detect", "val", f"data={fork.one}", "plots=False"))


def test_predict(fork, yolo):
    assert yolo("detect", "predict", pictures(fork), "conf=0.001").count("64x64") == 4


@pytest.mark.skipif(importlib.util.find_spec("lap") is None, reason="no lap, which upstream tracks with")
def test_track(fork, yolo):
    assert yolo("detect", "track", pictures(fork), "conf=0.001").count("64x64") == 4


@pytest.mark.parametrize("kind", NEEDS)
def test_export_computes_the_same(fork, kind):
    if importlib.util.find_spec(NEEDS[kind]) is None:
        pytest.skip(f"{NEEDS[kind]} is not installed")
    if kind not in {"torchscript", "onnx"} and fork.version != "8.4.190":
        pytest.skip("early releases offer no NCNN and MNN, and import an OpenVINO of their time")
    found = fork.call("served", weights=str(fork.pruned), kind=kind)
    assert found["shapes"][0] == found["shapes"][1]
    assert found["apart"] < (1 if kind in {"ncnn", "mnn"} else 1e-2)  # these compute in half precision


def test_tune_keeps_the_shape(new):
    assert new.call("tuned", weights=str(new.pruned), data=new.one, name="tuned")["shapes"] == shapes(new)


@pytest.mark.parametrize("kind", ["onnx", "torchscript"])
def test_benchmark(new, kind):
    rows = new.call("benchmarked", weights=str(new.pruned), data=new.one, kind=kind)
    assert any("✅" in row.values() for row in rows), rows


@pytest.mark.parametrize("options", [{"freeze": 3}, {"rect": True}, {"multi_scale": 0.5}, {"cos_lr": True}], ids=str)
def test_options_of_training_keep_the_shape(new, options):
    assert new.train(new.pruned, f"with-{next(iter(options))}", **options)["shapes"] == shapes(new)


def test_a_run_that_was_cut_off_goes_on_in_its_shape(fork):
    cut = fork.train(fork.pruned, "cut", epochs=2, stop_after=0)
    found = fork.call("resume", weights=cut["last"])
    assert (found["shapes"], found["epochs"]) == (shapes(fork), 2)


def shapes(fork):
    return fork.facts(fork.pruned)["shapes"]
