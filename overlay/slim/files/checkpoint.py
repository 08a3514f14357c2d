"""Write a checkpoint that stock upstream of the same release loads: stock classes and plain data only."""

from __future__ import annotations

import hashlib
import io
from copy import deepcopy
from typing import TYPE_CHECKING, Any

import torch

from ..models.class_outputs import forget_grids
from ..models.rounds import remember, rounds_of
from ..models.sign import put_sign
from ..writing.whole_files import whole
from .pickles import holds_string

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn

    from ..pruning.plan import Plan

    Checkpoint = dict[str, Any]  # what `torch.load` gives of one, whatever upstream has put there

# State of the run that the checkpoint came from; it does not fit the pruned shapes. As upstream strips it.
STALE = ("optimizer", "best_fitness", "ema", "updates", "scaler", "stopper", "modelopt")
MARK = "slim_prune"  # the key by which a checkpoint is known as one that a run of prune.py wrote, and not a training
STALE_V5 = ("training_results", "wandb_id")  # of YOLOv5 before v7.0, where they are there


def save_checkpoint(
    path: Path, model: nn.Module, checkpoint: Checkpoint, plan: Plan | None = None, *, trainable: bool = False
) -> None:
    """Write a model as a stripped checkpoint, in half precision as upstream does, whole or not at all.

    Args:
        path: Where to.
        model: The model, in float; it is left as it is.
        checkpoint: What it was loaded from; its training arguments and metadata go along.
        plan: What was pruned; it rides along as plain data, as `slim` on the model, with the plans of earlier rounds
            under `before`, the first one first.
        trainable: Whether its parameters ask for gradients; those that upstream strips do not.

    Raises:
        ValueError: A number is beyond half precision, and would be infinite in the file.
    """
    lost = beyond_half(model)
    if lost:
        raise ValueError(f"{lost[0]} has numbers beyond 65504, which a checkpoint in half precision cannot hold")
    half = deepcopy(model).half()
    for attributes in (vars(half), half._modules):  # noqa: SLF001 - RT-DETR's criterion is a module
        attributes.pop("criterion", None)
    forget_grids(half)
    if plan is not None and rounds_of(half)[-1:] != [plan.to_dict()]:  # one that `apply_plan` has applied is there
        remember(half, plan)
    put_sign(half)
    if "args" in vars(half):
        vars(half)["args"] = dict(vars(half)["args"])
    for parameter in half.parameters():
        parameter.requires_grad = trainable
    stale = dict.fromkeys((*STALE, *(key for key in STALE_V5 if key in checkpoint)))
    own = {} if plan is None else {MARK: _mark(plan.to_json().encode())}
    write_atomically(path, {**checkpoint, **stale, **own, "model": half, "epoch": -1})


def beyond_half(model: nn.Module) -> list[str]:
    """Name the parameters and buffers that have finite numbers which half precision cannot hold."""
    most = torch.finfo(torch.half).max
    named = [*model.named_parameters(), *model.named_buffers()]
    return [name for name, tensor in named if bool((tensor.isfinite() & (tensor.abs() > most)).any())]


def _mark(plan_json: bytes) -> str:
    return f"plan sha256 {hashlib.sha256(plan_json).hexdigest()}"


def is_ours(path: Path) -> bool:
    """Tell whether a file is a checkpoint that a run of prune.py wrote; one that was trained since is not."""
    return holds_string(path, MARK)


def holds_plan(path: Path, plan_json: bytes) -> bool:
    """Tell whether a checkpoint was written together with this very plan."""
    return holds_string(path, _mark(plan_json))


def write_atomically(path: Path, value: object) -> None:
    """Save with torch, whole or not at all.

    Raises:
        OSError: It cannot be written; names the file.
    """
    bytes_ = io.BytesIO()  # torch's own writer says neither which file it was nor that the disk is full
    torch.save(value, bytes_)
    with whole(path) as part:
        part.write_bytes(bytes_.getbuffer())
