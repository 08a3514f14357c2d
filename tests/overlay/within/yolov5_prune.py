"""Steps inside a fork of YOLOv5: checkpoints as upstream saves them, the fork's prune.py, and what it has written."""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import os
import runpy
import sys
from pathlib import Path

import numpy as np
import torch
from networks import photo, randomise, run
from torch import nn
from yolov5_models import build, upstream

OPT = {"imgsz": 64, "weights": "", "data": "data.yaml"}


def save(cfg, path, *, zeros=0.0, emptied=(), epoch=-1, named_models=False):
    """Save a detector of random scales, a share of them exactly zero and all of the BatchNorms that are named.

    It is saved as upstream does; return how many scales it has.
    """
    model = randomise(build(cfg, nc=1))
    generator = torch.Generator().manual_seed(7)
    for norm in norms(model).values():
        norm.weight.data[torch.rand(norm.num_features, generator=generator) < zeros] = 0
    for name in emptied:
        norms(model)[name].weight.data.zero_()
    model.names, model.hyp, model.nc = ["qr"], {"lr0": 0.01}, 1
    if named_models:
        rename(model)
    for parameter in model.parameters():
        parameter.requires_grad = False
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    state = {"epoch": epoch, "best_fitness": 0.5, "model": model.half(), "ema": None, "updates": None, "opt": OPT}
    torch.save({**state, "optimizer": {"state": {}}, "wandb_id": None, "date": "2023-06-28"}, path)
    return sum(norm.num_features for norm in norms(model).values())


class Calls:
    """Pickled as a call of a function."""

    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


def poison(path, flag, how):
    """Let a checkpoint call something, or bring a layer of nobody's, where it is loaded."""
    found = opened(path)
    if how == "layer":
        kind = type("Own", (nn.Identity,), {"__module__": "own_layers"})
        sys.modules["own_layers"] = type(sys)("own_layers")
        sys.modules["own_layers"].Own = kind
        found["model"].own = kind()
    elif how == "yaml":  # upstream evaluates what stands in a model's YAML
        call = f"open({flag!r}, 'w')"
        yaml = {"anchors": [], "nc": 1, "depth_multiple": 1, "width_multiple": 1, "head": []}
        found["x"] = Calls(type(found["model"]), {**yaml, "activation": call, "backbone": [[-1, 1, call, []]]})
    else:
        found["x"] = Calls(os.system, f"touch {flag}")
    torch.save(found, path)


def rename(model):
    """Let the model's class be one of a module `models`, as in checkpoints of the official repository."""
    sys.path.insert(0, str(Path(upstream("models").__path__[0]).parent))
    model.__class__ = importlib.import_module("models.yolo").Model
    sys.path.pop(0)


def logger():
    """Name the logger that the fork's `slim` writes to."""
    package = upstream("models").__name__.rpartition(".")[0]
    return importlib.import_module(f"{package}.slim.writing.log" if package else "slim.writing.log").LOGGER.name


def norms(model):
    return {name: m for name, m in model.named_modules() if isinstance(m, nn.BatchNorm2d)}


def opened(path):
    return torch.load(path, map_location="cpu", weights_only=False)


def script(root, arguments):
    """Run the fork's prune.py here, where upstream has been imported already; return its exit code and what it said."""
    out, err = io.StringIO(), io.StringIO()
    sys.argv = ["prune.py", *map(str, arguments)]
    real, read = os.dup(1), Path(root) / "stdout.txt"
    code = None
    with read.open("wb") as file, contextlib.redirect_stderr(err):
        os.dup2(file.fileno(), 1)  # --json writes to the real one
        try:
            with open(1, "w", encoding="utf-8", closefd=False) as stream, contextlib.redirect_stdout(stream):
                runpy.run_path(str(Path(root) / "prune.py"), run_name="__main__")
        except SystemExit as stopped:
            code = stopped.code
        finally:
            os.dup2(real, 1)
            os.close(real)
    out = read.read_text(encoding="utf-8")
    read.unlink()
    return {"code": code, "out": out, "err": err.getvalue()}


def scales(path):
    """Return |γ| of every BatchNorm channel, by layer."""
    return {name: m.weight.detach().float().abs().tolist() for name, m in norms(opened(path)["model"]).items()}


def contents_before(path):
    """Name the module of a checkpoint's model."""
    sys.path.insert(0, str(Path(upstream("models").__path__[0]).parent))
    kind = type(opened(path)["model"]).__module__
    sys.path.pop(0)
    return kind


def contents(path):
    """Say what a checkpoint holds."""
    ckpt = opened(path)
    model = ckpt["model"]
    classes = {type(m).__module__.partition(".")[0] for m in model.modules()}
    return {
        "none": sorted(key for key, value in ckpt.items() if value is None),
        "kept": {key: ckpt[key] for key in ("epoch", "date", "opt")},
        "requires_grad": {p.requires_grad for p in model.parameters()} == {True},
        "half": {p.dtype for p in model.parameters()} == {torch.float16},
        "packages": sorted(classes - {"torch"}),
        "names": model.names,
        "hyp": model.hyp,
        "plan": sorted(model.slim),
        "grid": [tuple(tensor.shape) for tensor in model.model[-1].grid],
    }


def is_masked(dense, pruned, plan):
    """Say how far the file that was written is from the dense one with the dropped channels silenced."""
    masked, written = opened(dense)["model"].float().eval(), opened(pruned)["model"].float().eval()
    chosen = json.loads(Path(plan).read_text())
    for name, norm in norms(masked).items():
        every = set(range(norm.num_features))
        kept = (
            []
            if name.startswith(tuple(f"{block}." for block in chosen["removed"]))
            else chosen["keep"].get(name, every)
        )
        gone = sorted(every - set(kept))
        norm.weight.data[gone], norm.bias.data[gone] = 0, 0
    pairs = zip(run(written, photo()), run(masked, photo()), strict=True)
    return max(((a - b).abs() / b.abs().clamp_min(1)).max().item() for a, b in pairs)


def removed(path):
    """Name the blocks that are the identity in a checkpoint, and the plans that it carries, by what they removed."""
    model = opened(path)["model"]
    plans = [*model.slim["before"], model.slim]
    return [name for name, m in model.named_modules() if type(m) is nn.Identity], [list(p["removed"]) for p in plans]


def onnx_agrees(pruned, onnx):
    """Return the greatest difference of the ONNX file's first output and the model's."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(onnx), providers=["CPUExecutionProvider"])
    feed = {session.get_inputs()[0].name: photo().numpy()}
    theirs = session.run(None, feed)[0]
    ours = run(opened(pruned)["model"].float().eval(), photo())[0].numpy()
    return float((np.abs(ours - theirs) / np.maximum(np.abs(ours), 1)).max()) if ours.shape == theirs.shape else None
