"""YOLOv5's own scripts, run as a user runs them but in this process; copied beside the steps that use it.

The tree is the one that SLIMFORK_TREE names: the repository, or PyPI's package.
"""

from __future__ import annotations

import importlib
import os
import runpy
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import torch
import yaml

if TYPE_CHECKING:
    from .scratch import WORK
else:
    from scratch import WORK

TREE = Path(os.environ.get("SLIMFORK_TREE", "."))
PACKAGED = (TREE / "yolov5" / "__init__.py").is_file()
ROOT = TREE / "yolov5" if PACKAGED else TREE
MODULE = "yolov5." if PACKAGED else ""
SLIM = f"{MODULE}slim"


def script(name: str, *arguments: object) -> None:
    """Run one of the scripts with arguments, as `python NAME.py ...` does."""
    before = sys.argv
    sys.argv = [f"{name}.py", *map(str, arguments)]
    try:
        with suppress(SystemExit):
            if PACKAGED:
                runpy.run_module(f"yolov5.{name}", run_name="__main__")
            else:
                runpy.run_path(str(TREE / f"{name}.py"), run_name="__main__")
    finally:
        sys.argv = before


def load(weights: Path) -> torch.nn.Module:
    """Return the model of a checkpoint, with its BatchNorms; upstream's own loader folds them away."""
    importlib.import_module(f"{MODULE}models.yolo")
    sys.path.insert(0, str(ROOT))  # PyPI's checkpoints name `models.yolo`, too
    checkpoint = torch.load(weights, map_location="cpu", weights_only=False)
    sys.path.remove(str(ROOT))
    model: torch.nn.Module = (checkpoint.get("ema") or checkpoint["model"]).float().eval()
    return model


def export(weights: Path, imgsz: int) -> Path:
    """Write the ONNX file beside a checkpoint, as the fork's `prune.py` does."""
    path: Path = importlib.import_module(f"{MODULE}slim.yolov5_line").export(weights, imgsz, MODULE.rstrip("."))
    return path


def train(start: str | Path, name: str, data: Path, imgsz: int, *more: object, **hyp: float) -> Path:
    """Train on the CPU, and return the folder of the run.

    Args:
        start: A checkpoint, or the YAML of a model.
        name: Of the run.
        data: The data set.
        imgsz: Side of a picture, in pixels.
        more: Further arguments of train.py.
        hyp: What is other than in the tree's own hyperparameters.
    """
    model = ("--weights", start) if str(start).endswith(".pt") else ("--weights", "", "--cfg", start)
    where = ("--project", WORK / "runs", "--name", name, "--exist-ok")
    fixed = ("--data", data, "--img-size", imgsz, "--device", "cpu", "--workers", 0, "--noautoanchor")
    script("train", *model, *where, *fixed, "--hyp", _hyp(name, hyp), *more)
    return WORK / "runs" / name


def _hyp(name: str, changes: dict[str, float]) -> Path:
    own = _first_file("data/hyps/hyp.scratch-low.yaml", "data/hyps/hyp.scratch.yaml", "data/hyp.scratch.yaml")
    path = WORK / f"hyp-{name}.yaml"
    path.write_text(yaml.safe_dump({**yaml.safe_load(own.read_text("utf-8")), **changes}), "utf-8")
    return path


def known(argument: str) -> bool:
    """Tell whether train.py has an argument."""
    return argument in (ROOT / "train.py").read_text("utf-8")


def smallest() -> Path:
    """Return the YAML of the smallest model that the tree has: v5.0 has no n."""
    return _first_file("models/yolov5n.yaml", "models/yolov5s.yaml")


def _first_file(*names: str) -> Path:
    """Return the first of these files that the tree has."""
    return next(file for name in names if (file := ROOT / name).is_file())


def data_set(name: str, train: Path, val: Path, names: tuple[str, ...] = ("qr",)) -> Path:
    """Write a data set as every release can read it: whole paths, and names as a list."""
    path = WORK / f"{name}.yaml"
    described = {"train": str(train), "val": str(val), "nc": len(names), "names": list(names)}
    path.write_text(yaml.safe_dump(described), "utf-8")
    return path
