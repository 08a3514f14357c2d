"""Real releases, exported with work of the user's, made again to the same commit, and applied by `git am`."""

from __future__ import annotations

import pytest

from tests.tools.commands.test_export import am, commit, odd_work, tip, tree
from tests.tools.conftest import write
from tests.yolov5_clone import needs_clone

TREES = {
    "ultralytics==8.4.190": "ultralytics/nn/tasks.py",
    "ultralytics==8.0.100": "ultralytics/nn/tasks.py",
    "yolov5==7.0.14": "yolov5/models/yolo.py",
}
