"""Keep the architecture of a pruned checkpoint where upstream would rebuild the model from its YAML.

Both methods of the write-up (section 4) end here. A checkpoint is pruned when its shapes differ from what its own YAML
builds; any other goes upstream's way, so that changing the classes of an unpruned model works as ever.
"""

from __future__ import annotations

import logging
from copy import deepcopy
from typing import Any

from torch import nn

LOGGER = logging.getLogger(__name__.partition(".")[0])
CLASS_BRANCHES = ("cv3", "one2one_cv3")  # of upstream's Detect family; the last layer of each has one output a class


class ArchitectureError(ValueError):
    """A pruned model cannot be given other classes."""


def keep_architecture(built: nn.Module, weights: nn.Module | dict[str, Any] | None) -> nn.Module:
    """Return the model to train: the one that upstream built, or the checkpoint's own when it is pruned.

    Args:
        built: What upstream built from the YAML, with the weights that fit loaded.
        weights: The checkpoint's model (or the checkpoint), or None when there is none.

    Raises:
        ArchitectureError: The pruned model is of a kind whose number of classes cannot be changed.
    """
    if isinstance(weights, dict):
        weights = weights.get("ema") or weights.get("model")
    if not isinstance(weights, nn.Module) or _same_but_classes(built, weights) or not is_pruned(weights, built):
        return built
    model = deepcopy(weights).float().train()
    for attributes in (model.__dict__, model._modules):  # noqa: SLF001 - nn.Module offers no other way
        attributes.pop("criterion", None)  # it holds tensors of the last run's device
    for parameter in model.parameters():
        parameter.requires_grad_(True)  # stripped checkpoints are saved frozen (write-up, section 3)
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
        built = type(model)(deepcopy(yaml), nc=_classes(model), verbose=False)  # type: ignore[call-arg]
    return _shapes(model) != _shapes(built)


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
    """Give a pruned model fresh outputs for the classes of the data set; everything before them stays."""
    head, old, new = _head(model), _classes(model), _classes(built)
    layers = [branch for name in CLASS_BRANCHES for branch in getattr(head, name, None) or ()]
    if new is None or old is None or not (layers or isinstance(getattr(head, "linear", None), nn.Linear)):
        raise ArchitectureError(
            f"a pruned {type(head).__name__} head with {old} classes cannot be trained for {new}: "
            f"train the unpruned model for {new} classes, then prune it"
        )
    for branch in layers:
        last = branch[-1]
        branch[-1] = nn.Conv2d(last.in_channels, new, last.kernel_size, last.stride, last.padding)
    if isinstance(getattr(head, "linear", None), nn.Linear):
        head.linear = nn.Linear(head.linear.in_features, new)
    head.nc, model.nc = new, new  # type: ignore[assignment]
    if hasattr(head, "no"):
        head.no += new - old
    if hasattr(head, "bias_init") and layers:
        head.bias_init()
    model.yaml = {**model.yaml, "nc": new}  # type: ignore[dict-item]
    LOGGER.info("slim: fresh outputs for %d classes on a pruned model of %d", new, old)
