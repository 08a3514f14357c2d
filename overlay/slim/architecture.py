"""Keep the architecture of a pruned checkpoint where upstream would rebuild the model from its YAML.

Both methods of the first write-up (section 4) end here, and YOLOv5's train scripts. What is not pruned goes upstream's
way untouched, so that changing the classes, keypoints or images of an unpruned model works as ever, and so does
starting another architecture from its weights.
"""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, cast

from torch import nn

from .models.class_outputs import ArchitectureError, anchors_of, modernise, network_of, take_anchors
from .models.pruned import is_pruned, shapes_of
from .models.rebuilding import STRUCTURE, as_made
from .models.refitting import refit
from .models.sign import put_sign
from .writing.log import log_info, warn

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ArchitectureError", "is_pruned", "keep_architecture"]


def keep_architecture(built: nn.Module, weights: nn.Module | Mapping[str, object] | None) -> nn.Module:
    """Return the model to train: the one that upstream built, or the checkpoint's own when it is pruned.

    Args:
        built: What upstream built from the YAML, with or without the weights that fit.
        weights: The checkpoint's model (or the checkpoint), or None when there is none.

    Returns:
        `built` itself, or a copy of the checkpoint's model for the data set of `built`: float32, in training mode, on
        the device of `built`.

    Raises:
        ArchitectureError: The pruned model cannot be made for this data set, is to have another number of anchors, or
            prediction has folded its BatchNorms away.
    """
    weights = network_of(weights)
    if weights is None or not is_pruned(weights, built):
        return built
    if _structure(built) != _structure(weights):
        warn("slim: the checkpoint is a pruned model of another architecture than the YAML's, so it is not kept")
        return built
    made = as_made(weights)
    if made is not None and _is_fused(weights, made):
        raise ArchitectureError(
            "`val` or `predict` has folded this pruned model's BatchNorms: load its .pt anew to train"
        )
    old, new = anchors_of(weights), anchors_of(built)
    if old != new:
        raise ArchitectureError(
            f"a pruned model with {old[1]} anchors a level cannot be trained with {new[1]}: "
            "leave `anchors` in the hyp file as it was, or train the unpruned model with others, then prune it"
        )
    model = deepcopy(weights).float().train()
    modernise(model, built)
    refit(model, weights, made, built)
    _dress(model.to(next(built.parameters()).device), built)
    put_sign(model)  # building has taken it off the YAML, which models share
    log_info("slim: the checkpoint is pruned; training goes on in its own architecture")
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


def _structure(model: nn.Module) -> list[object]:
    yaml = getattr(model, "yaml", None)
    return list(map(yaml.get, STRUCTURE)) if isinstance(yaml, dict) else []


def _is_fused(model: nn.Module, made: nn.Module) -> bool:
    """Tell whether BatchNorms are gone whose convolutions are there, with the biases they became; not whole blocks."""
    ours, theirs = shapes_of(made).keys(), shapes_of(model).keys()
    around: set[str] = set()  # the blocks of the BatchNorms that are gone
    for name in ours - theirs:
        if name.endswith(".running_mean"):
            around.add(name.rsplit(".", 2)[0] + ".")
    return bool(theirs - ours) and any(name.startswith(tuple(around)) for name in theirs)
