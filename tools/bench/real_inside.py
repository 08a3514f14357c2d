"""Steps of `real.py` that run in the fork, in YOLOv5's package: `python real_inside.py STEP WORDS...`."""

from __future__ import annotations

import json
import sys
from copy import deepcopy
from pathlib import Path
from typing import Any, Callable

import torch
import yaml
from torch import nn
from yolov5.export import run as export
from yolov5.models.yolo import Model
from yolov5.slim.costs import measure
from yolov5.slim.files.checkpoint import save_checkpoint

WIDTHS = [width / 128 for width in range(2, 33)]  # up to yolov5n's quarter


def costs(imgsz: str, *paths: str) -> None:
    """Print parameters, FLOPs and milliseconds of checkpoints, timed in turns."""
    files = [Path(path).with_suffix(".onnx") for path in paths]
    for path, file in zip(paths, files):
        if not file.is_file():
            export(weights=path, imgsz=(int(imgsz),) * 2, include=("onnx",), device="cpu")
    found = {}
    for path, ms in zip(paths, measure.latencies(files, imgsz=int(imgsz), threads=1)):
        model = _load(path)["model"].float()
        found[path] = [measure.count_parameters(model), measure.count_flops(model, int(imgsz)), ms]
    print(json.dumps(found))  # noqa: T201 - what `real.py` reads


def reset(source: str, out: str) -> None:
    """Write a checkpoint of the same shape with new weights, as upstream begins them."""
    checkpoint = _load(source)
    torch.manual_seed(0)
    for module in checkpoint["model"].float().modules():
        again: Callable[[], None] | None = getattr(module, "reset_parameters", None)
        if again:
            again()
    checkpoint["model"]._initialize_biases()  # noqa: SLF001
    save_checkpoint(Path(out), checkpoint["model"], checkpoint)


def narrow(source: str, out: str, imgsz: str, share: str) -> None:
    """Write the YAML of a narrower dense model, the widest of those within a share of the FLOPs."""
    model = _load(source)["model"].float()
    goal = measure.count_flops(model, int(imgsz)) * float(share)
    fitting = []
    for width in WIDTHS:
        given = {**model.yaml, "width_multiple": width}
        if measure.count_flops(Model(deepcopy(given)), int(imgsz)) <= goal:
            fitting.append(given)
    Path(out).write_text(yaml.safe_dump(fitting[-1]), encoding="utf-8")


def rival(source: str, out: str, imgsz: str, share: str, importance: str, path: str) -> None:
    """Write what Torch-Pruning, which lies in a folder, makes of a checkpoint at a share of its FLOPs."""
    sys.path.append(path)
    from torch_pruning_arm import prune  # noqa: PLC0415 - needs the rival's package

    def cost(model: nn.Module) -> float:
        return float(measure.count_flops(model, int(imgsz)))

    checkpoint = _load(source)
    model = checkpoint["model"].float().eval()
    pruned, _ = prune(model, cost(model) * float(share), importance, int(imgsz), cost)
    save_checkpoint(Path(out), pruned, checkpoint)


def _load(path: str) -> dict[str, Any]:
    """Load a checkpoint of our own making."""
    loaded: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=False)
    return loaded


if __name__ == "__main__":
    {step.__name__: step for step in (costs, reset, narrow, rival)}[sys.argv[1]](*sys.argv[2:])
