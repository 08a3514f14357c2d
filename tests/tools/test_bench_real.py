"""Benchmarks on the user's own pictures: DeepPCB becomes a data set, and the table says what was noted.

What runs them, `real` and `real_inside`, is tried as a whole on a few pictures (slow).
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from yolov5_runs import Runs, parser

from slimfork.qr import qr

BENCH = Path(__file__).parents[2] / "tools" / "bench"


def convert(*words):
    done = subprocess.run(
        [sys.executable, BENCH / "data" / "deeppcb.py", *map(str, words)], capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout + done.stderr


@pytest.fixture
def clone(tmp_path):
    """A clone as it lies there, with twenty pictures for training and three for tests."""
    root = tmp_path / "clone" / "PCBData"
    folders = ("group1/001", "group1/001_not")
    for folder in folders:
        (root / folder).mkdir(parents=True)
    for name, numbers in (("trainval", range(20)), ("test", range(20, 23))):
        listed = []
        for number in numbers:
            picture, boxes = (f"{folder}/001{number:03}" for folder in folders)
            (root / f"{picture}_test.jpg").write_bytes(b"a picture")
            (root / f"{boxes}.txt").write_text(f"0 0 64 640 1\n320 160 640 480 {number % 6 + 1}\n")
            listed.append(f"{picture}.jpg {boxes}.txt")
        (root / f"{name}.txt").write_text("\n".join(listed))  # as there: without a newline at the end
    return root.parent


class TestDeepPCB:
    def test_splits_are_apart_and_whole(self, clone, tmp_path):
        code, said = convert(clone, "--into", tmp_path / "pcb")
        assert (code, "train 18, val 2, test 3" in said) == (0, True)
        data = yaml.safe_load((tmp_path / "pcb" / "data.yaml").read_text())
        folders = [Path(data["path"]) / data[split] for split in ("train", "val", "test")]
        names = [{file.stem for file in folder.iterdir()} for folder in folders]
        assert [len(found) for found in names] == [18, 2, 3]
        assert len(set.union(*names)) == 23
        assert len(data["names"]) == data["nc"] == 6

    def test_boxes_are_shares_of_the_picture(self, clone, tmp_path):
        convert(clone, "--into", tmp_path / "pcb")
        lines = (tmp_path / "pcb" / "labels" / "val" / "001010_test.txt").read_text().splitlines()
        assert [[float(word) for word in line.split()] for line in lines] == [
            [0, 0.05, 0.5, 0.1, 1],
            [4, 0.75, 0.5, 0.5, 0.5],
        ]

    def test_fewer_are_taken_evenly(self, clone, tmp_path):
        convert(clone, "--into", tmp_path / "pcb", "--images", 6)
        taken = sorted(file.name[3:6] for file in (tmp_path / "pcb" / "images" / "train").iterdir())
        assert taken == ["001", "004", "007", "011", "014", "017"]

    def test_what_is_no_clone_and_what_is_there_are_refused(self, clone, tmp_path):
        assert convert(tmp_path, "--into", tmp_path / "pcb")[0] == 2
        assert not (tmp_path / "pcb").exists()
        code, said = convert(clone, "--into", clone)
        assert (code, "is there already" in said) == (2, True)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_whole_of_real_on_a_few_pictures(tmp_path):
    qr.draw(tmp_path / "qr", images=8, val=4, imgsz=64)
    images = tmp_path / "qr" / "images"
    data = tmp_path / "qr.yaml"
    data.write_text(f"train: {images / 'train'}\nval: {images / 'val'}\ntest: {images / 'val'}\nnc: 1\nnames: [qr]\n")
    weights = tmp_path / "start.pt"
    size = ("--imgsz", 64, "--epochs", 3, "--parent", 1, "--sparse", 1, "--targets", "flops=0.5", "--batch", 4)
    words = [sys.executable, BENCH / "real.py", data, "--weights", weights, "--out", tmp_path / "out", *size]
    made = f"""
from pathlib import Path
import torch
from yolov5.models.yolo import Model
from yolov5.slim.files.checkpoint import save_checkpoint
save_checkpoint(Path({str(weights)!r}), Model("yolov5/models/yolov5n.yaml"), {{}})
"""
    runs = Runs(parser(None, str(tmp_path / "out")).parse_args([str(data), "--weights", str(weights)]))
    runs.prepare()
    (tmp_path / "make.py").write_text(made)
    runs.run("weights", tmp_path / "make.py")
    for _ in range(2):  # the second time nothing is left
        done = subprocess.run([*map(str, words)], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-2000:]
    table = json.loads((tmp_path / "out" / "table.json").read_text())
    methods = {"dense", "dense-by-steps", "images", "auto", "gamma", "shape", "narrow"}
    assert {line["method"] for line in table} == methods
    dense = next(line for line in table if line["method"] == "dense")
    for line in table:
        assert line["values"]["gflops"] <= dense["values"]["gflops"]
