"""Silencing channels through BatchNorms: gamma to zero, and beta with it or not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..analysis.channels import Channels


def silence_channels(model: nn.Module, channels: Channels, lost: set[int], *, shift: bool) -> None:
    """Zero the gamma of dropped channels, and with `shift` the beta, in Parameters of the model's own.

    Args:
        model: A model at full width; what shares its weights, as a shadow's original, does not change.
        channels: Its channels.
        lost: The groups that are dropped.
        shift: Whether they say nothing at all, or still act(beta).
    """
    for name in channels.norms:
        gone = [index for index, group in enumerate(channels.outputs[name]) if group in lost]
        if gone:
            _zero(model.get_submodule(name), gone, shift=shift)


def silence_norms(model: nn.Module, names: Iterable[str], *, shift: bool) -> None:
    """Zero all of these BatchNorms, as `silence_channels`."""
    for name in names:
        norm = model.get_submodule(name)
        _zero(norm, range(len(norm.get_parameter("weight"))), shift=shift)


def silence_blocks(model: nn.Module, blocks: Iterable[str]) -> None:
    """Zero all BatchNorms within these blocks, as if the blocks were gone from what carries on without them."""
    for block in blocks:
        silence_norms(model, norms_within(model, block), shift=True)


def norms_within(model: nn.Module, block: str) -> dict[str, _BatchNorm]:
    """Return the BatchNorms within a block, "" for the whole model, by their names in the model."""
    norms = {}
    for name, module in model.get_submodule(block).named_modules(prefix=block):
        if isinstance(module, _BatchNorm):
            norms[name] = module
    return norms


def _zero(norm: nn.Module, gone: Iterable[int], *, shift: bool) -> None:
    for name in ("weight", "bias") if shift else ("weight",):
        old = norm.get_parameter(name)
        values = old.detach().index_fill(0, torch.tensor(list(gone), device=old.device), 0)
        setattr(norm, name, nn.Parameter(values, requires_grad=old.requires_grad))
