"""Keep the architecture of a pruned checkpoint where upstream would rebuild the model from its YAML.

Both methods of the write-up (section 4) end here. A checkpoint is pruned when its shapes differ from what its own YAML
builds; any other goes upstream's way, so that changing the classes of an unpruned model works as ever.
"""

from __future__ import annotations

import logging
import re
from copy import deepcopy
from typing import Any, cast

import torch
from torch import nn

LOGGER = logging.getLogger(__name__.partition(".")[0])
# Paths in upstream's heads whose last layer has one output a class: detection, YOLO26's masks, semantic segmentation.
CLASS_BRANCHES = re.compile(r"(?:one2one_)?cv3\.\d+|proto\.semseg|classifier|aux_head")


class ArchitectureError(ValueError):
    """A pruned model cannot be given other classes."""


def keep_architecture(built: nn.Module, weights: nn.Module | dict[str, Any] | None) -> nn.Module:
    """Return the model to train: the one that upstream built, or the checkpoint's own when it is pruned.

    Args:
        built: What upstream built from the YAML, with the weights that fit loaded.
        weights: The checkpoint's model (or the checkpoint), or None when there is none.

    Raises:
        ArchitectureError: The pruned model is of a kind whose number of classes cannot be changed, or prediction
            has folded its BatchNorms away.
    """
    if isinstance(weights, dict):
        weights = weights.get("ema") or weights.get("model")
    if not isinstance(weights, nn.Module) or _same_but_classes(built, weights) or not is_pruned(weights, built):
        return built
    if _is_fused(weights, built):
        raise ArchitectureError(
            "`val` or `predict` has folded this pruned model's BatchNorms: load its .pt anew to train"
        )
    model = deepcopy(weights).float().train()
    for attributes in (model.__dict__, model._modules):  # noqa: SLF001 - nn.Module offers no other way
        attributes.pop("criterion", None)  # it holds tensors of the last run's device
    constant = {name for name, parameter in built.named_parameters() if not parameter.requires_grad}
    for name, parameter in model.named_parameters():
        # Stripped checkpoints are saved frozen (write-up, section 3). What upstream builds as a constant, DFL's
        # integral, stays one: no gradient ever reaches it, which fails on several GPUs in early releases.
        parameter.requires_grad_(name not in constant)
    for name, module in built.named_modules():
        if isinstance(module, nn.Dropout):  # upstream has set it to `dropout=`
            cast("nn.Dropout", model.get_submodule(name)).p = module.p
    if _classes(model) != _classes(built):
        _change_classes(model, built)
    LOGGER.info("slim: the checkpoint is pruned; training goes on in its own architecture")
    return model


def is_pruned(model: nn.Module, built: nn.Module | None = None) -> bool:
    """Tell whether a model's shapes differ from what its own YAML builds.

    Args:
        model: A model of upstream's, with its `yaml`.
        built: The same YAML built already, if it was for the same number of classes.
    """
    if built is None or _classes(built) != _classes(model):
        yaml = getattr(model, "yaml", None)
        if not isinstance(yaml, dict):
            return False
        make: Any = type(model)
        with torch.random.fork_rng(devices=[]):  # training goes on with the same random numbers as upstream's
            built = make(deepcopy(yaml), nc=_classes(model), verbose=False)
    ours, theirs = _shapes(built), _shapes(model)
    if _is_fused(model, built):  # older releases do that to the very model that `predict` was called on
        return any(ours[name] != theirs[name] for name in ours.keys() & theirs.keys())
    return ours != theirs


def _is_fused(model: nn.Module, built: nn.Module) -> bool:
    """Tell whether BatchNorms are gone and the biases they became are there."""
    ours, theirs = _shapes(built).keys(), _shapes(model).keys()
    return any(name.endswith("running_mean") for name in ours - theirs) and bool(theirs - ours)


def _shapes(model: nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in model.state_dict().items() if "criterion" not in name}


def _same_but_classes(built: nn.Module, weights: nn.Module) -> bool:
    """Tell whether two models differ in nothing but outputs per class."""
    ours, theirs = _shapes(built), _shapes(weights)
    classes = (_classes(built), _classes(weights))
    return ours.keys() == theirs.keys() and all(
        a == b or (a[1:] == b[1:] and (a[0], b[0]) == classes) for a, b in ((ours[k], theirs[k]) for k in ours)
    )


def _head(model: nn.Module) -> nn.Module:
    layers = getattr(model, "model", None)
    return layers[-1] if isinstance(layers, nn.Sequential) else model


def _classes(model: nn.Module) -> int | None:
    """Return the number of classes of the head; the YAML's is shared between models and overwritten."""
    head = _head(model)
    linear = getattr(head, "linear", None)
    classes = linear.out_features if isinstance(linear, nn.Linear) else getattr(head, "nc", None)
    return classes if isinstance(classes, int) else None


def _change_classes(model: nn.Module, built: nn.Module) -> None:
    """Give a pruned model fresh outputs for the classes of the data set; everything else stays."""
    head: Any = _head(model)
    old, new = _classes(model), _classes(built)
    outputs = _class_outputs(head)
    if old is None or new is None or not outputs or any(_width(layer) != old for layer in outputs.values()):
        raise ArchitectureError(
            f"a pruned {type(head).__name__} head with {old} classes cannot be trained for {new}: "
            f"train the unpruned model for {new} classes, then prune it"
        )
    for path, layer in outputs.items():
        parent, _, name = path.rpartition(".")
        setattr(head.get_submodule(parent), name, _fresh(layer, new, _head(built).get_submodule(path)))
    head.nc = new
    if hasattr(head, "no"):
        head.no += new - old
    whole: Any = model
    whole.nc, whole.yaml = new, {**whole.yaml, "nc": new}
    LOGGER.info("slim: fresh outputs for %d classes on a pruned model of %d", new, old)


def _class_outputs(head: nn.Module) -> dict[str, nn.Module]:
    """Return the layers of a head that have one output a class, by path."""
    found = {}
    for path, module in head.named_modules():
        if isinstance(module, nn.Sequential) and CLASS_BRANCHES.fullmatch(path) and len(module):
            found[f"{path}.{len(module) - 1}"] = module[-1]
    linear = getattr(head, "linear", None)
    return {**found, "linear": linear} if isinstance(linear, nn.Linear) else found


def _width(layer: nn.Module) -> int | None:
    return layer.weight.shape[0] if isinstance(layer, (nn.Conv2d, nn.Linear)) else None


def _fresh(layer: Any, classes: int, like: Any) -> nn.Module:
    """Make a layer anew for so many classes; its bias starts where upstream starts it, which is low for scores."""
    if isinstance(layer, nn.Linear):
        fresh: Any = nn.Linear(layer.in_features, classes)
    else:
        fresh = nn.Conv2d(layer.in_channels, classes, layer.kernel_size, layer.stride, layer.padding)
        fresh.bias.data.copy_(like.bias.data)
    return cast("nn.Module", fresh)
