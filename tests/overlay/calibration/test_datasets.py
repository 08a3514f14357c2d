"""A data set is read as upstream reads it: the same images, the same pixels, and nothing in its folders changes.

Also of: `slim.calibration.documents`, `slim.calibration.folders`.
"""

from __future__ import annotations

import hashlib
import shutil
import zipfile

import cv2
import numpy as np
import pytest
import torch
from ultralytics.cfg import get_cfg
from ultralytics.data.dataset import ClassificationDataset, YOLODataset
from ultralytics.data.utils import check_cls_dataset, check_det_dataset
from ultralytics.nn.tasks import ClassificationModel, DetectionModel, OBBModel, PoseModel, SegmentationModel

from slim.calibration.datasets import CalibrationError, DataSet, evenly, task_of
from slim.calibration.ultralytics_data import open_data
from slim.script.given import image_size

NAMES = "names: {0: qr}\n"


def build(kind=DetectionModel, name="yolov8n.yaml", **more):
    return kind(name, nc=more.pop("nc", 1), verbose=False, **more)


@pytest.fixture(scope="module")
def detector():
    return build()


@pytest.fixture(scope="module")
def classifier():
    return build(ClassificationModel, "yolov8n-cls.yaml", nc=2)


@pytest.fixture
def sets(tmp_path, monkeypatch):
    """Where upstream's settings keep data sets, and the folder that the run starts in."""
    for name in ("datasets", "here", "yamls"):
        (tmp_path / name).mkdir()
    monkeypatch.setattr("ultralytics.data.utils.DATASETS_DIR", tmp_path / "datasets")
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path


def draw(path, seed=0, size=(64, 48), channels=3):
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).integers(0, 255, (channels, size[1], size[0]), np.uint8)
    if channels > 4:
        assert cv2.imwritemulti(str(path), list(noise))
    else:
        assert cv2.imwrite(str(path), noise[0] if channels == 1 else noise.transpose(1, 2, 0))
    return path


def label(image, line="0 0.5 0.5 0.5 0.5\n"):
    path = image.parents[1] / "labels" / (image.stem + ".txt")
    path.parent.mkdir(exist_ok=True)
    path.write_text(line)


def plain(folder, count=3, channels=3, ending="png", more=""):
    """Make a data set of labelled images and return its YAML."""
    for index in range(count):
        label(draw(folder / "images" / f"{index}.{ending}", index, channels=channels))
    (folder / "data.yaml").write_text(f"path: {folder}\ntrain: images\nval: images\n{NAMES}{more}")
    return folder / "data.yaml"


def state(folder):
    """Return all that lies in a folder, by name and content."""
    return {str(p): hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.rglob("*")) if p.is_file()}


def trained_on(yaml):
    """Return the images of upstream's own data set to train on; in a copy, since it mends and writes there."""
    data = check_det_dataset(str(yaml))
    return YOLODataset(img_path=data["train"], data=data, task="detect", augment=False, imgsz=64).im_files


class TestTheSamePictures:
    @pytest.mark.parametrize(
        ("text", "place"),
        [
            ("path: set\ntrain: images\nval: images\n", "datasets"),  # below datasets_dir, though one lies beside it
            ("path: set\ntrain: images\nval: images\n", "here"),
            ("train: set/images\nval: set/images\n", "yamls"),
            ("train: ../set/images\nval: ../set/images\n", "yamls"),  # as exported sets say it
            ("path: {root}/here/set\ntrain: images\nval: images\n", "here"),
            ("path: {root}/here/set\ntrain: [images/sub, train.txt]\nval: images\n", "here"),
            ("path: set\ntrain: train.txt\nval: train.txt\n", "here"),
            ("path: set\ntrain: images\nvalidation: images\n", "here"),
            ("path: set\ntrain: images\nval: images\nminival: gone\ntest: gone\n", "here"),
        ],
    )
    def test_wherever_they_lie(self, sets, detector, text, place):
        for other, count in ((sets / "yamls", 1), (sets / place, 3)):
            for index, name in enumerate(("a.png", "sub/b.JPG", "c.webp")[:count]):
                label(draw(other / "set" / "images" / name, index))
            (other / "set" / "train.txt").write_text("./images/a.png\n\n./images/sub/b.JPG\n")
        yaml = sets / "yamls" / "data.yaml"
        yaml.write_text(text.format(root=sets) + NAMES)
        before = state(sets)
        found = open_data(yaml, detector, 64, 9)
        assert state(sets) == before
        assert list(found.images) == trained_on(yaml)
        assert place in found.images[0]

    def test_a_folder_beside_the_yaml_is_not_taken_for_another(self, sets, detector):
        draw(sets / "yamls" / "set" / "images" / "a.png")
        (sets / "yamls" / "data.yaml").write_text("path: set\ntrain: images\nval: images\n" + NAMES)
        with pytest.raises(CalibrationError, match=f"no images at {sets / 'datasets' / 'set' / 'images'}"):
            open_data(sets / "yamls" / "data.yaml", detector, 64, 9)

    @pytest.mark.parametrize("name", ["coco8.yaml", "coco8"])
    def test_a_shipped_name(self, sets, detector, name):
        with pytest.raises(CalibrationError, match=r"no images at .*coco8/images/train \(`train:`\); its `download:`"):
            open_data(sets.__class__(name), detector, 64, 9)
        draw(sets / "datasets" / "coco8" / "images" / "train" / "a.png")
        found = open_data(sets.__class__(name), detector, 64, 9)
        assert [image.rpartition("/")[2] for image in found.images] == ["a.png"]

    def test_an_archive(self, sets, detector):
        plain(sets / "set")
        (sets / "set" / "data.yaml").write_text("train: images\nval: images\n" + NAMES)
        with zipfile.ZipFile(sets / "here" / "set.zip", "w") as packed:
            for file in (sets / "set").rglob("*.*"):
                packed.write(file, file.relative_to(sets))
        found = open_data(sets / "here" / "set.zip", detector, 64, 9)
        assert len(found.images) == 3
        assert "datasets" in found.images[0]

    @pytest.mark.parametrize("coding", ["gbk", "utf-8-sig", "latin-1", "utf-8"])
    def test_in_another_encoding(self, sets, detector, coding):
        yaml, word = plain(sets / "set"), "größe" if coding == "latin-1" else "猫"
        yaml.write_bytes(yaml.read_text().replace("qr", word).join(["# " + word + "\n", ""]).encode(coding))
        assert list(open_data(yaml, detector, 64, 9).images) == trained_on(yaml)

    def test_without_labels_or_val_or_names(self, sets, detector):
        yaml = plain(sets / "set")
        shutil.rmtree(sets / "set" / "labels")
        yaml.write_text(f"path: {sets / 'set'}\ntrain: images\n")
        assert len(open_data(yaml, detector, 64, 9).images) == 3


class TestPicturesThatCannotBeRead:
    def test_are_those_that_upstream_skips(self, sets, detector):
        folder = sets / "set"
        yaml = plain(folder, 4, ending="jpg")
        images = folder / "images"
        (images / "x.jpg").write_bytes(b"x" * 40)
        (images / "._0.jpg").write_bytes(b"\x00\x05\x16\x07" + bytes(40))
        (images / "empty.png").write_bytes(b"")
        draw(images / "tiny.png", size=(9, 40))
        (images / "mendable.jpg").write_bytes((images / "0.jpg").read_bytes() + b"more")
        (images / "cut.jpg").write_bytes((images / "1.jpg").read_bytes()[:600])
        (images / "text.png").write_text("no image")
        cv2.imwrite(str(images / "gif.jpg.bmp"), np.zeros((20, 20, 3), np.uint8))
        before = state(folder)
        found = open_data(yaml, detector, 64, 99)
        assert state(folder) == before
        assert set(found.images) == set(trained_on(yaml))
        (line,) = found.said()
        assert line.startswith(f"skipped {len(found.skipped)} images that cannot be read")
        assert str(found.skipped[0]) in line
        assert {"._0.jpg", "x.jpg", "empty.png", "tiny.png", "text.png"} < {
            path.rpartition("/")[2] for path in found.skipped
        }
        assert next(found.batches(5)).shape == (5, 3, 64, 64)

    def test_others_take_their_place(self, sets, detector):
        yaml = plain(sets / "set", 4)
        (sets / "set" / "images" / "0.png").write_bytes(b"x")
        found = open_data(yaml, detector, 64, 1)
        assert [image[-5:] for image in found.images] == ["1.png"]
        assert found.said()[0].endswith("0.png")

    def test_all_of_them(self, sets, detector):
        yaml = plain(sets / "set", 2)
        for image in (sets / "set" / "images").iterdir():
            image.write_bytes(b"x" * 40)
        with pytest.raises(CalibrationError, match=r"none of its images can be read, 2 in all: as .*0\.png") as refused:
            open_data(yaml, detector, 64, 9)
        assert "\n" not in str(refused.value)

    def test_one_that_a_list_names_and_that_is_not_there(self, sets, detector):
        yaml = plain(sets / "set", 2)
        (sets / "set" / "train.txt").write_text("./images/0.png\n./images/gone.png\n")
        yaml.write_text(yaml.read_text().replace("train: images", "train: train.txt"))
        assert open_data(yaml, detector, 64, 9).skipped == [str(sets / "set" / "images" / "gone.png")]


class TestTheSamePixels:
    @pytest.mark.parametrize(("channels", "ending"), [(3, "png"), (3, "jpg"), (1, "png"), (4, "tiff"), (10, "tiff")])
    def test_as_upstreams_own_data_set_gives(self, sets, channels, ending):
        model = build(ch=channels)
        yaml = plain(sets / "set", channels=channels, ending=ending, more=f"channels: {channels}\n")
        found = open_data(yaml, model, 96, 9)
        data = check_det_dataset(str(yaml))
        theirs = YOLODataset(img_path=data["train"], data=data, task="detect", augment=False, imgsz=96)
        (batch,) = found.batches(16)
        assert batch.shape == (3, channels, 96, 96)
        torch.testing.assert_close(batch, torch.stack([theirs[i]["img"] for i in range(3)]).float() / 255)

    @pytest.mark.parametrize(("taken", "given"), [(1, 3), (3, 1), (3, 10), (4, 3)])
    def test_of_other_channels_are_refused(self, sets, taken, given):
        yaml = plain(sets / "set", channels=given, ending="tiff", more=f"channels: {given}\n")
        message = f"reads images of {given} channels from it, and the model takes {taken}: give"
        with pytest.raises(CalibrationError, match=message):
            open_data(yaml, build(ch=taken), 64, 9)

    def test_a_classifiers(self, sets, classifier):
        folder = classes(sets / "set", "train", "val")
        found = open_data(folder, classifier, 48, 9, val=True)
        cfg = get_cfg(overrides={"imgsz": 48, "task": "classify"})
        theirs = ClassificationDataset(str(folder / "train"), cfg, augment=False)
        (batch,) = found.batches(16)
        torch.testing.assert_close(batch, torch.stack([theirs[i]["img"] for i in range(len(theirs))]))


def classes(folder, *splits, count=2):
    for split in splits or ("",):
        for name in ("ant", "bee"):
            for index in range(count):
                draw(folder / split / name / f"{index}.jpg", index)
    return folder


class TestFolders:
    @pytest.mark.parametrize("held", ["val", "test", "valid", "validation"])
    def test_train_and_what_there_is_to_validate_on(self, sets, classifier, held, tmp_path):
        folder = classes(sets / "set", "train", held)
        (folder / "train" / "ant" / "0.jpg").write_bytes(b"x" * 40)
        before = state(sets)
        found = open_data(folder, classifier, 64, 9, val=True)
        assert len(found.images) == 3
        given = check_cls_dataset(str(found.validation(tmp_path / "here")), split="val")
        assert given["val"].resolve() in {folder / held, folder / "test"}
        assert state(sets) == before

    def test_below_datasets_dir(self, sets, classifier):
        classes(sets / "datasets" / "insects", "train", "val")
        found = open_data(sets.__class__("insects"), classifier, 64, 9)
        assert "datasets/insects/train" in found.images[0]

    def test_a_tree_of_classes_is_split_as_training_splits_it(self, sets, classifier):
        tree = classes(sets / "tree", count=5)
        before = state(sets)
        found = open_data(tree, classifier, 64, 99, val=True)
        assert state(sets) == before
        assert not (sets / "tree_split").exists()
        train = check_cls_dataset(str(tree))["train"]  # which writes it
        assert {p.partition("train/")[2] for p in found.images} == {
            str(path.relative_to(train)) for path in train.rglob("*.jpg")
        }
        again = open_data(tree, classifier, 64, 99, val=True)
        assert "tree_split/train" in again.images[0]

    def test_without_one_to_validate_on(self, sets, classifier):
        folder = classes(sets / "set", "train")
        assert len(open_data(folder, classifier, 64, 9).images) == 4
        with pytest.raises(CalibrationError, match="has neither val/ nor test/ to validate on"):
            open_data(folder, classifier, 64, 9, val=True)

    def test_a_name_that_is_not_there_is_not_downloaded(self, sets, classifier):
        for name in ("mnist160", "imagenet", "no/such"):
            with pytest.raises(CalibrationError, match="a classifier takes the folder that holds train/") as refused:
                open_data(sets.__class__(name), classifier, 64, 9)
            assert "\n" not in str(refused.value)


class TestOtherTasks:
    def test_boxes_for_a_classifier(self, sets, classifier):
        with pytest.raises(CalibrationError, match=r"data\.yaml: is no folder of classes: a classifier takes"):
            open_data(plain(sets / "set"), classifier, 64, 9)

    def test_classes_for_a_detector(self, sets, detector):
        with pytest.raises(CalibrationError, match=r"\(is a folder\); this model takes a data set's YAML"):
            open_data(classes(sets / "set", "train", "val"), detector, 64, 9)

    @pytest.mark.parametrize(
        ("kind", "name", "more", "wanted"),
        [
            (SegmentationModel, "yolov8n-seg.yaml", "", "polygons"),
            (OBBModel, "yolov8n-obb.yaml", "", "boxes by four corners"),
            (PoseModel, "yolov8n-pose.yaml", "", "keypoints"),
            (PoseModel, "yolov8n-pose.yaml", "kpt_shape: [17, 3]\n", "keypoints"),
        ],
    )
    def test_boxes_for_another(self, sets, kind, name, more, wanted):
        model = build(kind, name)
        yaml = plain(sets / "set", more=more)
        with pytest.raises(
            CalibrationError, match=rf"is no data set for task .*: give a data set whose labels .*{wanted}"
        ):
            open_data(yaml, model, 64, 9)
        shutil.rmtree(sets / "set" / "labels")
        assert len(open_data(yaml, model, 64, 9).images) == 3  # without labels there is nothing to mistake

    def test_polygons_for_a_segmenter(self, sets):
        yaml = plain(sets / "set")
        for image in (sets / "set" / "images").iterdir():
            label(image, "0 0.1 0.1 0.5 0.1 0.5 0.5 0.1 0.5\n")
        before = state(sets)
        assert len(open_data(yaml, build(SegmentationModel, "yolov8n-seg.yaml"), 64, 9).images) == 3
        assert state(sets) == before

    def test_a_model_says_what_it_is_for(self, detector, classifier):
        assert (task_of(detector), task_of(classifier)) == ("detect", "classify")


def test_pictures_are_taken_evenly_and_in_whole_batches():
    data = DataSet(None, [str(index) for index in range(10)], lambda index: torch.full((1, 1, 1), float(index)))
    assert [batch.flatten().tolist() for batch in data.batches(4)] == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert [batch.flatten().tolist() for batch in data.batches(4, 5)] == [[0, 2, 4, 6]]
    assert [batch.flatten().tolist() for batch in data.batches(16, 3)] == [[0, 3, 6]]
    assert evenly("abc", 9) == ["a", "b", "c"]


class TestImageSizes:
    @pytest.mark.parametrize(
        ("asked", "kept", "floor", "size"),
        [
            (None, {"train_args": {"imgsz": 100}}, 1, 128),
            (None, {"train_args": {"imgsz": [320, 416]}}, 1, 416),
            (None, {"opt": {"imgsz": 100}}, 2, 128),
            (None, {"opt": {"imgsz": 20}}, 2, 64),
            (None, {"opt": {"img_size": [640, 640]}}, 2, 640),
            (None, {"opt": None}, 2, 640),
            (None, {}, 1, 640),
            (64, {}, 2, 64),
            (32, {}, 2, 32),
        ],
    )
    def test_are_rounded_as_training_rounds_them(self, detector, asked, kept, floor, size):
        assert image_size(asked, detector, kept, floor=floor) == (size, [])

    def test_a_typed_one_is_rounded_and_it_is_said(self, detector):
        size, (said,) = image_size(1, detector, {}, floor=1)
        assert (size, said) == (
            32,
            "--imgsz 1: rounded up to 32, a multiple of the model's stride, 32, as upstream does",
        )
