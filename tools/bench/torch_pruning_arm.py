"""A rival: YOLO pruned by Torch-Pruning (arXiv:2301.12900), as its example for YOLOv8 does."""

from __future__ import annotations

import resource
from copy import deepcopy
from typing import Any, Callable

import c2f_split
import torch
import torch_pruning as tp

TRIES = 7  # halvings of the ratio: a hundredth
MOST = 0.98
CLOSE = 1e-2  # pixels
MEMORY = 8 << 30  # bytes of data: on yolo11n it has been seen at 21 GB without an end


def prune(
    model: Any, goal: float, importance: str, imgsz: int, cost: Callable[[Any], float]
) -> tuple[Any, dict[str, Any]]:
    """Prune a model to as many FLOPs as are nearest to a goal.

    Args:
        model: In eval mode; its C2f are split.
        goal: FLOPs.
        importance: `norm` of groups with one ratio for every layer, their example's way; or `bn`, the scales of
            BatchNorms compared across layers, as after sparse training.
        imgsz: Side of a picture, in pixels.
        cost: Returns a model's FLOPs.

    Returns:
        The pruned model, and what was done.

    Raises:
        RuntimeError: Splitting changed what the model computes.
        MemoryError: It asked for more than `MEMORY`.
    """
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, resource.getrlimit(resource.RLIMIT_DATA)[1]))
    example = torch.zeros(1, 3, imgsz, imgsz)
    before = model(example)[0].detach()
    split = c2f_split.split_all(model)
    apart = float((before - model(example)[0].detach()).abs().max())
    if apart > CLOSE:
        raise RuntimeError(f"splitting C2f changed the output by {apart:.3g}")
    found = []
    low, high = 0.0, MOST
    for _ in range(TRIES):
        ratio = (low + high) / 2
        trial = deepcopy(model)
        for parameter in trial.parameters():
            parameter.requires_grad = True  # or it is not followed
        _pruner(trial, example, importance, ratio).step()
        flops = cost(trial)
        found.append((abs(flops - goal), flops, ratio, trial))
        low, high = (ratio, high) if flops > goal else (low, ratio)
    _, flops, ratio, best = min(found, key=lambda each: each[0])
    return best, {"flops": flops, "ratio": ratio, "split": split}


def _pruner(model: Any, example: torch.Tensor, importance: str, ratio: float) -> Any:
    """Leave the head alone, as their users do: its outputs are read by number."""
    how: dict[str, Any] = {"pruning_ratio": ratio, "ignored_layers": [model.model[-1]]}
    if importance == "norm":
        return tp.pruner.GroupNormPruner(model, example, importance=tp.importance.GroupMagnitudeImportance(), **how)
    scale = tp.importance.BNScaleImportance()
    return tp.pruner.BNScalePruner(model, example, importance=scale, global_pruning=True, max_pruning_ratio=MOST, **how)
