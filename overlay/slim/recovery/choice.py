"""What is done for a pruned model on the user's images, each way tried, and the best kept.

New statistics of BatchNorms, or new weights (`reconstruct`), or neither: which serves depends on the model and on how
much of it went. So each is measured on images that it has not seen, by what the dense model says of them.
"""

from __future__ import annotations

import math
from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor, nn

from ..calibration.calibrate import reestimate
from ..files.checkpoint import beyond_half
from ..models.confidence import weights_of
from ..passes.shadow import held, one_thread, shadow, undisturbed
from ..pruning.sensitivity import raw_outputs, said_by
from .reconstruct import TESTS, reconstruct

if TYPE_CHECKING:
    from ..analysis.channels import Channels
    from ..pruning.plan import Plan

Way = Literal["best", "weights", "statistics", "none"]
WAYS: tuple[Way, ...] = ("best", "weights", "statistics", "none")
AS_CUT, STATISTICS, WEIGHTS = "as cut", "statistics", "weights"
BATCH = 16  # images at a time


@dataclass(frozen=True)
class Recovered:
    """What was kept.

    Attributes:
        model: The model.
        way: How it was made.
        errors: Way -> how far its outputs are from the dense model's, as a share of how much these vary.
        notes: What there is to say.
    """

    model: nn.Module
    way: str
    errors: dict[str, float]
    notes: list[str]


def recover(
    dense: nn.Module, pruned: nn.Module, plan: Plan, channels: Channels, images: Tensor, way: Way = "best"
) -> Recovered:
    """Win back on images what pruning took; the models that are given stay as they are.

    Args:
        dense: The model that was pruned.
        pruned: The same after `apply_plan`.
        plan: What was kept.
        channels: Of the dense model.
        images: As the model is given them, (b, c, h, w).
        way: One of `WAYS`.
    """
    apart = torch.arange(len(images)) % TESTS == TESTS - 1
    shown, unseen = (images[~apart], images[apart]) if bool(apart.any()) else (images, images)
    made, notes = {AS_CUT: pruned}, []
    if way in {"best", "statistics"}:
        made[STATISTICS] = deepcopy(pruned)
        kept = reestimate(made[STATISTICS], torch.split(shown, BATCH))
        few = "are shown one value a channel and keep the statistics they have; give more images or a larger --imgsz"
        notes += [f"{len(kept)} BatchNorm layers, the first {kept[0]}, {few}"] if kept else []
    if way in {"best", "weights"} and len(shown) > 1:
        made[WEIGHTS] = deepcopy(pruned)
        reconstruct(dense, made[WEIGHTS], plan, channels, shown)
    errors: dict[str, float] = {}
    for name, model in made.items():
        errors[name] = math.inf if beyond_half(model) else output_error(dense, model, channels, unseen)
    best = min(errors, key=errors.__getitem__) if way == "best" else way if way in made else AS_CUT
    return Recovered(made[best], best, errors, notes)


def output_error(dense: nn.Module, pruned: nn.Module, channels: Channels, images: Tensor) -> float:
    """Return how far the raw outputs are from the dense model's, squared, as a share of their variance.

    They count as `confidence` has them.
    """
    names, wide, slim = raw_outputs(channels), shadow(dense), shadow(pruned)
    missed, spread = torch.zeros(2, dtype=torch.float64)
    for batch in torch.split(images, BATCH):
        with one_thread():
            theirs, ours = dict(said_by(wide, names, batch)), dict(said_by(slim, names, batch))
        for name, weight in weights_of(dense, theirs).items():
            mean = (weight * theirs[name]).sum() / weight.sum().clamp_min(1e-30)
            missed += (weight * (ours[name] - theirs[name]).square()).sum().double()
            spread += (weight * (theirs[name] - mean).square()).sum().double()
    error = float(missed / spread.clamp_min(1e-30))
    return error if math.isfinite(error) else math.inf


def most_images(model: nn.Module, image: Tensor, memory: int = 2 << 30) -> int:
    """Return how many images a model takes at once in so many bytes.

    Args:
        model: The model.
        image: One, (1, c, h, w).
        memory: For what the largest of its modules read and write.
    """
    twin, sizes = shadow(model), [image.numel()]

    def note(_: nn.Module, __: object, result: object) -> None:
        sizes.append(result.numel() if isinstance(result, Tensor) else 0)

    handles = [module.register_forward_hook(note) for module in twin.modules()]
    with held(handles), one_thread(), undisturbed(twin):
        twin(image.to(next(twin.parameters()).device))
    return max(2, memory // (4 * 4 * max(sizes)))  # float32; read, written, a copy, and what lies beside
