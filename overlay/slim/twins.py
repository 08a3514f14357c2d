"""Two copies of a model that must say the same: one whose dropped channels are silent, and one that lacks them.

With `seed`, both get the same new scales, shifts and statistics of all BatchNorms, and something in place of
parameters that are all zero: what an untrained model says is all but constant, and a sparse model says little.
"""

from __future__ import annotations

import random
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from .blocks import remove_blocks
from .hearing import unheard
from .masking import silence_blocks, silence_channels
from .shadow import shadow, undisturbed
from .slicing import slice_model

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .channels import Channels
    from .walks import Drop

Statistics = dict[str, "tuple[Tensor, Tensor]"]  # BatchNorm -> mean and variance of what it reads

NEGATIVE = 0.2  # share of scales that are below zero
SPREAD = 1e-3  # least variance that is divided by, as a share of the squared mean: less would be rounding


def masked_twin(model: nn.Module, channels: Channels, drop: Drop, *, exact: bool) -> nn.Module:
    """Return a copy at full width in which the lost groups and removed blocks say nothing; if exact in float64."""
    twin = shadow(model)
    if drop.seed is not None:
        redraw(twin, drop.seed)
    silence_channels(twin, channels, drop.lost, shift=True)
    silence_blocks(twin, drop.removed)
    return twin.double() if exact else twin


def sliced_twin(model: nn.Module, channels: Channels, drop: Drop, statistics: Statistics, *, exact: bool) -> nn.Module:
    """Return a copy without what is lost, with statistics as the masked one has met them; if exact in float64."""
    twin = shadow(model)
    if drop.seed is not None:
        redraw(twin, drop.seed)
    for name, found in statistics.items():
        norm: Any = twin.get_submodule(name)
        norm.running_mean, norm.running_var = found
    for name, *_ in channels.rescaled if exact else ():
        twin.get_submodule(name).double()  # the others are sliced first: it takes less memory
    slice_model(twin, channels, drop.lost)
    remove_blocks(twin, drop.removed)
    return twin.double() if exact else twin


def redraw(twin: nn.Module, seed: int) -> None:
    """Give a copy scales and shifts of its own."""
    generator = torch.Generator().manual_seed(seed)

    def drawn(like: Tensor) -> Tensor:
        return torch.rand(like.shape, generator=generator).to(like)

    for module in twin.modules():
        for name, old in list(module._parameters.items()):  # noqa: SLF001 - faster than by its public name
            if old is None:
                continue
            if isinstance(module, _BatchNorm):
                sign = torch.where(drawn(old) < NEGATIVE, -1, 1)
                values = drawn(old) - 0.5 if name == "bias" else sign * (0.3 + drawn(old))
            elif bool(old.flatten()[:1].any()) or bool(old.any()):
                continue
            else:
                values = drawn(old) - 0.5
            setattr(module, name, nn.Parameter(values, requires_grad=False))


@contextmanager
def measured(twin: nn.Module, seed: int | None, found: Statistics) -> Iterator[None]:
    """Let each BatchNorm take the statistics of the first that it reads, and note them; with its own there is no need.

    Args:
        twin: A masked copy.
        seed: None if it has its own.
        found: Where to note them.
    """

    def measure(name: str, norm: Any, x: Tensor) -> None:
        if name not in found and norm.running_mean is not None and x.ndim > 1:
            with unheard():
                dims = [dim for dim in range(x.ndim) if dim != 1]
                mean, variance = x.mean(dims), x.var(dims, unbiased=False)
                found[name] = mean, variance.maximum(SPREAD * mean.square()) + SPREAD**2
            norm.running_mean, norm.running_var = found[name]

    handles = [
        norm.register_forward_pre_hook(lambda m, args, name=name: measure(name, m, args[0]))
        for name, norm in twin.named_modules()
        if isinstance(norm, _BatchNorm) and seed is not None
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


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
