"""Slicing: the weights of a layer, its statistics, and the numbers that describe them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from ..labels.sizes import set_size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..analysis.channels import Channels


def slice_model(model: nn.Module, channels: Channels, lost: set[int]) -> None:
    """Take groups of channels out of a model, in place, and update the attributes that hold a part's size."""
    for name, indices, width, power in channels.rescaled:
        row = channels.counted[width]
        kept = len(kept_places(row, lost))
        if kept < len(row):
            _rescale(model.get_submodule(name), indices, (len(row) / kept) ** power)
    for name, groups in channels.outputs.items():
        entering = kept_places(channels.inputs[name], lost) if name in channels.inputs else None
        slice_layer(model.get_submodule(name), kept_places(groups, lost), entering)
    for name, sides in channels.tensors.items():
        owner, _, own = name.rpartition(".")
        _slice_tensor(model.get_submodule(owner), own, {dim: kept_places(groups, lost) for dim, groups in sides})
    for held, part in channels.attributes.items():
        set_size(model.get_submodule(held.module), held.attribute, len(kept_places(part, lost)))


def slice_layer(layer: nn.Module, leaving: Sequence[int], entering: Sequence[int] | None = None) -> None:
    """Keep these output and input channels of a layer, in place; a layer that keeps all is left alone.

    Args:
        layer: A convolution of any kind, BatchNorm, or Linear.
        leaving: Kept output channels.
        entering: Kept input channels; None for a BatchNorm.
    """
    if isinstance(layer, _BatchNorm):
        if len(leaving) < layer.num_features:
            _slice_norm(layer, leaving)
    elif isinstance(layer, nn.Linear) and entering is not None:
        if (len(leaving), len(entering)) != (layer.out_features, layer.in_features):
            _replace(layer, "weight", _taken(layer.weight, leaving, entering))
            _slice_bias(layer, leaving)
            layer.out_features, layer.in_features = len(leaving), len(entering)
    elif (
        isinstance(layer, _ConvNd)
        and entering is not None
        and (len(leaving), len(entering)) != (layer.out_channels, layer.in_channels)
    ):
        _slice_convolution(layer, leaving, entering)


def is_depthwise(layer: nn.Module) -> bool:
    """Whether each output of a layer reads one input of several, and so goes with it."""
    if not isinstance(layer, _ConvNd) or isinstance(layer, _ConvTransposeNd):
        return False
    return layer.groups == layer.in_channels > 1


def kept_places(groups: Sequence[int], lost: set[int]) -> list[int]:
    """Return at which places of a row are groups that stay."""
    return [index for index, group in enumerate(groups) if group not in lost]


def _slice_tensor(module: nn.Module, name: str, kept: dict[int, list[int]]) -> None:
    """Keep some places along some dimensions of a Parameter or buffer."""
    old: Tensor = getattr(module, name)
    taken = old.detach()
    for dim, places in kept.items():
        if len(places) < taken.shape[dim]:
            taken = taken.index_select(dim, torch.tensor(places, device=old.device))
    if taken.shape != old.shape:
        if isinstance(old, nn.Parameter):
            _replace(module, name, taken)
        else:
            setattr(module, name, taken)


def _rescale(layer: nn.Module, indices: Sequence[int], factor: float) -> None:
    """Make up for a factor that code computes from a width: multiply outputs of a BatchNorm, or inputs of a layer."""
    if isinstance(layer, _BatchNorm):
        factors = torch.ones(layer.num_features).to(layer.weight)
        factors[list(indices)] = factor
        _replace(layer, "bias", layer.bias.detach() * factors)
        _replace(layer, "weight", layer.weight.detach() * factors)
    elif isinstance(layer, (_ConvNd, nn.Linear)):
        factors = torch.ones(layer.in_features if isinstance(layer, nn.Linear) else layer.in_channels).to(layer.weight)
        factors[list(indices)] = factor
        _replace(layer, "weight", layer.weight.detach() * _by_input(layer, factors))


def _by_input(layer: _ConvNd | nn.Linear, factors: Tensor) -> Tensor:
    """Give a factor for each input, shape (in,), dimensions in which a layer's weight can be multiplied by it."""
    kernel = [1] * (layer.weight.ndim - 2)
    if isinstance(layer, _ConvTransposeNd):  # (in, out / groups, *kernel)
        return factors.view(-1, 1, *kernel)
    groups = layer.groups if isinstance(layer, _ConvNd) else 1  # (out, in / groups, *kernel)
    rows = factors.view(groups, 1, -1).expand(-1, len(layer.weight) // groups, -1).flatten(0, 1)
    return rows.view(*rows.shape, *kernel)


def _slice_norm(layer: _BatchNorm, leaving: Sequence[int]) -> None:
    kept: Tensor | None = None
    for name in ("weight", "bias", "running_mean", "running_var"):
        tensor = getattr(layer, name)
        if tensor is None:
            continue
        kept = torch.tensor(leaving, device=tensor.device) if kept is None else kept
        taken = tensor.detach().index_select(0, kept)
        if isinstance(tensor, nn.Parameter):
            _replace(layer, name, taken)
        else:
            setattr(layer, name, taken)
    layer.num_features = len(leaving)


def _slice_convolution(layer: _ConvNd, leaving: Sequence[int], entering: Sequence[int]) -> None:
    if is_depthwise(layer):
        weight, groups = layer.weight[leaving], len(entering)
    else:
        weight, groups = _grouped(layer, leaving, entering), layer.groups
    _replace(layer, "weight", weight)
    _slice_bias(layer, leaving)
    layer.in_channels, layer.out_channels, layer.groups = len(entering), len(leaving), groups


def _grouped(layer: _ConvNd, leaving: Sequence[int], entering: Sequence[int]) -> Tensor:
    """Slice each group by its own channels: (out, in / groups, *kernel), or (in, out / groups, *kernel) transposed."""
    rows, columns = leaving, entering
    height, width = layer.out_channels // layer.groups, layer.in_channels // layer.groups  # of a group
    if isinstance(layer, _ConvTransposeNd):
        rows, columns, height, width = columns, rows, width, height
    if layer.groups == 1:
        return _taken(layer.weight, rows, columns)
    blocks = []
    for group, block in enumerate(layer.weight.chunk(layer.groups)):
        blocks.append(block[_of_group(rows, group, height)][:, _of_group(columns, group, width)])
    return torch.cat(blocks)


def _of_group(kept: Sequence[int], group: int, size: int) -> list[int]:
    """Return which channels of one group of a size are kept, counted from its first."""
    start = group * size
    return [index - start for index in kept if start <= index < start + size]


def _taken(weight: Tensor, rows: Sequence[int], columns: Sequence[int]) -> Tensor:
    """Return a copy of some rows and columns, made in as few steps as there are to take."""
    taken = weight.detach()
    for dim, kept in enumerate((rows, columns)):
        if len(kept) < taken.shape[dim]:
            taken = taken.index_select(dim, torch.tensor(kept, device=weight.device))
    return taken


def _slice_bias(layer: _ConvNd | nn.Linear, leaving: Sequence[int]) -> None:
    if layer.bias is not None:
        _replace(layer, "bias", layer.bias[leaving])


def _replace(layer: nn.Module, name: str, value: Tensor) -> None:
    """Put a tensor that is nobody else's in the place of a parameter."""
    old = getattr(layer, name)
    setattr(layer, name, nn.Parameter(value.detach(), requires_grad=old.requires_grad))
