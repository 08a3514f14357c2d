"""Prune a checkpoint of this fork: `python prune.py --weights last.pt --ratio 0.5 --round-to 8 --data data.yaml`.

Writes the pruned checkpoint, its plan (JSON), the ONNX file and two plots beside the weights, and prints what that
gained. `--target latency=0.5` instead of `--ratio` prunes until what is left takes half the time. Then fine-tune:
`yolo train model=last-pruned.pt data=data.yaml`.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING, Any


def stop(*_: object) -> None:
    """End at once: Ctrl-C while PyTorch is imported, or when all is done, leaves nothing to tidy up."""
    os.write(2, b"interrupted\n")
    os._exit(130)


if __name__ == "__main__":
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, stop)

from ultralytics.slim.command import Line, main  # noqa: E402 - takes seconds, in which Ctrl-C is heard

from ultralytics import YOLO  # noqa: E402

if TYPE_CHECKING:
    from pathlib import Path


def load(path: Path) -> tuple[Any, dict[str, Any]]:
    """Open a checkpoint with upstream's loader."""
    yolo = YOLO(str(path))
    return yolo.model, yolo.ckpt


def export(path: Path, imgsz: int) -> Path:
    """Write the ONNX file beside a checkpoint."""
    YOLO(str(path)).export(format="onnx", imgsz=imgsz)  # before 8.0.36 it does not return the path
    return path.with_suffix(".onnx")


def validate(path: Path, data: Path, imgsz: int) -> dict[str, float]:
    """Return the metrics of upstream's validator; before 8.0.28 `val` does not return them."""
    yolo, made = YOLO(str(path)), []
    kind = getattr(yolo, "ValidatorClass", None)
    if kind is not None:
        yolo.ValidatorClass = lambda **settings: made.append(kind(**settings)) or made[0]
    beside = str(path.parent)  # a folder that is gone afterwards
    found = yolo.val(data=str(data), imgsz=imgsz, plots=False, verbose=False, project=beside, name="val")
    metrics = (found or made[0].metrics).results_dict
    return {name.partition("/")[2]: float(value) for name, value in metrics.items() if name.startswith("metrics/")}


if __name__ == "__main__":
    sys.exit(main(Line(load=load, export=export, validate=validate)))
