"""Why a channel stays: a sentence, and its parts, which nothing reads back from the sentence."""

from __future__ import annotations

import copy

import pytest

from slim.analysis.channels import analyse
from slim.labels.reason import Reason
from slim.pruning.report import report
from tests.overlay.networks import stock

ADD = Reason.at("add", "model.11")


@pytest.mark.parametrize(
    ("reason", "said", "parts"),
    [
        (ADD, "add in model.11", ("operator", "add", "model.11")),
        (ADD.before(), "no BatchNorm before add in model.11", ("operator", "no BatchNorm before add", "model.11")),
        (ADD.grouped(), "grouped add in model.11", ("operator", "grouped add", "model.11")),
        (
            ADD.beside(Reason.at("div", "model.2")),
            "add in model.11 beside div in model.2",
            ("operator", "add", "model.11"),
        ),
        (Reason.after("model.3.in in"), "no BatchNorm after model.3.in in", ("unscored", "", "model.3.in in")),
        (Reason("kept by --keep", "asked"), "kept by --keep", ("asked", "", "")),
    ],
)
def test_a_sentence_and_its_parts(reason, said, parts):
    for each in (reason, copy.deepcopy(reason)):
        assert each == said
        assert (each.kind, each.operator, each.layer) == parts


@pytest.mark.parametrize("name", ["yolov8n", "yolo12n", "yolov8n-seg"])
def test_a_report_names_modules_of_the_model(name):
    model, channels = stock(name)
    modules = {"", "the model", *dict(model.named_modules())}
    rows = report(model, channels).frozen
    assert rows
    assert {row.layer for row in rows} <= modules
    assert analyse(model).reasons() == channels.reasons()
