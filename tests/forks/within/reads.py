"""What the fork's prune.py reads of a data set, beside what upstream's own data set of that release reads."""

from __future__ import annotations

import importlib
import inspect
from pathlib import Path

import torch

from ultralytics import YOLO


def upstream(name):
    """Import a module of upstream's from where this release keeps it."""
    try:
        return importlib.import_module(f"ultralytics.{name}")
    except ModuleNotFoundError:
        return importlib.import_module(f"ultralytics.yolo.{name}")


def reads(source, model="yolov8n.yaml", imgsz=64):
    """Compare; upstream reads second, because it may write where the pictures lie."""
    from ultralytics.slim.calibration.ultralytics_data import open_data  # the pristine tree has none

    ours = open_data(Path(source), YOLO(model).model, imgsz, 999)
    theirs = (classes if model.endswith("-cls.yaml") else boxes)(source, imgsz)
    files = [str(sample[0]) for sample in theirs.samples] if hasattr(theirs, "samples") else theirs.im_files
    own = [torch.as_tensor(theirs[index]["img"]) for index in range(len(files))]
    own = [picture.float() / 255 if picture.dtype == torch.uint8 else picture for picture in own]
    largest = max(float((a - b).abs().max()) for a, b in zip(torch.cat(list(ours.batches(1))), own))
    return {"pictures": list(ours.images), "theirs": list(files), "largest": largest, "skipped": list(ours.skipped)}


def boxes(source, imgsz):
    """Return upstream's data set to train on, without augmentation."""
    utils, kind = upstream("data.utils"), upstream("data.dataset").YOLODataset
    data = getattr(utils, "check_det_dataset", getattr(utils, "check_dataset_yaml", None))(source)
    known = inspect.signature(kind.__init__).parameters
    given = {"data": data, "task": "detect", "names": data["names"]}
    try:
        hyp = upstream("cfg").get_cfg()
    except (AttributeError, ModuleNotFoundError):
        hyp = upstream("configs").get_config(upstream("utils").DEFAULT_CONFIG)
    given = {name: value for name, value in given.items() if name in known}
    return kind(img_path=data["train"], imgsz=imgsz, augment=False, hyp=hyp, batch_size=1, **given)


def classes(source, imgsz):
    """Return upstream's data set of classes, with the transforms of its validation."""
    utils, kind = upstream("data.utils"), upstream("data.dataset").ClassificationDataset
    train = getattr(utils, "check_cls_dataset", getattr(utils, "check_dataset", None))(source)["train"]
    if "args" in inspect.signature(kind.__init__).parameters:
        cfg = upstream("cfg").get_cfg(overrides={"imgsz": imgsz, "task": "classify"})
        return kind(str(train), cfg, augment=False)
    return kind(str(train), augment=False, imgsz=imgsz)


def datasets_dir():
    """Return where upstream's settings keep data sets."""
    return str(upstream("data.utils").DATASETS_DIR)


def untrained(name, path):
    """Save a model as training leaves it; return its path."""
    model = YOLO(name).model
    model.args = {"imgsz": 32, "task": "classify"}
    torch.save({"epoch": -1, "model": model.half(), "train_args": model.args}, path)
    return path
