"""How the steps of `verify_steps` train: with what a tree knows, on the pictures that were drawn for it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Callable

WORK = Path(__file__).resolve().parent
IMGSZ = int(os.environ.get("SLIMFORK_VERIFY_IMGSZ", "64"))
MODEL = os.environ.get("SLIMFORK_VERIFY_MODEL", "yolov8n.yaml")
TRAIN = {
    "data": str(WORK / "qr" / "data.yaml"),
    "imgsz": IMGSZ,
    "batch": 8,
    "nbs": 8,
    "workers": 0,
    "device": "cpu",
    "amp": False,
    "plots": False,
    "deterministic": True,
    "seed": 0,
    "optimizer": "SGD",
    "lr0": 0.01,
    "warmup_epochs": 0.0,
    "warmup_bias_lr": 0.0,  # early releases warm up for a hundred batches all the same
    "mosaic": 0.0,
    "project": str(WORK / "runs"),
    "exist_ok": True,
}


class StoppedError(Exception):
    """A training run stopped on purpose."""


def yolo(weights: str | Path) -> Any:
    """Open a model with the tree's own ultralytics."""
    from ultralytics import YOLO

    return YOLO(str(weights))


def train(
    weights: str | Path, name: str, callbacks: dict[str, Callable[[Any], None]] | None = None, **more: Any
) -> Path:
    """Train and return the folder of the run."""
    model = yolo(weights)
    for event, function in (callbacks or {}).items():
        listen(model, event, function)
    known = {key: value for key, value in TRAIN.items() if key in arguments()}
    if release() < (8, 0, 24):  # they lose every label when mosaic is off
        known["mosaic"] = 1.0
    model.train(**{**known, "name": name, **more})
    return WORK / "runs" / name


def release() -> tuple[int, ...]:
    """Return the version of the tree, without a local part such as `+slim1`."""
    import ultralytics

    return tuple(int(part) for part in ultralytics.__version__.partition("+")[0].split(".")[:3])


def arguments() -> set[str]:
    """Names of the train arguments that the tree knows: `amp`, for one, came with 8.0.57."""
    import yaml

    package = Path(os.environ["SLIMFORK_TREE"]) / "ultralytics"
    folders = (package / "cfg", package / "yolo" / "cfg", package / "yolo" / "configs")
    (file,) = (path for folder in folders if (path := folder / "default.yaml").is_file())
    return set(yaml.safe_load(file.read_text(encoding="utf-8")))


def listen(model: Any, event: str, function: Callable[[Any], None]) -> None:
    """Have a function called by the trainer; before 8.0.18 a model has no `add_callback`, and an event one function."""
    if hasattr(model, "add_callback"):
        model.add_callback(event, function)
        return
    from ultralytics.yolo.utils.callbacks import default_callbacks

    before = default_callbacks[event]

    def both(trainer: Any) -> None:
        before(trainer)
        function(trainer)

    default_callbacks[event] = both
