"""A pruned checkpoint says, in unpatched upstream, that training builds the dense model; nothing else is changed."""
# ruff: noqa: F811 - fixtures of another module are arguments here

from __future__ import annotations

import copy
import logging

import pytest
import torch

from slim.architecture import is_pruned, keep_architecture
from slim.files.checkpoint import save_checkpoint
from slim.models.sign import WORDS
from tests.overlay.files.test_checkpoint import CAME_FROM, path, pruned  # noqa: F401 - fixtures
from tests.overlay.networks import photo, randomise, run
from tests.overlay.test_architecture import HEADS, build
from ultralytics import YOLO


@pytest.fixture
def heard(monkeypatch):
    """What upstream's logger says."""
    said = []
    monkeypatch.setattr(logging.getLogger("ultralytics"), "info", lambda text, *_: said.append(str(text)))
    return said


@pytest.mark.parametrize("classes", [1, 3])
def test_stock_training_reads_it_out_whatever_the_classes_and_starts_as_ever(path, heard, classes):
    stock = YOLO(str(path)).model
    built = type(stock)(stock.yaml, nc=classes, verbose=False)  # as `get_model` of upstream's trainers
    assert [text for text in heard if WORDS in text] == [f"Overriding model.yaml nc=1 ({WORDS}) with nc={classes}"]
    assert built.yaml["nc"] == classes  # dense again, and so without a sign
    assert not is_pruned(built)


def test_loading_predicting_and_exporting_say_nothing(path, heard):
    yolo = YOLO(str(path))
    run(yolo.model.eval(), photo(64))
    yolo.export(format="torchscript", imgsz=64)
    assert not [text for text in heard if WORDS in text]


def test_what_the_fork_trains_carries_it_on(path):
    weights = YOLO(str(path)).model
    model = keep_architecture(build(), weights)
    again = type(weights)(weights.yaml, nc=1, verbose=False)  # takes the sign off the YAML that the two share
    model = keep_architecture(again, weights)
    assert model.yaml["nc"] == f"1 ({WORDS})"
    assert is_pruned(copy.deepcopy(model))


@pytest.mark.parametrize("head", HEADS)
def test_a_dense_model_of_any_task_has_none(tmp_path, head):
    model = randomise(build(head, nc=2))
    model.args = {}
    save_checkpoint(tmp_path / "dense.pt", model, CAME_FROM)
    assert torch.load(tmp_path / "dense.pt", weights_only=False)["model"].yaml["nc"] == 2
