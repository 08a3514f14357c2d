"""Run Python inside a fork: a process of its own, with a tree's packages first on its path."""

from __future__ import annotations

import importlib.util
import os
import shutil
import site
import sys
from pathlib import Path

SETTINGS = Path(".config", "Ultralytics")  # below a home folder
FONT = Path("mpl-data", "fonts", "ttf", "DejaVuSans.ttf")  # in matplotlib


def script(name: str) -> Path:
    """Return a file of this folder, which runs in another process."""
    return Path(__file__).with_name(name)


def steps(kind: str) -> list[Path]:
    """Return the files that a process needs to run the steps of a kind, `verify` or `demo`; the first is run."""
    of_kind = (f"{kind}_steps", f"{kind}_ultralytics", f"{kind}_yolov5")
    return [script(f"{name}.py") for name in (*of_kind, "models_ultralytics", "scripts_yolov5", "scratch")]


def python(*arguments: str | Path) -> list[str]:
    """Return the command line of a Python process."""
    return [sys.executable, *map(str, arguments)]


def environment(tree: Path, home: Path, **more: str) -> dict[str, str]:
    """Return the environment in which a tree is imported, offline and with a home folder of its own.

    The user's settings are neither read nor written. Only a home folder does that for every release:
    `YOLO_CONFIG_DIR` is not known before 8.0.56, and breaks 8.0.56 to 8.0.58.

    Args:
        tree: The root of the fork, or of its upstream.
        home: A folder for upstream's settings; it is made.
        **more: Further variables.
    """
    _furnish(home)
    env = {key: value for key, value in os.environ.items() if not key.startswith(("GIT_", "PYTHON", "YOLO_"))}
    return env | {
        "HOME": str(home),
        "USERPROFILE": str(home),
        "XDG_CACHE_HOME": os.environ.get("XDG_CACHE_HOME") or _cache(),  # matplotlib's list of fonts
        "PYTHONUSERBASE": site.getuserbase(),
        "PYTHONPATH": str(tree),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
        "PYTHONUTF8": "1",
        "YOLO_OFFLINE": "true",
        "YOLO_AUTOINSTALL": "false",
        "PIP_NO_INDEX": "1",  # YOLOv5's master installs what it misses, whatever it was told
        "WANDB_MODE": "disabled",
        "MPLBACKEND": "Agg",
        "OMP_NUM_THREADS": "1",  # on busy cores, more slow pictures this small down, several times over
        **more,
    }


def _cache() -> str:
    return os.path.expanduser("~/.cache")  # noqa: PTH111 - Path.home() raises where there is none


def _furnish(home: Path) -> None:
    """Put a font where upstream keeps its own: before 8.0.23 it downloads one, and fails offline."""
    settings = home / SETTINGS
    settings.mkdir(parents=True, exist_ok=True)
    matplotlib = importlib.util.find_spec("matplotlib")
    if matplotlib is None or matplotlib.origin is None:
        return
    for name in ("Arial.ttf", "Arial.Unicode.ttf"):
        if not (settings / name).exists():
            shutil.copy(Path(matplotlib.origin).parent / FONT, settings / name)
