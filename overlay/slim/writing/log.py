"""Upstream's logger, whose messages reach the console in every release.

A fork of ultralytics or of PyPI's yolov5 has this package inside its own, whose name is the logger's, but for the
first releases of ultralytics, which call theirs `yolov5`. In an official YOLOv5 tree it lies beside `models/`; there
the logger is called `yolov5` from v6.1 on, on master it is ultralytics', and before v6.1 upstream logs through the root
logger, which shows `yolov5` as well.
"""

from __future__ import annotations

import logging
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE = __name__.partition(".")[0]
OFFICIAL = PACKAGE == "slim" and (Path(__file__).parents[2] / "models" / "yolo.py").is_file()
LOGGER = logging.getLogger("yolov5" if OFFICIAL else PACKAGE)
HOMES = ("utils.general",) if OFFICIAL else (f"{PACKAGE}.utils", f"{PACKAGE}.yolo.utils")  # where upstream keeps it


def upstreams() -> logging.Logger:
    """Return upstream's own logger, once its module has made it."""
    for name in HOMES:
        made: logging.Logger | None = getattr(sys.modules.get(name), "LOGGER", None)
        if made is not None:
            return made
    return LOGGER


def log_info(text: str) -> None:
    """Log a line; whole, because upstream replaces `info` and `warning` on Windows by functions of one argument."""
    upstreams().info(text)


def first_line(error: BaseException) -> str:
    """Return the kind of an error, and the first line of what it says."""
    return f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0][:200]}"


def warn(text: str) -> None:
    """Log a warning, whole, as `log_info`."""
    upstreams().warning(text)


@contextmanager
def quiet() -> Iterator[None]:
    """Keep upstream's logger from saying less than a warning."""
    logger = upstreams()
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)
