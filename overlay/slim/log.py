"""Upstream's logger, whose messages reach the console in every release.

A fork of ultralytics or of PyPI's yolov5 has this package inside its own, whose name is the logger's. In an official
YOLOv5 tree it lies beside `models/`; there the logger is called `yolov5` from v6.1 on, on master it is ultralytics',
and before v6.1 upstream logs through the root logger, which shows `yolov5` as well.
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Any

PACKAGE = __name__.partition(".")[0]
OFFICIAL = PACKAGE == "slim" and (Path(__file__).parents[1] / "models" / "yolo.py").is_file()
LOGGER = logging.getLogger("yolov5" if OFFICIAL else PACKAGE)


def upstreams() -> Any:
    """Return the logger of an official tree where it has one of its own, once its module has made it."""
    general = sys.modules.get("utils.general") if OFFICIAL else None
    return getattr(general, "LOGGER", LOGGER)


def tell(text: str) -> None:
    """Log a line; whole, because upstream replaces `info` and `warning` on Windows by functions of one argument."""
    upstreams().info(text)


def warn(text: str) -> None:
    """Log a warning, whole, as `tell`."""
    upstreams().warning(text)
