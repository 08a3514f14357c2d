"""`prune.py` of real forks, as its user runs it. What it refuses is shown in tests/overlay/test_command.py."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest

from tests.forks.conftest import StepError


def test_one_json_document_and_everything_beside_the_checkpoint(fork):
    rows = fork.report["rows"]
    assert set(rows) == {"parameters", "gflops", "pt_bytes", "onnx_bytes", "latency_ms"}
    assert rows["parameters"]["ratio"] > 1.5
    beside = {path.name for path in fork.pruned.parent.glob("pruned[.-]*")}
    assert beside == {"pruned.pt", "pruned.json", "pruned.onnx", "pruned-gamma.png", "pruned-channels.png"}


def test_the_checkpoint_says_where_it_came_from(fork):
    plan = json.loads(fork.pruned.with_suffix(".json").read_text())
    assert (plan["ratio"], plan["round_to"]) == (0.5, 4)
    facts = fork.facts(fork.pruned)
    assert facts["parameters"] < fork.dense["parameters"]
    assert facts["names"] == fork.dense["names"]


def test_boxes_are_decoded_with_a_softmax_over_the_last_axis(fork):
    (softmax,) = (node for node in onnx.load(fork.pruned.with_suffix(".onnx")).graph.node if node.op_type == "Softmax")
    assert next(a.i for a in softmax.attribute if a.name == "axis") in {-1, 3}
    assert fork.call("export", weights=str(fork.pruned)) < 1e-3


def test_what_cannot_be_done_is_one_line(fork, tmp_path):
    done = fork.run(fork.root / "prune.py", "--weights", tmp_path / "none.pt", "--ratio", 0.5)
    assert (done.returncode, done.stdout) == (2, "")
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("error: ")
    assert "none.pt: no such checkpoint" in last
    assert "Traceback" not in done.stderr


def test_a_plan_of_another_model_is_refused_by_the_layer(fork):
    options = ["--plan", str(fork.pruned.with_suffix(".json"))]
    out = fork.work / "never.pt"
    assert fork.call("prune", weights=str(fork.pruned), out=str(out), options=options) == 2
    log = (fork.work / "log").read_text()
    refusal = [line for line in log.splitlines() if line.startswith("error: ")][-1]
    assert re.search(r"the plan is for another model: model\.\d+\.conv has", refusal)
    assert not out.exists()


def test_a_model_under_a_tenth_of_a_megabyte_exports(new):
    out = new.work / "smallest.pt"
    assert new.call("prune", weights=new.dense["last"], out=str(out), options=["--ratio", "0.95"]) == 0
    assert 0 < out.with_suffix(".onnx").stat().st_size < 1e5
    assert new.call("export", weights=str(out)) < 1e-3

    with pytest.raises(StepError, match="output model too small"):
        new.pristine.call("export", weights=str(out))


@pytest.fixture
def folder(sets, tmp_path):
    """A data set with pictures that cannot be read, under a name that also lies below upstream's `datasets_dir`."""
    shutil.copytree(sets / "one", tmp_path / "set", ignore=shutil.ignore_patterns("*.cache"))
    pictures = sorted((tmp_path / "set" / "images" / "train").iterdir())
    pictures[0].write_bytes(b"x" * 40)
    (pictures[1].parent / ("._" + pictures[1].name)).write_bytes(b"x" * 40)
    pictures[2].write_bytes(b"")
    return tmp_path / "set"


class TestData:
    """`--data` is read as upstream of that release reads it."""

    def test_the_same_pictures_to_the_pixel(self, fork, folder, tmp_path):
        yaml = tmp_path / "data.yaml"
        yaml.write_bytes(
            f"# \xe9\npath: {folder}\ntrain: images/train\nval: images/val\nnames: [qr]\n".encode("latin-1")
        )
        read = fork.call("reads", source=str(yaml))
        assert read["pictures"] == read["theirs"]
        assert (len(read["pictures"]), len(read["skipped"]), read["largest"]) == (14, 3, 0)

    def test_below_datasets_dir(self, fork, folder, tmp_path):
        """Where the same name lies beside the YAML, and before 8.1 in the folder that it runs in."""
        place = Path(fork.call("datasets_dir")) / "below"
        shutil.copytree(folder, place, dirs_exist_ok=True)
        decoy = shutil.copytree(folder, tmp_path / "yamls" / "below")
        (decoy.parent / "data.yaml").write_text("path: below\ntrain: images/train\nval: images/val\nnames: [qr]\n")
        read = fork.call("reads", source=str(decoy.parent / "data.yaml"))
        shutil.rmtree(place)
        assert read["pictures"] == read["theirs"]
        assert read["pictures"][0].startswith(str(place))

    def test_classes(self, fork, tmp_path):
        for name in ("train/ant/0.jpg", "train/bee/0.png", "val/ant/0.jpg", "val/bee/0.jpg"):
            (tmp_path / "set" / name).parent.mkdir(parents=True)
            noise = np.random.default_rng(0).integers(0, 255, (40, 60, 3), np.uint8)
            assert cv2.imwrite(str(tmp_path / "set" / name), noise)
        read = fork.call("reads", source=str(tmp_path / "set"), model="yolov8n-cls.yaml", imgsz=32)
        assert read["pictures"] == read["theirs"]
        assert (len(read["pictures"]), read["largest"]) == (2, 0)

    @pytest.mark.slow
    def test_a_classifier_is_validated(self, fork, tmp_path):
        for index in range(4):
            for place in ("train/ant", "train/bee", "test/ant", "test/bee"):
                (tmp_path / "set" / place).mkdir(parents=True, exist_ok=True)
                noise = np.random.default_rng(index).integers(0, 255, (40, 60, 3), np.uint8)
                assert cv2.imwrite(str(tmp_path / "set" / place / f"{index}.jpg"), noise)
        weights = fork.call("untrained", name="yolov8n-cls.yaml", path=str(tmp_path / "last.pt"))
        before = {path: path.read_bytes() for path in (tmp_path / "set").rglob("*.*")}
        amount = ("--weights", weights, "--ratio", 0.3, "--no-onnx", "--dry-run", "--json", "--recover", "weights")
        done = fork.run(fork.root / "prune.py", *amount, "--data", tmp_path / "set", "--val")
        assert done.returncode == 0, done.stderr[-3000:]
        accuracy = json.loads(done.stdout)["accuracy"]
        assert list(accuracy) == ["dense", "folded", "new weights", "pruned, not folded"]
        assert all({"accuracy_top1", "accuracy_top5"} == set(found) for found in accuracy.values())
        assert {path: path.read_bytes() for path in (tmp_path / "set").rglob("*.*")} == before

    @pytest.mark.slow
    def test_a_detector_is_validated_and_its_folder_stays_as_it_is(self, fork, folder, tmp_path):
        yaml = tmp_path / "data.yaml"
        yaml.write_text(f"path: {folder}\ntrain: images/train\nval: images/val\nnames: [qr]\n")
        before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        amount = ("--weights", fork.dense["last"], "--ratio", 0.3, "--no-onnx", "--dry-run", "--imgsz", 50)
        done = fork.run(fork.root / "prune.py", *amount, "--data", yaml, "--val", "--recover", "weights")
        assert done.returncode == 0, done.stderr[-3000:]
        assert "skipped 3 images that cannot be read, as upstream's training does: the first is " in done.stdout
        assert "--imgsz 50: rounded up to 64, a multiple of the model's stride, 32, as upstream does" in done.stdout
        assert re.search(r"new weights( +[\d.]+){4}", done.stdout)
        assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
