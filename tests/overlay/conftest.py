"""Ultralytics must neither look for a network nor write into anyone's home."""

from __future__ import annotations

import os
import tempfile

import pytest
import torch

from tests.overlay.yolov5_forks import fork, forks, new, weights
from tests.overlay.yolov5_trees import trees

__all__ = ["fork", "forks", "new", "trees", "weights"]

os.environ.setdefault("YOLO_CONFIG_DIR", tempfile.mkdtemp(prefix="slim-yolo-"))
os.environ["YOLO_OFFLINE"] = "true"
os.environ["YOLO_AUTOINSTALL"] = "false"


@pytest.fixture(autouse=True)
def _same_weights_every_time() -> None:
    torch.manual_seed(0)
