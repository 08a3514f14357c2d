"""The outputs of a head, one a class: how many there are, and fresh ones for another number of classes.

Heads come in two kinds. Anchor-free ones (ultralytics) and classifiers have layers whose outputs are the classes alone.
YOLOv5's anchor-based ones have one convolution a level, whose outputs are, for each anchor in turn, box, objectness,
classes and mask coefficients: there only the rows of the classes are new.
"""

from __future__ import annotations

import re
from typing import Any, cast

import torch
from torch import Tensor, nn

from .log import tell

# Paths in upstream's heads whose last layer has one output a class: detection, YOLO26's masks, semantic segmentation.
CLASS_BRANCHES = re.compile(r"(?:one2one_)?cv3\.\d+|proto\.semseg|classifier|aux_head")
BOX = 5  # x, y, width, height and objectness of an anchor-based head


class ArchitectureError(ValueError):
    """A pruned model cannot be given other outputs."""


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
            setattr(head, name, [tensor.clone() for tensor in value])


def forget_grids(model: nn.Module) -> None:
    """Leave out what an anchor-based head has made for its last pictures, in their size; it makes that anew."""
    head = head_of(model)
    for name in ("grid", "anchor_grid") if anchors_of(model) else ():
        made = getattr(head, name, None)
        if isinstance(made, list):
            setattr(head, name, [torch.zeros(1) for _ in made])


def change_classes(model: nn.Module, built: nn.Module) -> None:
    """Give a pruned model fresh outputs for the classes of the data set; everything else stays.

    Args:
        model: The pruned model; changed in place.
        built: The unpruned one that upstream has built for the new classes.

    Raises:
        ArchitectureError: The head is of a kind whose class outputs are not known.
    """
    head, like = head_of(model), head_of(built)
    old, new = classes_of(model), classes_of(built)
    if old is None or new is None:
        raise _unknown(head, old, new)
    fresh = _anchored if anchors_of(model) else _plain
    for path, layer in fresh(head, like, old, new).items():
        parent, _, name = path.rpartition(".")
        setattr(head.get_submodule(parent), name, layer.to(_device(model)))
    whole: Any = model
    whole.nc, whole.yaml = new, {**whole.yaml, "nc": new}
    _renumber(head, old, new)
    tell(f"slim: fresh outputs for {new} classes on a pruned model of {old}")


def _renumber(head: Any, old: int, new: int) -> None:
    head.nc = new
    if hasattr(head, "no"):
        head.no += new - old


def _device(model: nn.Module) -> torch.device:
    return next(model.parameters()).device


def _unknown(head: nn.Module, old: int | None, new: int | None) -> ArchitectureError:
    return ArchitectureError(
        f"a pruned {type(head).__name__} head with {old} classes cannot be trained for {new}: "
        f"train the unpruned model for {new} classes, then prune it"
    )


def _plain(head: nn.Module, like: nn.Module, old: int, new: int) -> dict[str, nn.Module]:
    """Make the layers anew that have one output a class, by path."""
    found: dict[str, Any] = {}
    for path, module in head.named_modules():
        if isinstance(module, nn.Sequential) and CLASS_BRANCHES.fullmatch(path) and len(module):
            found[f"{path}.{len(module) - 1}"] = module[-1]
    linear = getattr(head, "linear", None)
    if isinstance(linear, nn.Linear):
        found["linear"] = linear
    widths = [m.weight.shape[0] if isinstance(m, (nn.Conv2d, nn.Linear)) else None for m in found.values()]
    if not found or any(width != old for width in widths):
        raise _unknown(head, old, new)
    return {path: _fresh(layer, new, like.get_submodule(path)) for path, layer in found.items()}


def _fresh(layer: Any, outputs: int, like: Any) -> nn.Module:
    """Make a layer anew for so many outputs; its bias starts where upstream starts it, which is low for scores."""
    if isinstance(layer, nn.Linear):
        fresh: Any = nn.Linear(layer.in_features, outputs)
    else:
        fresh = nn.Conv2d(layer.in_channels, outputs, layer.kernel_size, layer.stride, layer.padding)
        fresh.bias.data.copy_(like.bias.data)
    return cast("nn.Module", fresh)


def _anchored(head: Any, like: Any, old: int, new: int) -> dict[str, nn.Module]:
    """Make each level's convolution anew, with the rows of box, objectness and masks as they were."""
    made = {}
    for index, layer in enumerate(head.m):
        fresh: Any = _fresh(layer, head.na * (head.no - old + new), like.m[index])
        for name in ("weight", "bias"):
            ours, theirs = (getattr(each, name).data.unflatten(0, (head.na, -1)) for each in (layer, fresh))
            theirs[:, :BOX] = ours[:, :BOX].to(theirs)
            theirs[:, BOX + new :] = ours[:, BOX + old :].to(theirs)
        made[f"m.{index}"] = fresh
    return made
