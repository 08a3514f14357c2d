"""The steps of a benchmark that run inside the fork: `python steps_inside.py STEP ARGUMENTS`, a JSON object.

Each makes NAME.pt, NAME.yaml or numbers, and says what it has to say in one last line of JSON for the caller.
"""

from __future__ import annotations

import importlib
import json
import math
import runpy
import sys
from pathlib import Path
from typing import Any, Callable

import demo_steps
import demo_ultralytics as demo
import torch
import yaml
from torch import nn

WORK = Path(__file__).resolve().parent
FORK = WORK / "fork"


def slim(name: str) -> Any:
    """Return a module of the fork's slim package."""
    return importlib.import_module(f"ultralytics.slim.{name}")


def load(name: str) -> Any:
    """Return the model of NAME.pt, in float."""
    return demo.load(WORK / f"{name}.pt").float().eval()


def checkpoint(name: str) -> dict[str, Any]:
    """Return NAME.pt as it was saved."""
    saved: dict[str, Any] = torch.load(WORK / f"{name}.pt", map_location="cpu", weights_only=False)
    return saved


def train(name: str, *, clip: bool = True, travel: float | None = None, **arguments: Any) -> dict[str, Any]:
    """Train as the demo does, and go on where an earlier run was cut off.

    Args:
        name: Of the run.
        clip: Whether gradients are clipped, as upstream does.
        travel: What `sparsity=auto` is to aim at, if not its own.
        **arguments: Train arguments.
    """
    if not clip:
        plain = torch.nn.utils.clip_grad_norm_
        torch.nn.utils.clip_grad_norm_ = lambda p, *_, **__: plain(p, math.inf)
    if travel is not None:
        slim("training.automatic").TRAVEL = travel
    demo_steps.train({"name": name, **arguments})
    rows = slim("training.gamma_log").rows_of(WORK / "runs" / name)
    return {"gamma": rows[-1]} if rows else {}


def prune(name: str, *, weights: str, options: list[str]) -> dict[str, Any]:
    """Run the fork's own `prune.py`."""
    files = ["--weights", str(WORK / f"{weights}.pt"), "--out", str(WORK / f"{name}.pt")]
    timed = any(option.startswith("latency=") for option in options)  # which takes ONNX files
    sys.argv = ["prune.py", *files, *(() if timed else ("--no-onnx",)), *options]
    try:
        runpy.run_path(str(FORK / "prune.py"), run_name="__main__")
    except SystemExit as stop:
        if stop.code:
            raise
    return {}


def scratch(name: str, *, weights: str) -> dict[str, Any]:
    """Make a model of the same shape whose weights are new, as upstream begins them."""
    model = load(weights)
    for module in model.modules():
        if hasattr(module, "reset_parameters"):
            module.reset_parameters()
    model.model[-1].bias_init()
    for parameter, value in zip(frozen_in(model), frozen_in(load(weights)), strict=True):
        parameter.data.copy_(value.data)  # it holds the numbers 0 to 15
    slim("files.checkpoint").save_checkpoint(WORK / f"{name}.pt", model, checkpoint(weights))
    return {}


def frozen_in(model: nn.Module) -> list[nn.Parameter]:
    """Return the weights that no training moves: what a box's distribution is summed up with."""
    return [parameter for name, parameter in model.named_parameters() if ".dfl" in name]


def width(name: str, *, model: str, kind: str, like: str, imgsz: int) -> dict[str, Any]:
    """Write the YAML of the same model at the width that comes nearest to another's parameters or FLOPs."""
    from ultralytics.nn.tasks import DetectionModel, yaml_model_load

    plain = yaml_model_load(model)
    depth, top, most = plain["scales"][plain["scale"]]
    goal = cost(load(like), kind, imgsz)

    def made(share: float) -> dict[str, Any]:
        return {**plain, "nc": 1, "scales": {plain["scale"]: [depth, share, most]}}

    def costs(share: float) -> float:
        return cost(DetectionModel(made(share), verbose=False), kind, imgsz)

    best = nearest([top * step / 64 for step in range(2, 65)], goal, costs)  # widths come in steps of 8 channels
    (WORK / f"{name}.yaml").write_text(yaml.safe_dump(made(best), sort_keys=False))
    return {"width": best, kind: costs(best), "goal": goal}


def nearest(shares: list[float], goal: float, costs: Callable[[float], float]) -> float:
    """Return the share whose cost comes nearest to a goal; shares ascend, and more never costs less."""
    low, high = 0, len(shares) - 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if costs(shares[middle]) < goal else (low, middle)
    return min(shares[low], shares[high], key=lambda share: abs(costs(share) - goal))


def cost(model: nn.Module, kind: str, imgsz: int) -> float:
    """Return a model's parameters or FLOPs."""
    if kind == "params":
        return float(slim("costs.measure").count_parameters(model))
    return float(slim("passes.flops").count_flops(model, imgsz))


def rival(name: str, *, weights: str, like: str, importance: str, imgsz: int, tp: str) -> dict[str, Any]:
    """Prune with Torch-Pruning to the FLOPs of another model."""
    sys.path.insert(0, tp)
    prune_as_rivals = importlib.import_module("torch_pruning_arm").prune
    goal = cost(load(like), "flops", imgsz)
    model, facts = prune_as_rivals(load(weights), goal, importance, imgsz, lambda m: cost(m, "flops", imgsz))
    slim("files.checkpoint").save_checkpoint(WORK / f"{name}.pt", model, checkpoint(weights))
    return {**facts, "goal": goal}


def measure(name: str, *, weights: str, imgsz: int, **arguments: Any) -> dict[str, Any]:
    """Validate, export and count; `name` is that of the measurement."""
    del name
    path = WORK / f"{weights}.pt"
    scores = demo.validate(path, {**arguments, "imgsz": imgsz})
    onnx = demo.export(path, imgsz)
    measured = slim("costs.measure").measure(demo.load(path).float(), imgsz=imgsz, pt=path, onnx=onnx)
    return {
        "parameters": measured.parameters,
        "gflops": measured.gflops,
        "pt_bytes": measured.pt_bytes,
        "onnx_bytes": measured.onnx_bytes,
        "map50": float(scores["map50"]),
        "map50_95": float(scores["map50_95"]),
    }


def latency(name: str, *, weights: list[str], imgsz: int, threads: list[int], runs: int) -> dict[str, Any]:
    """Time ONNX files in turns, so that whatever else the machine does falls on all of them."""
    del name
    files = [WORK / f"{each}.onnx" for each in weights]
    timed: dict[str, dict[str, float]] = {}
    for count in threads:
        times = slim("costs.measure").latencies(files, imgsz=imgsz, threads=count, runs=runs)
        for each, milliseconds in zip(weights, times, strict=True):
            timed.setdefault(each, {})[str(count)] = milliseconds
    return timed


if __name__ == "__main__":
    steps = {f.__name__: f for f in (train, prune, scratch, width, rival, measure, latency)}
    demo_steps.tell(**steps[sys.argv[1]](**json.loads(sys.argv[2])))
