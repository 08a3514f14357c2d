"""What the tests do in a fork from the inside: train, resume, prune, each in upstream's own way.

Imported by `worker.py` with the tree under test first on PYTHONPATH; arguments and results are plain JSON.
"""

from __future__ import annotations

import inspect
import os
import runpy
import sys
from contextlib import suppress
from pathlib import Path

import torch
from looks import facts
from watch import Watch, out_of_memory

import ultralytics
from ultralytics import YOLO

WORK = Path(os.environ["FORK_WORK"])
TRAIN = {
    "imgsz": 64,
    "batch": 8,
    "nbs": 8,
    "epochs": 1,
    "workers": 0,
    "device": "cpu",
    "amp": False,
    "plots": False,
    "seed": 0,
    "deterministic": True,
    "optimizer": "SGD",
    "lr0": 0.01,
    "warmup_epochs": 0.0,
    "mosaic": 0.0,
    "exist_ok": True,
    "project": str(WORK / "runs"),
}


class StoppedError(Exception):
    """A run that was cut off on purpose."""


def quick(trainer):
    """Early releases draw plots of the last epoch whatever `plots` says, which takes longer than the training."""

    def no_pictures(validator):
        validator.args.plots = False

    trainer.validator.add_callback("on_val_batch_start", no_pictures)


def train(weights, name, data, *, watch=False, stop_after=None, fail_at=None, through="model", **arguments):
    """Train and describe the last checkpoint.

    Args:
        weights: A checkpoint or a YAML.
        name: Of the run.
        data: Path of the data YAML.
        watch: Follow the penalty through every step.
        stop_after: Cut the run off after this epoch.
        fail_at: Run out of memory once, at the beginning of this batch.
        through: "model" for `YOLO(...).train()`, "trainer" for the trainer alone, as CLI, DDP and resume do.
        **arguments: Further train arguments.
    """
    seen, watching = {"batches": []}, Watch() if watch else None

    def begin(trainer):
        quick(trainer)
        seen["ema"] = {k: list(v.shape) for k, v in trainer.ema.ema.state_dict().items()}

    def stop(trainer):
        if stop_after is not None and trainer.epoch == stop_after:
            raise StoppedError

    def count(trainer):
        seen["batches"].append(trainer.batch_size)

    callbacks = {"on_train_start": [begin], "on_fit_epoch_end": [stop], "on_train_batch_end": [count]}
    if watching:
        callbacks["on_train_start"].append(watching.start)
        callbacks["on_train_batch_end"].append(watching.batch_end)
    if fail_at is not None:
        callbacks["on_train_start"].append(lambda trainer: out_of_memory(trainer, fail_at))
    options = {**TRAIN, "data": data, "name": name, **arguments}
    with suppress(StoppedError):
        trainer = _train(weights, options, callbacks, through)
        seen["strength"] = getattr(trainer.args, "sparsity", None)
        seen["epochs"] = trainer.epoch + 1
    run = WORK / "runs" / name
    report = {**seen, "run": str(run), "last": str(run / "weights" / "last.pt"), **facts(run / "weights" / "last.pt")}
    return {**report, **(watching.report() if watching else {})}


def _train(weights, options, callbacks, through):
    if through == "trainer":
        trainer = trainer_class()(overrides={**options, "model": weights, "mode": "train", "task": "detect"})
        for event, functions in callbacks.items():
            for function in functions:
                trainer.add_callback(event, function)
        trainer.train()
        return trainer
    model = YOLO(weights)
    for event, functions in callbacks.items():
        for function in functions:
            model.add_callback(event, function)
    model.train(**options)
    return model.trainer


def trainer_class():
    """Return upstream's trainer of detectors."""
    try:
        from ultralytics.models.yolo.detect import DetectionTrainer
    except ImportError:
        from ultralytics.yolo.v8.detect import DetectionTrainer
    return DetectionTrainer


def resume(weights):
    """Resume a run that was cut off."""
    model = YOLO(weights)
    model.add_callback("on_train_start", quick)
    model.train(resume=True, device="cpu")
    return {"strength": model.trainer.args.sparsity, "epochs": model.trainer.epoch + 1, **facts(weights)}


def prune(weights, out, *, options):
    """Run the fork's `prune.py` in this process; its exit code."""
    root = Path(ultralytics.__file__).resolve().parents[1]
    before, sys.argv = sys.argv, ["prune.py", "--weights", weights, "--out", out, *options]
    try:
        runpy.run_path(str(root / "prune.py"), run_name="__main__")
    except SystemExit as stop:
        return stop.code
    finally:
        sys.argv = before
    raise AssertionError("prune.py ended without an exit code")


def after(weights, name, data, *, first):
    """Train the very model that was just used for `val` or `predict`, as one does in a notebook."""
    model = YOLO(weights)
    model.add_callback("on_train_start", quick)
    if first == "val":
        model.val(data=data, imgsz=64, device="cpu", plots=False, workers=0)
    else:
        model.predict(torch.zeros(1, 3, 64, 64), imgsz=64, device="cpu", verbose=False)
    model.train(**{**TRAIN, "data": data, "name": name})
    return facts(str(WORK / "runs" / name / "weights" / "last.pt"))


def ddp_file(weights, name, data, **arguments):
    """Write the file that several GPUs are trained with, where upstream's `train` writes it; its path."""
    try:
        from ultralytics.utils.dist import generate_ddp_file
    except ImportError:
        from ultralytics.yolo.utils.dist import generate_ddp_file
    base, files, model = trainer_class(), [], YOLO(weights)

    def write(trainer):
        trainer.__class__ = base
        files.append(generate_ddp_file(trainer))
        raise StoppedError

    # Recent releases hand the model over in the file, so it must be there; early ones hand over the arguments alone.
    recent = "trainer" in inspect.signature(model.train).parameters
    if recent:
        arguments["trainer"] = type("Writer", (base,), {"train": write})
    else:
        model.add_callback("on_pretrain_routine_start", write)
    with suppress(StoppedError):
        model.train(**{**TRAIN, "data": data, "name": name, **arguments})
    return files[0]
