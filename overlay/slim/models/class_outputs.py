"""The head of a model: how many classes, keypoints and anchors it has, and the grids it keeps.

Heads come in two kinds. Anchor-free ones (ultralytics) and classifiers have layers whose outputs are the classes alone.
YOLOv5's anchor-based ones have one convolution a level, whose outputs are, for each anchor in turn, box, objectness,
classes and mask coefficients.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

BOX = 5  # x, y, width, height and objectness of an anchor-based head


class ArchitectureError(ValueError):
    """A pruned model cannot be given other outputs."""


def network_of(content: object) -> nn.Module | None:
    """Return the network of what a checkpoint holds, its EMA before its model, or a network itself; None if neither."""
    held = (content.get("ema") or content.get("model")) if isinstance(content, dict) else content
    return held if isinstance(held, nn.Module) else None


def head_of(model: nn.Module) -> nn.Module:
    """Return the last layer."""
    layers = getattr(model, "model", None)
    return layers[-1] if isinstance(layers, nn.Sequential) and len(layers) else model


def classes_of(model: nn.Module) -> int | None:
    """Return the number of classes of the head; the YAML's is shared between models and overwritten."""
    head = head_of(model)
    linear = getattr(head, "linear", None)
    classes = linear.out_features if isinstance(linear, nn.Linear) else getattr(head, "nc", None)
    return classes if isinstance(classes, int) else None


def keypoints_of(model: nn.Module) -> tuple[int, ...]:
    """Return a head's keypoints and how many numbers each has, (keypoints, 2 or 3); () where it has none."""
    shape = getattr(head_of(model), "kpt_shape", None)
    return tuple(map(int, shape)) if isinstance(shape, (list, tuple)) else ()


def anchors_of(model: nn.Module) -> tuple[int, ...]:
    """Return the shape of an anchor-based head's anchors, (levels, anchors a level, 2); () of any other."""
    head = head_of(model)
    anchored = isinstance(getattr(head, "na", None), int) and isinstance(getattr(head, "m", None), nn.ModuleList)
    return tuple(cast("Tensor", head.anchors).shape) if anchored else ()


def take_anchors(model: nn.Module, built: nn.Module) -> None:
    """Give an anchor-based head the anchors that upstream built, and none of the grids it made in its last run.

    Upstream loads the checkpoint's anchors afterwards unless the user has named others.
    """
    head, source = head_of(model), head_of(built)
    for name in ("anchors", "anchor_grid", "grid"):
        value = getattr(source, name, None)
        if isinstance(value, Tensor):
            setattr(head, name, value.clone())
        elif isinstance(value, list):
            setattr(head, name, list(map(Tensor.clone, value)))


def modernise(model: nn.Module, like: nn.Module) -> None:
    """Give a model of an earlier release what this one's classes expect, as upstream does when it loads one to detect.

    Args:
        model: Unpickled, so without what its classes have learnt since; changed in place.
        like: What this release builds of the same YAML.
    """
    theirs = dict(like.named_modules())
    for name, module in model.named_modules():
        known = vars(theirs[name]) if type(theirs.get(name)) is type(module) else {}
        for key, value in known.items():
            if key not in vars(module) and isinstance(value, (bool, int, float, str, type(None))):
                setattr(module, key, value)
    grid = getattr(head_of(like), "anchor_grid", None)
    if isinstance(grid, list) and "anchor_grid" in head_of(model)._buffers:  # noqa: SLF001 - up to v6.0
        head_of(model)._buffers.pop("anchor_grid")  # noqa: SLF001
        head_of(model).anchor_grid = _unmade(grid)  # type: ignore[assignment]


def _unmade(grids: list[Tensor]) -> list[Tensor]:
    """Return what a head starts with in the place of its grids, one a level."""
    return [torch.zeros(1) for _ in grids]


def forget_grids(model: nn.Module) -> None:
    """Leave out what an anchor-based head has made for its last images, in their size; it makes that anew."""
    head = head_of(model)
    for name in ("grid", "anchor_grid") if anchors_of(model) else ():
        made = getattr(head, name, None)
        if isinstance(made, list):
            setattr(head, name, _unmade(made))
