"""Folding: what a dropped channel still says when its gamma is zero goes into what follows it.

A channel with gamma = 0 says act(beta) everywhere, and pooling, resizing, joining and adding keep it constant. So does
the branch of a block that is removed. A layer that reads it adds a constant to each of its outputs, so the constant
moves to the layer's bias, or to the running mean of the BatchNorm behind it. The constants are not derived but
observed, on two copies of the model: in one the dropped gammas are zero, in the other the betas too, and blocks are
removed. What every layer reads is noted in the one; in the other it is compared, and then handed on in place of what
arrived, so that each layer answers for its own share alone. What is the same at every pixel of two random images is
constant.

Not exact are the borders of a convolution that pads with zeros, which count as interior, and a transposed
convolution, of whose taps the mean is taken. A channel that turns out not to be constant is not folded.
"""

from __future__ import annotations

from collections import defaultdict, deque
from itertools import chain
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvTransposeNd

from ..groups.blocks import keep_constants, pads_with_zeros, remove_blocks, within_any
from ..groups.masking import silence_channels, silence_norms
from ..passes.shadow import shadow, train_branches, undisturbed, whole_pass
from ..rules.slicing import is_depthwise
from .plan import some

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..analysis.channels import Channels

TOLERANCE = 1e-4  # relative spread that still counts as constant: float32 error of bilinear resizing is 1e-6
MAJORITY = 0.5  # the share of pixels that must agree; the others are a border that the model's code has padded
BORDER = "folded, but not exact at the border, which is padded"
MEAN = "folded as a mean over the kernel of a transposed convolution"
UNEVEN = "not folded where a dropped channel is not constant"
COMPUTED = "not folded where code mixes channels by itself"
NOTES = (BORDER, MEAN, UNEVEN, COMPUTED)


def fold_constants(model: nn.Module, channels: Channels, lost: set[int], removed: Mapping[str, list[str]]) -> list[str]:
    """Fold the constants of dropped channels and blocks into a model that is still at full width, in place.

    Args:
        model: The bare model.
        channels: Its channels.
        lost: The groups that will be dropped.
        removed: The blocks that will be removed, and the BatchNorms in them that lost everything.

    Returns:
        Notes, a line each: where folding is approximate, and what could not be folded.
    """
    found: defaultdict[str, list[str]] = defaultdict(list)
    for name, missing in _missing(model, channels, lost, removed).items():
        layer: Any = model.get_submodule(name)
        lacking = _of_staying(missing, channels.inputs[name], lost) if is_depthwise(layer) else missing
        if not any(map(torch.any, lacking)):
            continue
        values, share = _constants(lacking)
        _shift(model, channels, name, _effect(layer, values * (share >= MAJORITY)))
        if bool((share < MAJORITY).any()):
            found[UNEVEN].append(name)
        elif isinstance(layer, _ConvTransposeNd):
            found[MEAN].append(name)
        elif bool((share < 1).any()) or pads_with_zeros(layer):
            found[BORDER].append(name)
    for name, groups in channels.unfolded.items():
        if not lost.isdisjoint(groups):
            found[COMPUTED].append(name)
    return [f"{note}: {some(found[note])}" for note in NOTES if found[note]]


def _of_staying(calls: list[Tensor], groups: tuple[int, ...], lost: set[int]) -> list[Tensor]:
    """Return what a depthwise layer's inputs will lack, 0 where one goes: the output that alone reads it goes too."""
    gone = torch.tensor([group in lost for group in groups], device=calls[0].device)
    return [values.masked_fill(gone[:, None, None], 0) for values in calls]


def _constants(calls: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Return the value most pixels have, and the least share of pixels that have it in any image; shapes (channels,).

    Args:
        calls: Values in each call of a layer, shape (channels, images, pixels).
    """
    middle = calls[0][:, 0].median(1).values
    limit = TOLERANCE * middle.abs().clamp_min(1)
    shares = []
    for values in calls:
        near = (values - middle[:, None, None]).abs() <= limit[:, None, None]
        shares.append(near.float().mean(2))
    return middle, torch.cat(shares, 1).amin(1)


def _missing(
    model: nn.Module, channels: Channels, lost: set[int], removed: Mapping[str, list[str]]
) -> dict[str, list[Tensor]]:
    """Return for each call of each layer what its inputs will lack, shape (channels, images, pixels)."""
    speaking, silent = shadow(model), shadow(model)
    silence_channels(speaking, channels, lost, shift=False)
    silence_norms(speaking, chain.from_iterable(removed.values()), shift=False)
    keep_constants(speaking, removed)
    silence_channels(silent, channels, lost, shift=True)
    remove_blocks(silent, removed)
    heard: defaultdict[str, deque[Tensor]] = defaultdict(deque)
    missing: defaultdict[str, list[Tensor]] = defaultdict(list)

    def compare(name: str, layer: Any, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
        wanted = heard[name].popleft()
        dim = -1 if isinstance(layer, nn.Linear) else wanted.ndim - layer.weight.ndim + 1
        lacking = (wanted - arguments[0]).movedim(dim, 0)
        missing[name].append(lacking.reshape(*lacking.shape[:2], -1))
        return (wanted, *arguments[1:])

    readers = [name for name in channels.inputs if not within_any(name, removed)]
    for name in readers:
        # Copied, for an activation may work in place on what a layer was given.
        speaking.get_submodule(name).register_forward_pre_hook(
            lambda _, args, name=name: heard[name].append(args[0].clone())
        )
        silent.get_submodule(name).register_forward_pre_hook(lambda layer, args, name=name: compare(name, layer, args))
    noise = torch.rand((2, *channels.example[1:]), generator=torch.Generator().manual_seed(0))
    noise[0] *= 0.2  # two images of other means, or a gate that looks at the whole image would seem constant
    with undisturbed(silent):
        noise = noise.to(next(silent.parameters()).device)
        for twin in (speaking, silent):
            whole_pass(twin, noise)
        if len(missing) < len(readers):
            for twin in (speaking, silent):
                train_branches(twin)
                whole_pass(twin, noise)
    return missing


def _effect(layer: Any, constants: Tensor) -> Tensor:
    """Return what constant inputs, shape (in,), add to each output, shape (out,), in float32."""
    weight = layer.weight.detach().float()
    groups = getattr(layer, "groups", 1)  # a Linear has none
    taps = weight.flatten(2).sum(2) if weight.ndim > 2 else weight  # noqa: PLR2004 - a Linear has no kernel
    blocks = taps.view(groups, -1, taps.shape[1])
    if isinstance(layer, _ConvTransposeNd):  # (in, out / groups): each output meets one tap in stride ** dims
        blocks = blocks.transpose(1, 2) / float(torch.tensor(layer.stride).prod())
    effect: Tensor = (blocks @ constants.view(groups, -1, 1)).flatten()
    return effect


def _shift(model: nn.Module, channels: Channels, name: str, effect: Tensor) -> None:
    """Add a constant to the output of a layer: its bias, else the BatchNorm's mean, else a new bias."""
    layer: Any = model.get_submodule(name)
    norm: Any = model.get_submodule(channels.followed_by[name]) if name in channels.followed_by else None
    with torch.no_grad():
        if layer.bias is not None:
            layer.bias = nn.Parameter(layer.bias + effect.to(layer.bias), requires_grad=layer.bias.requires_grad)
        elif norm is None:
            layer.bias = nn.Parameter(effect.to(layer.weight), requires_grad=layer.weight.requires_grad)
        elif norm.running_mean is not None:  # statistics of the batch take a constant away by themselves
            norm.running_mean = norm.running_mean - effect.to(norm.running_mean)
