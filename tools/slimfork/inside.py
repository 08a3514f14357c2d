"""Run Python inside a fork: a process of its own, with a tree's `ultralytics` first on its path."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def python(*arguments: str | Path) -> list[str]:
    """Return the command line of a Python process."""
    return [sys.executable, *map(str, arguments)]


def environment(tree: Path, config: Path, **more: str) -> dict[str, str]:
    """Return the environment in which a tree is imported, offline and with settings of its own.

    Args:
        tree: The root of the fork, or of its upstream.
        config: A folder for upstream's settings; the user's are neither read nor written.
        **more: Further variables.
    """
    env = {key: value for key, value in os.environ.items() if not key.startswith(("GIT_", "PYTHON"))}
    return env | {
        "PYTHONPATH": str(tree),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
        "PYTHONUTF8": "1",
        "YOLO_CONFIG_DIR": str(config),
        "YOLO_OFFLINE": "true",
        "YOLO_AUTOINSTALL": "false",
        "MPLBACKEND": "Agg",
        "OMP_NUM_THREADS": "1",  # on busy cores, more slow pictures this small down, several times over
        **more,
    }
