"""Keep the architecture of a pruned checkpoint where upstream would rebuild the model from its YAML.

Both methods of the first write-up (section 4) end here, and YOLOv5's train scripts. A checkpoint is pruned when its
shapes differ from what its own YAML builds; any other goes upstream's way, so that changing the classes of an unpruned
model, or the channels of its pictures, works as ever, and so does starting another architecture from its weights.
"""

from __future__ import annotations

import inspect
import logging
from contextlib import contextmanager
from copy import deepcopy
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import nn

from .inputs import change_inputs, first_convolution, inputs_of
from .log import tell, warn
from .outputs import ArchitectureError, anchors_of, change_classes, classes_of, take_anchors

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["ArchitectureError", "is_pruned", "keep_architecture"]

# Keys of a model's YAML that say what it is made of, in all releases of both upstreams.
STRUCTURE = ("backbone", "head", "scale", "depth_multiple", "width_multiple", "activation")


def keep_architecture(built: nn.Module, weights: nn.Module | dict[str, Any] | None) -> nn.Module:
    """Return the model to train: the one that upstream built, or the checkpoint's own when it is pruned.

    Args:
        built: What upstream built from the YAML, with or without the weights that fit.
        weights: The checkpoint's model (or the checkpoint), or None when there is none.

    Returns:
        `built` itself, or a copy of the checkpoint's model: float32, in training mode, on the device of `built`.

    Raises:
        ArchitectureError: The pruned model is of a kind whose number of classes cannot be changed, is to have another
            number of anchors, or prediction has folded its BatchNorms away.
    """
    if isinstance(weights, dict):
        weights = weights.get("ema") or weights.get("model")
    if not isinstance(weights, nn.Module) or _same_but_classes(built, weights) or not is_pruned(weights, built):
        return built
    if _structure(built) != _structure(weights):
        warn("slim: the checkpoint is a pruned model of another architecture than the YAML's, so it is not kept")
        return built
    if _is_fused(weights, built):
        raise ArchitectureError(
            "`val` or `predict` has folded this pruned model's BatchNorms: load its .pt anew to train"
        )
    if anchors_of(weights) != anchors_of(built):
        old, new = (anchors_of(model)[1:2] for model in (weights, built))
        raise ArchitectureError(
            f"a pruned model with {old[0]} anchors a level cannot be trained with {new[0]}: "
            "leave `anchors` in the hyp file as it was, or train the unpruned model with others, then prune it"
        )
    model = deepcopy(weights).float().train()
    _dress(model.to(next(built.parameters()).device), built)
    if classes_of(model) != classes_of(built):
        change_classes(model, built)
    if inputs_of(model) != inputs_of(built):
        change_inputs(model, built)
    tell("slim: the checkpoint is pruned; training goes on in its own architecture")
    return model


def _dress(model: nn.Module, built: nn.Module) -> None:
    """Make a checkpoint's model one that starts to train, as upstream has made the one that it built."""
    for attributes in (model.__dict__, model._modules):  # noqa: SLF001 - nn.Module offers no other way
        attributes.pop("criterion", None)  # it holds tensors of the last run's device
    constant = {name for name, parameter in built.named_parameters() if not parameter.requires_grad}
    for name, parameter in model.named_parameters():
        # Stripped checkpoints are saved frozen (write-up, section 3). What upstream builds as a constant, DFL's
        # integral, stays one: no gradient ever reaches it, which fails on several GPUs in early releases.
        parameter.requires_grad_(name not in constant)
    ours = dict(model.named_modules())
    for name, module in built.named_modules():
        if isinstance(module, nn.Dropout) and name in ours:  # upstream has set it to `dropout=`
            cast("nn.Dropout", ours[name]).p = module.p
    if anchors_of(model):
        take_anchors(model, built)


def is_pruned(model: nn.Module, built: nn.Module | None = None) -> bool:
    """Tell whether a model's shapes differ from what its own YAML builds.

    Args:
        model: A model of upstream's, with its `yaml`.
        built: A model that is there already; it saves building one if it is of the same YAML, classes and anchors.
    """
    if built is None or _identity(built) != _identity(model):
        yaml = getattr(model, "yaml", None)
        if not isinstance(yaml, dict):
            return False
        built = _build(type(model), yaml, classes_of(model))
    ours, theirs = _shapes(built), _shapes(model)
    if _is_fused(model, built):  # older releases do that to the very model that `predict` was called on
        return any(ours[name] != theirs[name] for name in ours.keys() & theirs.keys())
    return ours != theirs


def _build(make: Any, yaml: dict[str, Any], classes: int | None) -> nn.Module:
    """Build a model of upstream's, in silence and without taking random numbers from the training to come."""
    quiet = {"verbose": False} if "verbose" in inspect.signature(make).parameters else {}
    with torch.random.fork_rng(devices=[]), hushed():
        return cast("nn.Module", make(deepcopy(yaml), nc=classes, **quiet))


@contextmanager
def hushed() -> Iterator[None]:
    """Keep every logger from saying less than a warning: YOLOv5 has no `verbose` and logs a table of layers."""
    before = logging.root.manager.disable
    logging.disable(logging.INFO)
    try:
        yield
    finally:
        logging.disable(before)


def _structure(model: nn.Module) -> list[Any]:
    yaml = getattr(model, "yaml", None)
    return [yaml.get(key) for key in STRUCTURE] if isinstance(yaml, dict) else []


def _identity(model: nn.Module) -> tuple[Any, ...]:
    """Return what decides a model's shapes before pruning."""
    return classes_of(model), anchors_of(model), _structure(model)


def _is_fused(model: nn.Module, built: nn.Module) -> bool:
    """Tell whether BatchNorms are gone whose convolutions are there, with the biases they became; not whole blocks."""
    ours, theirs = _shapes(built).keys(), _shapes(model).keys()
    gone = [name.rsplit(".", 2)[0] + "." for name in ours - theirs if name.endswith(".running_mean")]
    return bool(theirs - ours) and any(name.startswith(tuple(gone)) for name in theirs)


def _shapes(model: nn.Module) -> dict[str, tuple[int, ...]]:
    """Return all shapes, but for how many channels a picture has: no pruning changes that, another data set may."""
    shapes = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items() if "criterion" not in name}
    first = f"{first_convolution(model)}.weight"
    if first in shapes:
        shapes[first] = (shapes[first][0], *shapes[first][2:])
    return shapes


def _same_but_classes(built: nn.Module, weights: nn.Module) -> bool:
    """Tell whether two models differ in nothing but outputs per class."""
    ours, theirs = _shapes(built), _shapes(weights)
    classes = (classes_of(built), classes_of(weights))
    return ours.keys() == theirs.keys() and all(
        a == b or (a[1:] == b[1:] and (a[0], b[0]) == classes) for a, b in ((ours[k], theirs[k]) for k in ours)
    )
