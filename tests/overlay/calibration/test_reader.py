"""What both upstreams' readers share: which images are taken, and the steps from a YAML to images of 0 to 1."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import yaml
from torch import nn

from slim.calibration.datasets import CalibrationError
from slim.calibration.documents import Split
from slim.calibration.reader import Listed, Reader


class Readable(Reader):
    """A release that resolves nothing, lists the files of a folder, and gives each image in full white."""

    def __init__(self):
        self.asked = []

    def formats(self):
        return {"png"}

    def check(self, name):
        return yaml.safe_load(Path(name).read_text(encoding="utf-8"))

    def listed(self, source, split, name, imgsz=32, limit=0):
        self.asked.append((name, limit))
        files = [str(path) for path in sorted(split.places[0].glob("[!.]*"))]
        files, skipped = self.taken(source, split, files, limit)
        return Listed(files, lambda _: torch.full((3, imgsz, imgsz), 255, dtype=torch.uint8), skipped)

    def folder(self, name):
        raise NotImplementedError

    def classes(self, train, imgsz):
        raise NotImplementedError


@pytest.fixture
def data(tmp_path):
    """A YAML, five images, one that is none, and what macOS leaves beside one."""
    folder = tmp_path / "images"
    folder.mkdir()
    for index in range(5):
        assert cv2.imwrite(str(folder / f"{index}.png"), np.zeros((32, 32, 3), np.uint8))
    (folder / "x.png").write_bytes(b"x")
    (folder / "._0.png").write_bytes(b"x")
    (tmp_path / "data.yaml").write_text(f"train: {folder}\nval: {folder}\nnames: [qr]\n", encoding="utf-8")
    return tmp_path / "data.yaml"


@pytest.fixture
def split(data):
    return Split({}, {}, [data.parent / "images"])


def test_without_a_limit_all_are_taken_and_none_is_looked_at(data, split):
    assert Readable().taken(data, split, ["no such file.png"], 0) == (["no such file.png"], [])


def test_with_a_limit_what_cannot_be_read_is_passed_over_and_said(data, split):
    folder = data.parent / "images"
    files = [str(folder / "x.png"), *(str(folder / f"{index}.png") for index in range(5))]
    taken, skipped = Readable().taken(data, split, files, 2)
    assert len(taken) == 2
    assert str(folder / "x.png") not in taken
    assert skipped == [str(folder / "._0.png"), str(folder / "x.png")]


def test_an_image_is_what_is_listed_in_0_to_1(data):
    opened = Readable().open(data, nn.Conv2d(3, 4, 1), 32, 9, val=False)
    assert len(opened.images) == 5
    torch.testing.assert_close(opened.read(0), torch.ones(3, 32, 32))
    assert opened.validation is None


def test_to_validate_all_images_of_val_must_be_there(data):
    reader = Readable()
    assert reader.open(data, nn.Conv2d(3, 4, 1), 32, 9, val=True).validation is not None
    assert reader.asked == [("val", 0), ("train", 9)]


def test_other_channels_than_the_models_are_refused(data):
    with pytest.raises(CalibrationError, match="reads images of 3 channels from it, and the model takes 1"):
        Readable().open(data, nn.Conv2d(1, 4, 1), 32, 9, val=False)
