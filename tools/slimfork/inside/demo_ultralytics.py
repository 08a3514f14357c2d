"""How the stages of `demo_steps` use a fork of ultralytics."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable

if TYPE_CHECKING:
    from .models_ultralytics import SLIM, UltralyticsTrainer, load, yolo
    from .scratch import WORK
else:
    from models_ultralytics import SLIM, load, yolo
    from scratch import WORK

__all__ = ["SLIM", "export", "load", "train", "validate"]


def train(arguments: dict[str, Any], last: Path | None, done: Callable[[int], None]) -> None:
    """Train with a stage's arguments, or finish the run whose checkpoint is given."""
    model = yolo(last or arguments["model"])

    def said(trainer: UltralyticsTrainer) -> None:
        done(min(trainer.epoch + 1, trainer.epochs))  # it is called once more at the end

    model.add_callback("on_fit_epoch_end", said)
    if last:
        model.train(resume=True)
    else:
        rest = dict(arguments)
        del rest["model"]
        model.train(**rest, project=str(WORK / "runs"), exist_ok=True)


def export(weights: Path, imgsz: int) -> Path:
    """Write the ONNX file beside a checkpoint."""
    return Path(yolo(weights).export(format="onnx", imgsz=imgsz))


def validate(weights: Path, arguments: dict[str, Any]) -> dict[str, Any]:
    """Return mAP50, mAP50-95, and precision, (classes, n), over recall, (n,)."""
    run = {"project": str(WORK / "runs"), "name": f"val-{weights.stem}", "exist_ok": True, "plots": False}
    settings = {key: arguments[key] for key in ("data", "imgsz", "batch", "workers", "device")}
    box = yolo(weights).val(**settings, **run).box
    recall, precision, *_ = box.curves_results[0]
    return {"map50": box.map50, "map50_95": box.map, "recall": recall, "precision": precision}
