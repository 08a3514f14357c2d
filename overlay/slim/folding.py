"""Folding: what a dropped channel still says when its gamma is zero goes into what follows it.

A channel with gamma = 0 says act(beta) everywhere, and pooling, resizing, joining and adding keep it constant. A
layer that reads it adds a constant to each of its outputs, so the constant moves to the layer's bias, or to the
running mean of the BatchNorm behind it. The constants are not derived but observed, on a copy of the model whose
dropped gammas are zero: what is the same at every pixel of two random images is constant.

Not exact are the borders of a convolution that pads with zeros, which count as interior, and a transposed
convolution, of whose taps the mean is taken. A channel that turns out not to be constant is not folded.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from .plan import some
from .shadow import passes, shadow, train_branches, undisturbed

if TYPE_CHECKING:
    from .channels import Channels

TOLERANCE = 1e-4  # relative spread that still counts as constant: float32 error of bilinear resizing is 1e-6
MAJORITY = 0.5  # the share of pixels that must agree; the others are a border that the model's code has padded
BORDER = "folded, but not exact at the border, which is padded"
MEAN = "folded as a mean over the kernel of a transposed convolution"
UNEVEN = "not folded where a dropped channel is not constant"
NOTES = (BORDER, MEAN, UNEVEN)


def fold_constants(model: nn.Module, channels: Channels, lost: set[int]) -> list[str]:
    """Fold the constants of dropped channels into a model that is still at full width, in place.

    Args:
        model: The bare model.
        channels: Its channels.
        lost: The groups that will be dropped.

    Returns:
        Notes, a line each: where folding is approximate, and what could not be folded.
    """
    readers = {name: [i for i, g in enumerate(groups) if g in lost] for name, groups in channels.inputs.items()}
    readers = {name: gone for name, gone in readers.items() if gone and not _depthwise(model.get_submodule(name))}
    found: dict[str, list[str]] = {note: [] for note in NOTES}
    for name, seen in _observe(model, channels, lost, readers).items():
        layer: Any = model.get_submodule(name)
        values, share = _constants(seen)
        _shift(model, channels, name, _effect(layer, readers[name], values * (share >= MAJORITY)))
        if bool((share < MAJORITY).any()):
            found[UNEVEN].append(name)
        elif isinstance(layer, _ConvTransposeNd):
            found[MEAN].append(name)
        elif bool((share < 1).any()) or _pads_with_zeros(layer):
            found[BORDER].append(name)
    return [f"{note}: {some(names)}" for note, names in found.items() if names]


def _constants(calls: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Return the value most pixels have, and the least share of pixels that have it in any image; shapes (dropped,).

    Args:
        calls: Values in each call of a layer, shape (dropped, images, pixels).
    """
    middle = calls[0][:, 0].median(1).values
    limit = TOLERANCE * middle.abs().clamp_min(1)
    shares = [((values - middle[:, None, None]).abs() <= limit[:, None, None]).float().mean(2) for values in calls]
    return middle, torch.cat(shares, 1).amin(1)


def _observe(
    model: nn.Module, channels: Channels, lost: set[int], readers: dict[str, list[int]]
) -> dict[str, list[Tensor]]:
    """Return for each call of each reader the values of its dropped inputs, shape (dropped, images, pixels)."""
    twin = shadow(model)
    for name in channels.norms:
        norm: Any = twin.get_submodule(name)
        gone = [index for index, group in enumerate(channels.outputs[name]) if group in lost]
        if gone:
            norm.weight = nn.Parameter(norm.weight.index_fill(0, torch.tensor(gone, device=norm.weight.device), 0))
    seen: defaultdict[str, list[Tensor]] = defaultdict(list)

    def note(name: str, layer: Any, x: Tensor) -> None:
        dim = -1 if isinstance(layer, nn.Linear) else x.ndim - layer.weight.ndim + 1
        values = x.movedim(dim, 0)[readers[name]]
        seen[name].append(values.reshape(*values.shape[:2], -1))

    for name in readers:
        twin.get_submodule(name).register_forward_pre_hook(lambda layer, args, name=name: note(name, layer, args[0]))
    noise = torch.rand((2, *channels.example[1:]), generator=torch.Generator().manual_seed(0))
    noise[0] *= 0.2  # two images of other means, or a gate that looks at the whole image would seem constant
    with undisturbed(twin):
        noise = noise.to(next(twin.parameters()).device)
        list(passes(twin, noise))
        if len(seen) < len(readers):
            train_branches(twin)
            list(passes(twin, noise))
    return seen


def _effect(layer: Any, gone: list[int], values: Tensor) -> Tensor:
    """Return what constant inputs add to each output, shape (out,), in float32."""
    weight = layer.weight.detach().float()
    width, groups = (weight.shape[1], 1) if isinstance(layer, nn.Linear) else (layer.in_channels, layer.groups)
    constants = values.new_zeros(width).index_copy(0, torch.tensor(gone, device=values.device), values)
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
            layer.bias += effect.to(layer.bias)
        elif norm is None:
            layer.bias = nn.Parameter(effect.to(layer.weight), requires_grad=layer.weight.requires_grad)
        elif norm.running_mean is not None:  # statistics of the batch take a constant away by themselves
            norm.running_mean -= effect.to(norm.running_mean)


def _depthwise(layer: nn.Module) -> bool:
    """Whether each output reads one input, and so goes with it."""
    return isinstance(layer, _ConvNd) and not isinstance(layer, _ConvTransposeNd) and layer.groups == layer.in_channels


def _pads_with_zeros(layer: Any) -> bool:
    padding = getattr(layer, "_reversed_padding_repeated_twice", ())  # also right where `padding` is a word
    return any(padding) and layer.padding_mode == "zeros"
