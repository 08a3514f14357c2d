"""A pruned model for another data set: outputs for its classes and keypoints, an input for its images.

What a data set decides is what differs between the model that the checkpoint's YAML builds for the old one, and the
one that upstream has built for the new one. Those layers are made anew at the pruned model's other widths; then
upstream's own `load` puts in what it carries over, by its own rules: rows by the names of classes, filters summed for
grey images, or whatever this release does.
"""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ..writing.log import log_info
from .class_outputs import BOX, ArchitectureError, anchors_of, classes_of, head_of
from .image_inputs import first_convolution
from .rebuilding import STRUCTURE

if TYPE_CHECKING:
    from collections.abc import Iterator

# What a layer calls its outputs and its inputs, in the order of its weight's axes.
AXES: dict[type[nn.Module], tuple[str, str]] = {
    nn.Conv2d: ("out_channels", "in_channels"),
    nn.Linear: ("out_features", "in_features"),
    nn.Embedding: ("num_embeddings", "embedding_dim"),
}


def refit(model: nn.Module, weights: nn.Module, made: nn.Module | None, built: nn.Module) -> None:
    """Make a pruned model one for the data set that upstream has built another for.

    Args:
        model: A copy of the checkpoint's model; changed in place.
        weights: The checkpoint's model, which is loaded by upstream's rules; left as it is.
        made: What its own YAML builds, for its own data set.
        built: What upstream has built, unpruned, and loaded.

    Raises:
        ArchitectureError: Something of another kind than a layer would have to change.
    """
    if made is None:
        raise ArchitectureError(
            f"the YAML of this pruned {type(weights).__name__} cannot be built, so it is not known what depends on "
            "the data set: train it in the release that it comes from"
        )
    changed = resize(model, made, built)
    _take_values(model, made, built)
    vars(model)["nc"] = classes_of(built)  # torch types a module's attributes as tensors and modules
    if hasattr(built, "names"):
        vars(model)["names"] = built.names
    load = getattr(model, "load", None)
    if load is not None:  # YOLOv5's train.py loads the weights itself, behind this
        load(weights)
    if anchors_of(model):
        _keep_boxes(model, weights)
    if changed:
        log_info(
            f"slim: {', '.join(changed)} of the pruned model {'are' if len(changed) > 1 else 'is'} for this data set"
        )


def resize(model: nn.Module, made: nn.Module, built: nn.Module) -> list[str]:
    """Make the layers anew whose outputs, or the images' inputs, are other ones; return their names."""
    changed: list[str] = []
    for name, axis, size in list(_layers(model, made, built)):
        owner, _, own = name.rpartition(".")
        layer = _resized(model.get_submodule(name), axis, size, built.get_submodule(name))
        setattr(model.get_submodule(owner), own, layer)
        changed.append(name)
    return changed


def _layers(model: nn.Module, made: nn.Module, built: nn.Module) -> Iterator[tuple[str, int, int]]:
    """Yield the layers to make anew, with the axis of their weight and its new size."""
    first = first_convolution(model)
    ours, before = dict(model.named_modules()), dict(made.named_modules())
    for name, layer in built.named_modules():
        own = ours.get(name)
        new, old, mine = _weight(layer), _weight(before.get(name)), _weight(own)
        if new is None or old is None or mine is None:
            continue
        if name == first:
            if new.shape[1] != mine.shape[1]:
                yield name, 1, new.shape[1]
        elif new.shape[0] != old.shape[0] and not _is_normed(built, name):
            if type(own) not in AXES or mine.shape[0] != old.shape[0]:
                raise ArchitectureError(
                    f"{name} of the pruned model, a {type(own).__name__}, cannot be made for another data set: "
                    "train the unpruned model on it, then prune that"
                )
            yield name, 0, new.shape[0]


def _weight(layer: nn.Module | None) -> Tensor | None:
    weight = getattr(layer, "weight", None)
    return weight if isinstance(weight, nn.Parameter) and weight.dim() > 1 else None


def _is_normed(model: nn.Module, name: str) -> bool:
    """Tell whether a layer has a BatchNorm beside it: its outputs are hidden, and as many as pruning has left."""
    parts = model.get_submodule(name.rpartition(".")[0]).children()
    return any(isinstance(part, _BatchNorm) for part in parts)


def _resized(layer: Any, axis: int, size: int, like: nn.Module) -> nn.Module:  # Any: one of AXES, which share no base
    """Return a fresh layer of another size; what it cannot know it starts as upstream has started its own."""
    fresh = deepcopy(layer)
    shape = list(layer.weight.shape)
    shape[axis] = size
    fresh.weight = nn.Parameter(layer.weight.new_empty(shape))
    if axis == 0 and getattr(layer, "bias", None) is not None:
        fresh.bias = nn.Parameter(layer.bias.new_empty(size))
    setattr(fresh, AXES[type(layer)][axis], size)
    fresh.reset_parameters()
    with torch.no_grad():
        for name, tensor in like.named_parameters():
            mine = getattr(fresh, name)
            if mine.shape == tensor.shape:
                mine.copy_(tensor)
        if axis == 1:
            _carry_filters(fresh.weight, layer.weight)
    return cast("nn.Module", fresh)


def _carry_filters(new: Tensor, old: Tensor) -> None:
    """Start a first convolution from the old one's filters: for grey images from their sum, as upstream does."""
    common = min(new.shape[1], old.shape[1])
    new[:, :common] = old.sum(1, keepdim=True) if new.shape[1] == 1 else old[:, :common]


def _take_values(model: nn.Module, made: nn.Module, built: nn.Module) -> None:
    """Take over the plain numbers and the buffers, outside of layers, that are others for the new data set."""
    ours, before = dict(model.named_modules()), dict(made.named_modules())
    for name, module in built.named_modules():
        if name not in ours or name not in before or list(module.parameters(recurse=False)):
            continue
        mine, old = _values(ours[name]), _values(before[name])
        for key, value in _values(module).items():
            if key in mine and key in old and _differ(old[key], value) and not _differ(mine[key], old[key]):
                setattr(ours[name], key, deepcopy(value))
    own, theirs = vars(model), vars(built)["yaml"]
    of_data = {key: value for key, value in theirs.items() if key not in STRUCTURE}
    own["yaml"] = {**own["yaml"], **of_data}


def _values(module: nn.Module) -> dict[str, object]:
    kept = {**vars(module), **module._buffers}  # noqa: SLF001 - nn.Module offers no other way
    return {k: v for k, v in kept.items() if k[0] != "_" and isinstance(v, (bool, int, list, tuple, Tensor))}


def _differ(one: object, other: object) -> bool:
    """Tell whether two values are of another size; what a tensor holds is learnt, or made anew."""
    if isinstance(one, Tensor) or isinstance(other, Tensor):
        return getattr(one, "shape", None) != getattr(other, "shape", None)
    return _is_plain(one) and _is_plain(other) and bool(one != other)


def _is_plain(value: object) -> bool:
    return not isinstance(value, (list, tuple)) or all(isinstance(item, int) for item in value)


def _keep_boxes(model: nn.Module, weights: nn.Module) -> None:
    """Keep the rows of box, objectness and masks of an anchor-based head, which has them and the classes' in one."""
    head, source = cast("Any", head_of(model)), cast("Any", head_of(weights))  # torch's stub: attributes are tensors
    if head.nc == source.nc:
        return
    by_anchor = (head.na, -1)
    for layer, old in zip(head.m, source.m):
        for name in ("weight", "bias"):
            mine = getattr(layer, name).data.unflatten(0, by_anchor)
            theirs = getattr(old, name).data.unflatten(0, by_anchor)
            mine[:, :BOX] = theirs[:, :BOX].to(mine)
            mine[:, BOX + head.nc :] = theirs[:, BOX + source.nc :].to(mine)
