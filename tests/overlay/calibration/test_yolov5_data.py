"""`--data` of real forks of YOLOv5 is read as upstream of that release reads it."""

from __future__ import annotations

import json
import re

import cv2
import numpy as np
import pytest

from tests.overlay.yolov5_forks import MASTER, NEW, OLD, TAG

pytestmark = pytest.mark.slow
STATISTICS = ("--recover", "statistics", "--val")


@pytest.fixture(params=[NEW, OLD, TAG, MASTER])
def fork(forks, request):
    return forks(request.param)


def draw(path, seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), np.random.default_rng(seed).integers(0, 255, (48, 64, 3), np.uint8))


@pytest.fixture
def images(tmp_path, request):
    """What `train:` and `val:` say of a YAML that has a `path:`, which v5.0 does not know."""
    old = "fork" in request.fixturenames and request.getfixturevalue("fork").version == TAG
    return tmp_path / "set" / "images" if old else "images"


@pytest.fixture
def data(tmp_path, images):
    """A data set with images that cannot be read, and comments in another encoding."""
    for index in range(5):
        draw(tmp_path / "set" / "images" / f"{index}.jpg", index)
        label = tmp_path / "set" / "labels" / f"{index}.txt"
        label.parent.mkdir(exist_ok=True)
        label.write_text("0 0.5 0.5 0.5 0.5\n")
    (tmp_path / "set" / "images" / "x.jpg").write_bytes(b"x" * 40)
    (tmp_path / "set" / "images" / "._1.jpg").write_bytes(b"x" * 40)
    (tmp_path / "set" / "images" / "empty.png").write_bytes(b"")
    text = f"# 猫\npath: {tmp_path / 'set'}\ntrain: {images}\nval: {images}\nnc: 1\nnames: [qr]\n"
    (tmp_path / "data.yaml").write_bytes(text.encode("gbk"))
    return tmp_path / "data.yaml"


def state(folder):
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def refused(done):
    assert (done["code"], done["out"]) == (2, ""), done["out"]
    (line,) = [text for text in done["err"].splitlines() if text.startswith("error: ")]
    return line


def test_the_same_pictures_to_the_pixel(fork, data):
    read = fork.call("reads", source=str(data), cfg=str(fork.cfg))
    assert read["images"] == read["theirs"]
    assert (len(read["images"]), len(read["skipped"]), read["largest"]) == (5, 3, 0)


@pytest.mark.parametrize("names", ["names: [qr]", "names:\n  0: qr"])
def test_a_yaml_of_today_that_says_no_number_of_classes(fork, weights, data, images, names):
    data.write_text(f"path: {data.parent / 'set'}\ntrain: {images}\nval: {images}\n{names}\n")
    done = fork.prune("--weights", weights(fork), "--no-onnx", "--dry-run", "--data", data)
    assert done["code"] == 0, done["err"]


def test_it_is_validated_and_its_folder_stays_as_it_is(fork, weights, data):
    last = weights(fork)
    before = state(data.parent / "set")
    done = fork.prune("--weights", last, "--no-onnx", "--dry-run", "--data", data, *STATISTICS)
    assert done["code"] == 0, done["err"]
    assert "skipped 3 images that cannot be read, as upstream's training does: the first is " in done["out"]
    assert re.search(r"new statistics( +[\d.]+){4}", done["out"])
    assert state(data.parent / "set") == before


@pytest.mark.parametrize(
    ("trained", "typed", "worked"), [(100, None, 128), (20, None, 64), (64, 100, 128), (64, 32, 32)]
)
def test_a_size_is_rounded_as_upstream_rounds_it(new, weights, data, trained, typed, worked):
    last = weights(new)
    new.call("resize", path=str(last), imgsz=trained)
    size = ("--img", typed) if typed else ()
    done = new.prune("--weights", last, "--no-onnx", "--dry-run", "--json", "--data", data, "--images", 1, *size)
    assert done["code"] == 0, done["err"]
    assert json.loads(done["out"])["imgsz"] == worked
    assert ("rounded up to 128, a multiple of the model's stride, 32" in done["err"]) == (typed == 100)


def test_all_of_its_pictures_unreadable(fork, weights, data):
    for image in (data.parent / "set" / "images").iterdir():
        image.write_bytes(b"x" * 40)
    line = refused(fork.prune("--weights", weights(fork), "--no-onnx", "--data", data))
    assert "none of its images can be read, 7 in all: as " in line


def test_classes_for_a_detector(fork, weights, tmp_path):
    draw(tmp_path / "set" / "train" / "ant" / "0.jpg")
    line = refused(fork.prune("--weights", weights(fork), "--no-onnx", "--data", tmp_path / "set"))
    assert "no data set YAML can be read there (is a folder); this model takes a data set's YAML" in line


class TestAClassifier:
    @pytest.fixture
    def last(self, new, tmp_path):
        return new.call("classifier", cfg=str(new.cfg), path=str(tmp_path / "last.pt"), imgsz=32)

    @pytest.mark.parametrize("held", ["val", "test"])
    def test_is_validated(self, new, last, tmp_path, held):
        for split in ("train", held):
            for index in range(3):
                draw(tmp_path / "set" / split / "ant" / f"{index}.jpg", index)
                draw(tmp_path / "set" / split / "bee" / f"{index}.jpg", 9 + index)
        (tmp_path / "set" / "train" / "ant" / "1.jpg").write_bytes(b"x" * 40)
        before = state(tmp_path / "set")
        how = ("--no-onnx", "--dry-run", "--json", *STATISTICS)
        done = new.prune("--weights", last, *how, "--data", tmp_path / "set")
        assert done["code"] == 0, done["err"]
        accuracy = json.loads(done["out"])["accuracy"]
        assert list(accuracy) == ["dense", "folded", "new statistics", "pruned, not folded"]
        assert all(found["top5"] == 1 and 0 <= found["top1"] <= 1 for found in accuracy.values())
        assert state(tmp_path / "set") == before

    def test_takes_no_boxes(self, new, last, data):
        line = refused(new.prune("--weights", last, "--no-onnx", "--data", data))
        assert f"{data}: is no folder of classes: a classifier takes the folder that holds train/" in line
