from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
import yaml

from slimfork.qr.clutter import DISTRACTORS, background, scatter
from slimfork.qr.qr import draw
from slimfork.qr.scene import CODES_PER_IMAGE, code, scene
from slimfork.terminal.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path


def _files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "data.yaml"
    }


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw(tmp_path_factory.mktemp("qr") / "set", images=24, val=8, imgsz=96).parent


def test_a_set_has_pictures_labels_and_a_yaml_that_any_release_reads(drawn: Path) -> None:
    data = yaml.safe_load((drawn / "data.yaml").read_text())

    assert data == {"path": str(drawn), "train": "images/train", "val": "images/val", "names": {0: "qr"}}
    for split, count in (("train", 24), ("val", 8)):
        names = [f"{index:05d}" for index in range(count)]
        assert sorted(path.stem for path in (drawn / "images" / split).iterdir()) == names
        assert sorted(path.stem for path in (drawn / "labels" / split).iterdir()) == names
    assert not list(drawn.rglob("*.tmp"))
    assert [path.name for path in drawn.parent.iterdir()] == ["set"]


def test_upstream_reads_it_without_a_complaint(drawn: Path, tmp_path: Path) -> None:
    from ultralytics.cfg import get_cfg
    from ultralytics.data.build import build_yolo_dataset
    from ultralytics.data.utils import check_det_dataset

    data = check_det_dataset(str(drawn / "data.yaml"), autodownload=False)
    copy = tmp_path / "images"  # it writes a cache beside the labels
    for kind in ("images", "labels"):
        (tmp_path / kind).mkdir()
        for path in (drawn / kind / "val").iterdir():
            (tmp_path / kind / path.name).write_bytes(path.read_bytes())

    dataset = build_yolo_dataset(get_cfg(overrides={"imgsz": 96, "task": "detect"}), str(copy), 4, data, mode="val")

    expected = sum(len(path.read_text().splitlines()) for path in (drawn / "labels" / "val").iterdir())
    assert data["nc"] == 1
    assert len(dataset) == 8
    assert sum(len(label["cls"]) for label in dataset.labels) == expected > 0


def test_labels_are_boxes_inside_the_picture(drawn: Path) -> None:
    boxes = []
    for path in (drawn / "labels").rglob("*.txt"):
        for line in path.read_text().splitlines():
            kind, *box = line.split()
            assert kind == "0"
            boxes.append([float(value) for value in box])
    x, y, wide, high = np.array(boxes).T

    assert len(boxes) > 20
    assert (np.stack([wide, high]) > 0.08).all()
    assert (np.stack([x - wide / 2, y - high / 2]) > -1e-5).all()
    assert (np.stack([x + wide / 2, y + high / 2]) < 1 + 1e-5).all()


def test_the_same_seed_gives_the_same_bytes_and_another_gives_others(drawn: Path, tmp_path: Path) -> None:
    again = draw(tmp_path / "again", images=24, val=8, imgsz=96).parent
    other = draw(tmp_path / "other", images=24, val=8, imgsz=96, seed=1).parent

    assert _files(again) == _files(drawn)
    ours, theirs = _files(drawn), _files(other)
    assert not any(ours[name] == theirs[name] for name in ours if name.endswith(".jpg"))


def test_no_validation_picture_is_a_training_picture(drawn: Path) -> None:
    seen = [content for name, content in _files(drawn).items() if name.endswith(".jpg")]

    assert len(set(seen)) == len(seen) == 32


def test_a_larger_set_begins_with_the_smaller_one(drawn: Path, tmp_path: Path) -> None:
    larger = _files(draw(tmp_path / "larger", images=30, val=8, imgsz=96).parent)

    assert all(larger[name] == content for name, content in _files(drawn).items() if name != "set.json")


def test_a_set_that_is_there_is_not_drawn_again_and_may_have_been_moved(tmp_path: Path) -> None:
    draw(tmp_path / "set", images=3, val=1, imgsz=64)
    (tmp_path / "set").rename(tmp_path / "moved")
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "moved" / "images").rglob("*.jpg")}

    data = draw(tmp_path / "moved", images=3, val=1, imgsz=64)

    assert yaml.safe_load(data.read_text())["path"] == str(tmp_path / "moved")
    assert {path: path.stat().st_mtime_ns for path in times} == times


def test_killed_half_way_it_leaves_no_set_and_goes_on_where_it_was(tmp_path: Path) -> None:
    out = tmp_path / "set"
    code_ = "from pathlib import Path; from slimfork.qr.qr import draw; draw(Path({!r}), images=150, val=2, imgsz=64)"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen([sys.executable, "-c", code_.format(str(out))], env=environment)
    part = tmp_path / "set.part" / "labels" / "train"
    deadline = time.monotonic() + 60
    while not (part / "00010.txt").exists() and time.monotonic() < deadline:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not out.exists()
    times = {path.name: path.stat().st_mtime_ns for path in part.glob("*.txt")}
    assert 10 < len(times) < 150

    draw(out, images=150, val=2, imgsz=64)

    finished = out / "labels" / "train"
    assert len(list(finished.iterdir())) == 150
    assert {name: (finished / name).stat().st_mtime_ns for name in times} == times
    assert not part.exists()
    assert _files(out) == _files(draw(tmp_path / "at once", images=150, val=2, imgsz=64).parent)


def test_an_unfinished_set_of_other_settings_is_thrown_away(tmp_path: Path) -> None:
    part = tmp_path / "set.part"
    (part / "labels" / "train").mkdir(parents=True)
    (part / "labels" / "train" / "00000.txt").write_text("0 0.5 0.5 1 1\n")
    (part / "set.json").write_text("{}")

    out = draw(tmp_path / "set", images=2, val=1, imgsz=64).parent

    assert (out / "labels" / "train" / "00000.txt").read_text() != "0 0.5 0.5 1 1\n"
    assert _files(out) == _files(draw(tmp_path / "clean", images=2, val=1, imgsz=64).parent)


def test_an_empty_folder_is_welcome(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()

    assert draw(tmp_path / "set", images=1, val=1, imgsz=64).exists()


def test_another_set_or_other_files_are_left_alone(drawn: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")

    with pytest.raises(UsageError, match="exists and is no QR set"):
        draw(tmp_path, images=1, val=1, imgsz=64)
    with pytest.raises(UsageError, match="holds a QR set of other settings"):
        draw(drawn, images=25, val=8, imgsz=96)

    assert (tmp_path / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("wrong", [{"images": 0}, {"val": 0}, {"imgsz": 16}, {"seed": -1}], ids=str)
def test_impossible_settings_are_refused_by_name(tmp_path: Path, wrong: dict[str, int]) -> None:
    with pytest.raises(UsageError, match=f"QR set: {next(iter(wrong))} is"):
        draw(tmp_path / "set", **{"images": 1, "val": 1, "imgsz": 64, **wrong})

    assert not list(tmp_path.iterdir())


def test_a_scene_holds_none_to_three_codes_about_as_often_as_asked() -> None:
    counts = np.bincount([len(scene(np.random.default_rng(seed), 64)[1]) for seed in range(300)], minlength=4) / 300

    assert counts == pytest.approx(CODES_PER_IMAGE, abs=0.08)


def test_a_code_is_a_code() -> None:
    """Read back by OpenCV, flat and undamaged; its decoder misses a few that phones read."""
    reader = cv2.QRCodeDetector()
    found = 0
    for seed in range(30):
        patch, _ = code(np.random.default_rng(seed))
        grey = cv2.copyMakeBorder(patch, 40, 40, 40, 40, cv2.BORDER_CONSTANT, value=patch[0, 0].tolist())
        found += bool(reader.detectAndDecode(grey)[0])

    assert found >= 20


@pytest.mark.parametrize("imgsz", [64, 160])
def test_a_box_is_where_the_code_is(monkeypatch: pytest.MonkeyPatch, imgsz: int) -> None:
    """A picture drawn with the code's modules painted red has its red where the label says."""

    def red(_rng: np.random.Generator) -> tuple[np.ndarray, tuple[float, float]]:
        patch = np.full((200, 200, 3), 255, np.uint8)
        patch[20:180, 20:180] = (0, 0, 255)
        return patch, (0.1, 0.9)

    plain = {
        "code": red,
        "background": lambda _rng, side: np.zeros((side, side, 3), np.uint8),
        "scatter": lambda _rng, _canvas: None,
        "_camera": lambda _rng, image: image,
        "CODES_PER_IMAGE": (0, 1, 0, 0),
        "DISTRACTORS": (lambda _rng: np.full((40, 40, 3), 255, np.uint8),),
    }
    for name, value in plain.items():
        monkeypatch.setattr(f"slimfork.qr.scene.{name}", value)

    for seed in range(20):
        picture, boxes = scene(np.random.default_rng(seed), imgsz)
        rows, columns = np.nonzero((picture[..., 2] > 127) & (picture[..., 0] < 128))
        x, y, wide, high = boxes[0] * imgsz
        seen = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        assert seen == pytest.approx((x - wide / 2, y - high / 2, x + wide / 2, y + high / 2), abs=1.5)


@pytest.mark.parametrize("distractor", DISTRACTORS, ids=lambda function: function.__name__.strip("_"))
def test_a_distractor_is_a_picture_and_no_code(distractor: object) -> None:
    reader = cv2.QRCodeDetector()
    for seed in range(20):
        patch = distractor(np.random.default_rng(seed))  # type: ignore[operator]
        assert patch.dtype == np.uint8
        assert patch.shape[2] == 3
        assert np.ptp(patch) > 60
        framed = cv2.copyMakeBorder(patch, 20, 20, 20, 20, cv2.BORDER_CONSTANT, value=(255, 255, 255))
        assert reader.detectAndDecode(framed)[0] == ""


def test_surfaces_and_clutter_differ_from_picture_to_picture() -> None:
    surfaces = [background(np.random.default_rng(seed), 64) for seed in range(20)]
    for canvas in surfaces:
        before = canvas.copy()
        scatter(np.random.default_rng(int(canvas.sum())), canvas)
        assert (canvas != before).any()

    assert len({canvas.tobytes() for canvas in surfaces}) == 20
