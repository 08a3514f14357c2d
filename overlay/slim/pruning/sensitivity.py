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
from torch.nn.modules.batchnorm import _BatchNorm

from ..models.confidence import weights_of
from ..passes.shadow import held, one_thread, shadow, train_branches, undisturbed
from .importance import Importance

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from torch.utils.hooks import RemovableHandle

    from ..analysis.channels import Channels

BATCH = 2  # images at a time: all that a pass computes is kept for the way back
DRAWS = 4  # of signs for each image; of one, two choices are 4 points of BCCD's mAP50-95 apart before fine-tuning
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
    widths = _norm_widths(twin, channels)
    squares: dict[str, Tensor] = {}
    with one_thread(), undisturbed(twin):
        for small in _in_parts(batches):
            changes = _changes(twin, channels, widths, small, chance)
            if not images and len(changes[0]) < len(widths):
                train_branches(twin)  # some heads have a branch for training alone
                changes = _changes(twin, channels, widths, small, chance)
            images += len(small)
            for drawn in changes:
                for name, change in drawn.items():
                    squares[name] = squares.get(name, 0.0) + change.square().sum(0) / DRAWS
    lost: dict[str, list[float]] = {}
    for name, width in widths.items():
        total = squares.get(name)
        if total is not None and not bool(total.isfinite().all()):
            raise ValueError("the model's outputs on these images are not finite: the training diverged")
        lost[name] = [math.inf] * width if total is None else (total / max(1, images)).sqrt().tolist()
    return lost


def _norm_widths(twin: nn.Module, channels: Channels) -> dict[str, int]:
    """Return how many channels each BatchNorm has that is still there."""
    modules, widths = dict(twin.named_modules()), {}
    for name in channels.norms:
        norm = modules.get(name)
        if isinstance(norm, _BatchNorm):
            widths[name] = norm.num_features
    return widths


def _in_parts(batches: Iterable[Tensor]) -> Iterator[Tensor]:
    for batch in batches:
        yield from torch.split(batch, BATCH)


def raw_outputs(channels: Channels) -> list[str]:
    """Name the layers whose outputs nobody may narrow and no BatchNorm follows: a head's last ones."""
    last = []
    for name, inputs in channels.inputs.items():
        if name not in channels.followed_by and not any(channels.prunable(name)) and any(inputs):
            last.append(name)
    return last


def said_by(model: nn.Module, names: Iterable[str], images: Tensor) -> list[tuple[str, Tensor]]:
    """Return what layers say in one pass of a model, call by call.

    Args:
        model: It is run as it is, on its own device.
        names: The layers.
        images: (b, c, h, w).
    """
    said: list[tuple[str, Tensor]] = []
    handles = []
    for name in names:
        layer = model.get_submodule(name)
        handles.append(layer.register_forward_hook(lambda *passed, name=name: said.append((name, passed[-1]))))
    with held(handles), undisturbed(model):
        model(images.to(next(model.parameters()).device))
    return said


def _changes(
    twin: nn.Module, channels: Channels, norms: Iterable[str], images: Tensor, chance: torch.Generator
) -> list[dict[str, Tensor]]:
    """Return for each draw by how much the signed sum of all outputs changes: BatchNorm -> (images, channels)."""
    drawn: list[dict[str, Tensor]] = []
    for gradients in signed_gradients(twin, channels, norms, images, chance, draws=DRAWS):
        changes: dict[str, Tensor] = {}
        for name, said, gradient in gradients:
            change = (said * gradient).reshape(*said.shape[:2], -1).sum(2).cpu()
            changes[name] = changes[name] + change if name in changes else change
        drawn.append(changes)
    return drawn


def signed_gradients(
    twin: nn.Module,
    channels: Channels,
    names: Iterable[str],
    images: Tensor,
    chance: torch.Generator,
    *,
    draws: int = 1,
) -> Iterator[list[tuple[str, Tensor, Tensor]]]:
    """Yield what layers say, and the gradient there of the sum of all raw outputs with random signs, weighted.

    Args:
        twin: A copy of the model.
        channels: The model's channels.
        names: The layers.
        images: (b, c, h, w).
        chance: Draws the signs.
        draws: How often.

    Raises:
        ValueError: There is no raw output.

    Yields:
        A draw's layers, what they say, the gradient; of each call that the outputs hang on, in the order of the pass.
    """
    said: list[tuple[str, Tensor]] = []
    outputs: dict[str, Tensor] = {}

    def listen(name: str, result: Tensor) -> Tensor:
        said.append((name, result))
        return result.clone()  # what follows may work in place

    def keep(name: str, result: Tensor) -> None:
        outputs[name] = result

    def told(name: str, do: Callable[[str, Tensor], Tensor | None]) -> RemovableHandle:
        return twin.get_submodule(name).register_forward_hook(lambda _, __, result: do(name, result))

    handles = [told(name, keep) for name in raw_outputs(channels)]
    handles += [told(name, listen) for name in names]
    with held(handles), torch.enable_grad():
        twin(images.to(next(twin.parameters()).device).requires_grad_())
    if not outputs:
        raise ValueError("the model has no last layer to look at: go by --importance gamma, with --recover none")
    weights, results = weights_of(twin, outputs), [result for _, result in said]
    for draw in range(1, draws + 1):
        with torch.enable_grad():
            signed = _signed_sum(outputs, weights, chance)
            gradients = torch.autograd.grad(signed, results, allow_unused=True, retain_graph=draw < draws)
        yield [(name, result.detach(), g) for (name, result), g in zip(said, gradients) if g is not None]


def _signed_sum(outputs: dict[str, Tensor], weights: dict[str, Tensor], chance: torch.Generator) -> Tensor:
    """Return the sum of all outputs with random signs, weighted."""
    sums = []
    for name, weight in weights.items():
        signs = torch.randint(0, 2, weight.shape, generator=chance).to(weight) * 2 - 1
        sums.append((signs * weight.sqrt() * outputs[name]).sum())
    return torch.stack(sums).sum()
