"""Importance by images: how much the model's raw outputs change where a channel falls silent, without labels.

To first order a channel of a BatchNorm that says y changes an output z by t = Σ y·∂z/∂y over its places, which is
γ·∂z/∂γ + β·∂z/∂β. Summed over all outputs, t² is what Molchanov et al. ("Importance Estimation for Neural Network
Pruning", CVPR 2019, arXiv:1906.10771) have of the loss; here it is of the outputs (the Gauss-Newton or Fisher term of
Theis et al., arXiv:1801.05787), so that any task will do and nobody need have labelled anything. The sum over outputs
is had from one backward pass of the outputs with random signs, whose square has that mean (Hutchinson, 1989).
Outputs count as `confidence` has them: most places of a detector's maps show nothing.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from ..models.confidence import weights_of
from ..passes.shadow import held, one_thread, shadow, train_branches, undisturbed
from .importance import Importance

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..analysis.channels import Channels

BATCH = 4  # images at a time: all that a pass computes is kept for the way back
WHAT = "what the outputs lose on the user's images"


def by_images(model: nn.Module, channels: Channels, batches: Iterable[Tensor]) -> Importance:
    """Measure the importance of a model's channels on images.

    Args:
        model: The bare model that `channels` was made from; it is only copied.
        channels: Its channels.
        batches: Images as the model is given them, (b, c, h, w) each.

    Returns:
        Group -> root of the mean over images of t², summed over its BatchNorms; infinite where no pass comes.

    Raises:
        ValueError: If no channel can be pruned, or the outputs are not finite.
    """
    return joined(model, channels, losses(model, channels, batches))


def joined(model: nn.Module, channels: Channels, norms: dict[str, list[float]]) -> Importance:
    """Join what the outputs lose without each channel of a BatchNorm into the importance of groups."""
    return Importance.made(model, channels, norms, lambda own: math.sqrt(sum(x * x for x in own)), WHAT)


def losses(model: nn.Module, channels: Channels, batches: Iterable[Tensor]) -> dict[str, list[float]]:
    """Return what the outputs lose without each channel of a BatchNorm.

    Args:
        model: As for `by_images`, or the same after pruning; its BatchNorms may then be narrower, or gone.
        channels: As there.
        batches: As there.

    Raises:
        ValueError: The outputs are not finite.
    """
    twin, chance, images = shadow(model), torch.Generator().manual_seed(0), 0
    widths = {name: len(module.weight) for name, module in twin.named_modules() if name in set(channels.norms)}
    squares: dict[str, Tensor] = {}
    with one_thread(), undisturbed(twin):
        for small in (part for batch in batches for part in torch.split(batch, BATCH)):
            changes = _changes(twin, channels, small, chance)
            if not images and len(changes) < len(widths):
                train_branches(twin)  # some heads have a branch for training alone
                changes = _changes(twin, channels, small, chance)
            images += len(small)
            for name, change in changes.items():
                squares[name] = squares.get(name, 0.0) + change.square().sum(0)
    if not all(bool(total.isfinite().all()) for total in squares.values()):
        raise ValueError("the model's outputs on these images are not finite: the training diverged")
    lost = {name: (total / max(1, images)).sqrt().tolist() for name, total in squares.items()}
    return {name: lost.get(name, [math.inf] * width) for name, width in widths.items()}


def raw_outputs(channels: Channels) -> list[str]:
    """Name the layers whose outputs nobody may narrow and no BatchNorm follows: a head's last ones."""
    return [
        name
        for name, inputs in channels.inputs.items()
        if name not in channels.followed_by and not any(channels.prunable(name)) and any(inputs)
    ]


def _changes(twin: nn.Module, channels: Channels, images: Tensor, chance: torch.Generator) -> dict[str, Tensor]:
    """Return by how much the signed sum of all outputs of each image changes, BatchNorm -> (images, channels)."""
    changes: dict[str, Tensor] = {}
    for name, said, gradient in signed_gradients(twin, channels, _there(twin, channels.norms), images, chance):
        change = (said * gradient).reshape(*said.shape[:2], -1).sum(2).cpu()
        changes[name] = changes[name] + change if name in changes else change
    return changes


def _there(twin: nn.Module, names: Iterable[str]) -> list[str]:
    modules = dict(twin.named_modules())
    return [name for name in names if name in modules]


def signed_gradients(
    twin: nn.Module, channels: Channels, names: Iterable[str], images: Tensor, chance: torch.Generator
) -> list[tuple[str, Tensor, Tensor]]:
    """Return what layers say, and the gradient there of the sum of all raw outputs with random signs, weighted.

    Args:
        twin: A copy of the model.
        channels: The model's channels.
        names: The layers.
        images: (b, c, h, w).
        chance: Draws the signs.

    Returns:
        Layer, what it says, the gradient; of each call that the outputs hang on, in the order of the pass.
    """
    said: list[tuple[str, Tensor]] = []
    outputs: dict[str, Tensor] = {}

    def listen(name: str, result: Tensor) -> Tensor:
        said.append((name, result))
        return result.clone()  # what follows may work in place

    def keep(name: str, result: Tensor) -> None:
        outputs[name] = result

    handles = [
        twin.get_submodule(name).register_forward_hook(lambda _, __, result, name=name, do=do: do(name, result))
        for do, those in ((keep, raw_outputs(channels)), (listen, names))
        for name in those
    ]
    with held(handles), torch.enable_grad():
        twin(images.to(next(twin.parameters()).device).requires_grad_())
        signed = torch.zeros(())
        for name, weights in weights_of(twin, outputs).items():
            signs = torch.randint(0, 2, weights.shape, generator=chance).to(weights) * 2 - 1
            signed = signed + (signs * weights.sqrt() * outputs[name]).sum()
        gradients = torch.autograd.grad(signed, [result for _, result in said], allow_unused=True)
    return [(name, result.detach(), g) for (name, result), g in zip(said, gradients) if g is not None]
