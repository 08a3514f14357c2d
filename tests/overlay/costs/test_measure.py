from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import torch
from torch import nn

from slim.costs.measure import (
    Measured,
    MeasureError,
    compare,
    count_parameters,
    file_size,
    latencies,
    latency,
    measure,
    table,
)

if TYPE_CHECKING:
    from pathlib import Path

BEFORE = Measured(
    parameters=3_011_043,
    gflops=0.512,
    pt_bytes=6_200_000,
    onnx_bytes=12_100_000,
    latency_ms=17.1,
    map50=0.99,
    map50_95=0.757,
)
AFTER = Measured(
    parameters=64_000,
    gflops=0.064,
    pt_bytes=310_000,
    onnx_bytes=340_000,
    latency_ms=7.4,
    map50=0.985,
    map50_95=0.761,
)


def _net(width: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, width, 3, padding=1), nn.ReLU(), nn.Conv2d(width, width, 3, padding=1), nn.Conv2d(width, 1, 1)
    )


def _export(width: int, path: Path) -> Path:
    image = torch.zeros(1, 3, 64, 64)
    names = {0: "batch", 2: "height", 3: "width"}
    torch.onnx.export(
        _net(width).eval(), (image,), str(path), input_names=["images"], dynamic_axes={"images": names}, dynamo=False
    )
    return path


def test_counts_every_parameter_frozen_or_not() -> None:
    net = _net(4)
    net[0].weight.requires_grad_(False)

    assert count_parameters(net) == (3 * 4 * 9 + 4) + (4 * 4 * 9 + 4) + (4 + 1)


def test_measures_a_model_and_its_files(tmp_path: Path) -> None:
    checkpoint = tmp_path / "net.pt"
    checkpoint.write_bytes(b"x" * 1234)

    measured = measure(_net(4), imgsz=16, pt=checkpoint, map50=0.5)

    assert measured.gflops == 2 * 16 * 16 * (3 * 4 * 9 + 4 * 4 * 9 + 4) / 1e9
    assert measured.pt_bytes == 1234
    assert measured.onnx_bytes is None
    assert measured.map50 == 0.5


def test_names_a_file_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(MeasureError, match=r"gone\.pt: no such file"):
        file_size(tmp_path / "gone.pt")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_finds_the_wider_model_slower_and_in_its_place(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    narrow, wide = _export(2, tmp_path / "narrow.onnx"), _export(128, tmp_path / "wide.onnx")

    times = latencies([wide, narrow], imgsz=96, threads=1, runs=10, warmup=2)

    assert times[0] > 3 * times[1] > 0
    assert latency(narrow, imgsz=96, threads=1, runs=3, warmup=1) < times[0]


def test_names_what_onnx_runtime_cannot_load(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"no model")

    with pytest.raises(MeasureError, match=r"broken\.onnx: ONNX Runtime cannot load it") as caught:
        latency(broken, imgsz=32)

    assert "\n" not in str(caught.value)


def test_compares_what_both_have() -> None:
    rows = compare(BEFORE, Measured(parameters=301_104, gflops=0.0))

    assert list(rows) == ["parameters", "gflops"]
    assert rows["parameters"].ratio == pytest.approx(10, abs=1e-4)
    assert rows["gflops"].ratio is None


def test_table_says_what_shrank_how_often_and_what_accuracy_it_cost() -> None:
    lines, data = table(BEFORE, AFTER)

    assert lines == [
        "                              before     after    change",
        "parameters, M                  3.011     0.064    ÷ 47.0",
        "GFLOPs                         0.512     0.064     ÷ 8.0",
        "checkpoint, MB                  6.20      0.31    ÷ 20.0",
        "ONNX file, MB                  12.10      0.34    ÷ 35.6",
        "ONNX Runtime latency, ms       17.10      7.40     ÷ 2.3",
        "mAP50                         0.9900    0.9850   -0.0050",
        "mAP50-95                      0.7570    0.7610   +0.0040",
    ]
    assert json.loads(json.dumps(data))["latency_ms"] == {
        "name": "ONNX Runtime latency",
        "unit": "ms",
        "before": 17.1,
        "after": 7.4,
        "ratio": pytest.approx(2.31, abs=0.01),
    }
