"""One step of training from a checkpoint, in whatever task: the weights after it, and whose rows they started from."""

from __future__ import annotations

import logging
from contextlib import suppress
from pathlib import Path

import torch
from looks import describe
from steps import TRAIN, WORK, StoppedError

import ultralytics
from ultralytics import YOLO


def make(cfg, out, names, task, seed=0):
    """Save what a YAML builds as a checkpoint, dense, with scales that differ."""
    torch.manual_seed(seed)
    model = YOLO(cfg).model
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.weight.data.uniform_(0.2, 1.5)
    model.names = dict(enumerate(names))
    save(model, out, task)


def save(model, out, task):
    """Save a model as upstream does at the end of a training."""
    version = ultralytics.__version__.partition("+")[0]
    held = {"model": model.half(), "ema": None, "optimizer": None, "epoch": -1, "version": version, "date": ""}
    torch.save({**held, "best_fitness": None, "updates": None, "train_args": {"task": task}}, out)


def replaced(weights, out, kind):
    """Save a checkpoint in which the user has put another module in a place of upstream's."""
    model = YOLO(weights).model.float()
    block = model.model[2]
    if kind == "activation":
        block.cv1.act = torch.nn.ReLU()
    elif kind == "identity":
        block.m[0] = torch.nn.Identity()
    else:
        other = type(block)(16, 16, 1, shortcut=True, e=0.25)  # of upstream's class, and narrower
        for name in ("i", "f", "type"):
            setattr(other, name, getattr(block, name))
        model.model[2] = other
    save(model, out, "detect")


def first_step(weights, data, name, **arguments):
    """Train one step; a digest of all that is trained, shapes, and the tensors themselves in a file."""
    seen = {}

    def stop(trainer):
        model = getattr(trainer.model, "student_model", trainer.model)
        seen.update(describe(model))
        seen["file"] = str(WORK / f"{name}.pth")
        torch.save({k: v for k, v in model.state_dict().items() if "criterion" not in k}, seen["file"])
        raise StoppedError

    model = YOLO(weights)
    model.add_callback("on_train_batch_end", stop)
    with suppress(StoppedError):
        model.train(**{**TRAIN, "batch": 4, "nbs": 4, "data": data, "name": name, **arguments})
    return seen


def carried(weights, file):
    """Say of each row of an output layer, and of the filters of the first, which one of the checkpoint's it is."""
    before = YOLO(weights).model.float().state_dict()
    after = torch.load(Path(file), weights_only=True)
    stem = "model.0.conv.weight"
    layers = {name.rpartition(".")[0] for name in after if name.endswith(".bias")}
    outputs = [f"{layer}.weight" for layer in sorted(layers) if after[f"{layer}.weight"].dim() > 1]
    found = {name: [_among(row, before[name]) for row in after[name]] for name in outputs}
    return {**found, stem: _filters(after[stem], before[stem])}


def _among(row, rows):
    return next((index for index, other in enumerate(rows) if torch.equal(row, other)), None)


def _filters(now, before):
    if now.shape[1] == 1 and torch.equal(now, before.sum(1, keepdim=True)):
        return "sum"
    return [_among(now[:, index], before.unbind(1)) for index in range(now.shape[1])]


def loaded(cfg, weights):
    """Load weights into what a YAML builds, as one does in a notebook; what upstream's logger said meanwhile."""
    said = []
    handler = logging.Handler()
    handler.emit = lambda record: said.append(record.getMessage())
    logger = next(logging.getLogger(name) for name in ("ultralytics", "yolov5") if logging.getLogger(name).handlers)
    logger.addHandler(handler)
    try:
        YOLO(cfg).load(weights)
    finally:
        logger.removeHandler(handler)
    return said
