"""How the stages of `demo_steps` use a fork of YOLOv5."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable

import numpy as np
import torch

if TYPE_CHECKING:
    from . import scripts_yolov5 as v5
    from .scratch import WORK
    from .scripts_yolov5 import SLIM, export, load
else:
    import scripts_yolov5 as v5
    from scratch import WORK
    from scripts_yolov5 import SLIM, export, load

__all__ = ["SLIM", "export", "load", "train", "validate"]


def train(arguments: dict[str, Any], last: Path | None, done: Callable[[int], None]) -> None:
    """Train with a stage's arguments, or finish the run whose checkpoint is given."""
    save = torch.save

    def saved(value: Any, *more: Any, **named: Any) -> None:
        save(value, *more, **named)
        if isinstance(value, dict) and isinstance(value.get("epoch"), int) and value["epoch"] >= 0:
            done(value["epoch"] + 1)  # upstream tells nobody of an epoch, but saves after each

    patched: Any = torch
    patched.save = saved
    if last:
        v5.script("train", "--resume", last)
    else:
        start = WORK / str(arguments["model"]) if str(arguments["model"]).endswith(".pt") else v5.smallest()
        more = [*arguments["options"], "--epochs", arguments["epochs"], "--batch-size", arguments["batch"]]
        v5.train(start, arguments["name"], _data(arguments), arguments["imgsz"], *more, **arguments["hyp"])
    patched.save = save


def validate(weights: Path, arguments: dict[str, Any]) -> dict[str, Any]:
    """Return mAP50, mAP50-95, and precision, (classes, n), over recall, (n,)."""
    metrics: Any = importlib.import_module(f"{v5.MODULE}utils.metrics")
    recall = np.linspace(0, 1, 1000)
    scores: dict[str, Any] = {"map50": 0.0, "map50_95": 0.0, "recall": recall, "precision": np.zeros((1, 1000))}
    draw = metrics.plot_pr_curve

    def drawn(px: Any, py: Any, ap: Any, *more: Any, **named: Any) -> None:
        scores.update(map50=ap[:, 0].mean(), map50_95=ap.mean(), recall=px, precision=np.stack(py))
        draw(px, py, ap, *more, **named)

    metrics.plot_pr_curve = drawn  # nothing else is told the curve
    where = ("--project", WORK / "runs", "--name", f"val-{weights.stem}", "--exist-ok", "--device", "cpu")
    size = ("--img-size", arguments["imgsz"], "--batch-size", arguments["batch"])
    v5.script("val", "--weights", weights, "--data", _data(arguments), *size, *where)
    metrics.plot_pr_curve = draw
    return scores


def _data(arguments: dict[str, Any]) -> Path:
    images = Path(arguments["data"]).parent / "images"
    return v5.data_set("qr-v5", images / "train", images / "val")
