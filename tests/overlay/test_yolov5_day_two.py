"""What YOLOv5's own scripts do with a trained model, they do with a pruned one, in new and in old forks."""

from __future__ import annotations

import subprocess
import sys

import pytest

from slimfork.qr import qr
from slimfork.terminal.naming import is_tag
from tests.overlay.yolov5_forks import NEW, TAG

pytestmark = pytest.mark.slow


@pytest.fixture
def data(tmp_path):
    qr.draw(tmp_path / "qr", images=8, val=4, imgsz=64)
    images = tmp_path / "qr" / "images"
    (tmp_path / "qr.yaml").write_text(f"train: {images / 'train'}\nval: {images / 'val'}\nnc: 1\nnames: [qr]\n")
    return tmp_path / "qr.yaml"


@pytest.fixture
def small(fork, weights, tmp_path):
    """A checkpoint that the fork's `prune.py` has made."""
    out = tmp_path / "small.pt"
    done = fork.prune("--weights", weights(fork), "--prob", "0.5", "--no-onnx", "--out", out)
    assert done["code"] == 0, done["err"]
    return out


@pytest.fixture
def script(fork, tmp_path):
    """Run one of upstream's scripts, as one types it; all that it said."""

    def call(name, *words):
        program = [fork.root / f"{name}.py"] if is_tag(fork.version) else ["-m", f"yolov5.{name}"]
        size = ["--img", "64", "--device", "cpu"]
        done = subprocess.run(
            [sys.executable, *map(str, [*program, *words, *size])],
            cwd=tmp_path,
            env=fork.environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        said = done.stdout + done.stderr
        assert done.returncode == 0, said[-3000:]
        return said

    return call


def test_it_is_validated(fork, script, small, data):
    name = "val" if (fork.package / "val.py").is_file() else "test"
    said = script(name, "--weights", small, "--data", data, "--project", data.parent / "runs")
    assert len([line for line in said.splitlines() if line.split()[:2] == ["all", "4"]]) == 1


def test_it_finds(script, small, data):
    source = data.parent / "qr" / "images" / "val"
    assert (
        script("detect", "--weights", small, "--source", source, "--project", data.parent / "runs").count("64x64") == 4
    )


def test_hyperparameters_are_evolved_from_it(fork, script, small, data):
    if fork.version == TAG:
        pytest.skip("it evolves three hundred generations, whatever one asks for")
    more = ("--evolve", "1", "--epochs", "1", "--batch-size", "4", "--workers", "0", "--noautoanchor")
    script("train", "--weights", small, "--data", data, "--project", data.parent / "runs", *more)
    assert list((data.parent / "runs").rglob("hyp_evolve.yaml"))


@pytest.mark.parametrize("kind", ["torchscript", "onnx"])
def test_it_is_exported(fork, script, small, kind):
    """To OpenVINO, 7.0.14 exports with `mo`, which today's OpenVINO is without."""
    if fork.version != NEW:
        pytest.skip("an early `export.py` asks for a PyTorch of its time")
    script("export", "--weights", small, "--include", kind)
    assert small.with_suffix(f".{kind}").is_file()
