"""What the fork's prune.py reads of a data set, beside what upstream's own data set of that release reads."""

from __future__ import annotations

import importlib.util
import inspect
from pathlib import Path

import torch
import yaml
from yolov5_models import build, upstream


def loaders():
    """Return upstream's module of loaders."""
    return upstream("utils.dataloaders" if _has("dataloaders") else "utils.datasets")


def _has(name):
    package = upstream("utils.general").__name__.rpartition("utils.general")[0]
    return importlib.util.find_spec(f"{package}utils.{name}") is not None


def _train(general, source):
    """Return what upstream trains on; v5.0's `train.py` reads the YAML itself, and resolves nothing."""
    if "dict" in inspect.signature(general.check_dataset).parameters:
        return yaml.safe_load(Path(source).read_text(encoding="utf-8", errors="replace"))["train"]
    return general.check_dataset(source)["train"]


def reads(source, cfg, imgsz=64):
    """Compare; upstream reads second, because it may write where the images lie."""
    general = upstream("utils.general")
    package = general.__name__.rpartition("utils.general")[0].rstrip(".")
    own = importlib.import_module(
        f"{package}.slim.calibration.yolov5_data" if package else "slim.calibration.yolov5_data"
    )
    ours = own.open_data(Path(source), build(cfg, nc=1), imgsz, 999, package=package)
    theirs = loaders().LoadImagesAndLabels(_train(general, source), img_size=imgsz, batch_size=1)
    files = list(getattr(theirs, "im_files", None) or theirs.img_files)
    pairs = zip(torch.cat(list(ours.batches(1))), (theirs[files.index(name)][0] for name in ours.images))
    largest = max(float((a - b.float() / 255).abs().max()) for a, b in pairs)
    return {"images": sorted(ours.images), "theirs": sorted(files), "largest": largest, "skipped": ours.skipped}


def classifier(cfg, path, imgsz):
    """Save a classifier of two classes as training leaves it; return its path."""
    yolo = upstream("models.yolo")
    model = yolo.ClassificationModel(model=yolo.DetectionModel(cfg), nc=2, cutoff=10)
    model.names = {0: "ant", 1: "bee"}
    torch.save({"epoch": -1, "model": model.half(), "ema": None, "opt": {"imgsz": imgsz}}, path)
    return path


def resize(path, imgsz):
    """Let a checkpoint say that it was trained at another size."""
    found = torch.load(path, weights_only=False)
    torch.save({**found, "opt": {**found["opt"], "imgsz": imgsz}}, path)
