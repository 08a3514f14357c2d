"""Two copies of a model that must say the same: one whose dropped channels are silent, and one that lacks them.

With `seed`, both get the same new scales, shifts and statistics of all BatchNorms, and something in place of
parameters that are all zero: what an untrained model says is all but constant, and a sparse model says little.
"""

from __future__ import annotations

import random
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ..groups.blocks import remove_blocks
from ..groups.masking import silence_blocks, silence_channels
from ..passes.hearing import unheard
from ..passes.shadow import held, shadow, undisturbed
from ..rules.slicing import slice_model

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch.utils.hooks import RemovableHandle

    from ..analysis.channels import Channels
    from .walks import Drop

Drawn = dict["tuple[str, str]", Tensor]  # (module, parameter or statistic) -> what both copies have there

NEGATIVE = 0.2  # share of scales that are below zero
SPREAD = 1e-3  # least variance that is divided by, as a share of the squared mean: less would be rounding


def masked_twin(model: nn.Module, channels: Channels, drop: Drop, drawn: Drawn, *, exact: bool) -> nn.Module:
    """Return a copy at full width in which what is lost says nothing; if exact in float64. `drawn` gets what is new."""
    twin = shadow(model)
    if drop.seed is not None:
        redraw(twin, drop.seed, drawn)
    silence_channels(twin, channels, drop.lost, shift=True)
    silence_blocks(twin, drop.removed)
    return twin.double() if exact else twin


def sliced_twin(model: nn.Module, channels: Channels, drop: Drop, drawn: Drawn, *, exact: bool) -> nn.Module:
    """Return a copy without what is lost, with what the masked one has drawn and met; if exact in float64."""
    twin = shadow(model)
    modules = dict(twin.named_modules())
    for (name, own), value in drawn.items():
        setattr(modules[name], own, value)
    for name, *_ in channels.rescaled if exact else ():
        modules[name].double()  # the others are sliced first: it takes less memory
    slice_model(twin, channels, drop.lost)
    remove_blocks(twin, drop.removed)
    return twin.double() if exact else twin


def redraw(twin: nn.Module, seed: int, drawn: Drawn) -> None:
    """Give a copy scales and shifts of its own, and note them."""
    generator = torch.Generator().manual_seed(seed)

    def new(like: Tensor) -> Tensor:
        return torch.rand(like.shape, generator=generator).to(like)

    for name, module in twin.named_modules():
        for own, old in list(module._parameters.items()):  # noqa: SLF001 - faster than by its public name
            if old is None:
                continue
            if isinstance(module, _BatchNorm):
                sign = torch.where(new(old) < NEGATIVE, -1, 1)
                values = new(old) - 0.5 if own == "bias" else sign * (0.3 + new(old))
            elif bool(old.flatten()[:1].any()) or bool(old.any()):
                continue
            else:
                values = new(old) - 0.5
            drawn[name, own] = nn.Parameter(values, requires_grad=False)
            setattr(module, own, drawn[name, own])


@contextmanager
def measured(twin: nn.Module, drawn: Drawn) -> Iterator[None]:
    """Let each BatchNorm whose scales are drawn take the statistics of the first that it reads, and note them."""

    def measure(name: str, norm: _BatchNorm, arguments: tuple[Tensor, ...]) -> None:
        x = arguments[0]
        if (name, "running_mean") not in drawn and norm.running_mean is not None and x.ndim > 1:
            with unheard():
                variance, mean = torch.var_mean(x, [0, *range(2, x.ndim)], correction=0)
                variance = variance.maximum(SPREAD * mean.square()) + SPREAD**2
            norm.running_mean, norm.running_var = mean, variance
            drawn[name, "running_mean"], drawn[name, "running_var"] = mean, variance

    handles: list[RemovableHandle] = []
    for name, norm in twin.named_modules():
        if isinstance(norm, _BatchNorm) and (name, "weight") in drawn:
            handles.append(norm.register_forward_pre_hook(partial(measure, name)))
    with held(handles):
        yield


@contextmanager
def seeded(twin: nn.Module) -> Iterator[None]:
    """Compute as `undisturbed` does, and by the same chances each time."""
    before = random.getstate(), np.random.get_state()  # noqa: NPY002 - which code may use
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002
    try:
        with undisturbed(twin):
            torch.manual_seed(0)
            yield
    finally:
        random.setstate(before[0])
        np.random.set_state(before[1])  # noqa: NPY002
