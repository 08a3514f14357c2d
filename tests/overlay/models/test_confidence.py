"""How much each raw output counts: of heads of every kind, and of what is none."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from slim.models.confidence import weights_of
from tests.overlay.networks import stock


def test_classes_count_where_they_are_in_doubt_and_boxes_where_something_is_seen():
    model, _ = stock("yolov8n")
    logits = torch.full((1, 80, 2, 2), -20.0)
    logits[0, 5, 0, 1] = 0.0
    logits[0, 7, 1, 1] = 20.0
    weights = weights_of(model, {"cls": logits, "box": torch.zeros(1, 64, 2, 2), "proto": torch.zeros(1, 32, 8, 8)})
    assert weights["cls"][0, 5, 0, 1] == pytest.approx(0.25)
    assert float(weights["cls"].sum()) == pytest.approx(0.25, abs=1e-4)  # what is certain has no doubt
    torch.testing.assert_close(weights["box"][0, 0], torch.tensor([[0.0, 0.5], [0.0, 1.0]]), atol=1e-5, rtol=0)
    assert bool((weights["proto"] == 1).all())


def test_anchors_count_by_their_objectness():
    head = nn.Module()
    head.na, head.nc, head.m = 3, 2, nn.ModuleList([nn.Conv2d(4, 21, 1)])
    head.register_buffer("anchors", torch.ones(1, 3, 2))
    value = torch.zeros(1, 3, 7, 1, 1)
    value[0, :, 4] = torch.tensor([-20.0, 0.0, 20.0]).reshape(3, 1, 1)
    (weights,) = weights_of(head, {"m": value.flatten(1, 2)}).values()
    rows = weights.reshape(3, 7)
    torch.testing.assert_close(rows[0], torch.zeros(7), atol=1e-6, rtol=0)
    torch.testing.assert_close(rows[1], torch.tensor([0.5] * 4 + [0.25] + [0.125] * 2))
    torch.testing.assert_close(rows[2], torch.tensor([1.0] * 4 + [0.0] + [0.25] * 2), atol=1e-6, rtol=0)


def test_a_classifier_and_any_other_network_count_evenly():
    model, _ = stock("yolov8n-cls")
    assert float(weights_of(model, {"linear": torch.zeros(2, 1000)})["linear"].sum()) == 2000
    assert float(weights_of(nn.Conv2d(3, 4, 1), {"": torch.zeros(1, 4, 5, 5)})[""].sum()) == 100
