"""Whole blocks that can go: what a residual path carries on without.

A block x + branch(x) whose branch says the same everywhere, since a BatchNorm in it lost all its scales, is the
identity but for a constant, which `folding` moves on. Which blocks are so is not read off their classes but observed,
on a copy of the model whose fallen BatchNorms are zero. In its place comes `nn.Identity`, which every upstream loads,
and which a `ModuleList` that is walked through (C2f) or a `Sequential` (C3) runs as it ran the block. Whether it serves
there is tried (`serving`), for other parents may know their blocks better; else the block stays, at its least.
"""

from __future__ import annotations

from collections import defaultdict
from itertools import accumulate, chain
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from ..labels.tracked import LAYERS
from ..passes.shadow import shadow, undisturbed
from .masking import silence_norms
from .serving import serving

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from ..analysis.channels import Channels

TOLERANCE = 1e-5  # relative to the largest value: float32 error of a sum is 1e-7
ATTACHED = ("f", "i", "np", "type")  # what upstream's forward reads of each layer of a model


def removable_blocks(model: nn.Module, channels: Channels, fallen: Iterable[str]) -> dict[str, list[str]]:
    """Return the outermost blocks that can go, each with the BatchNorms in it that lost everything.

    Args:
        model: The model that `channels` was made from.
        channels: Its channels; what `--keep` protects stays.
        fallen: BatchNorms all of whose scales fell under the threshold.
    """
    blocks = _blocks_around(model, channels, fallen)
    removed: list[str] = []
    carried = carried_on(model, channels, blocks) if blocks else set()
    waiting = [block for block in blocks if block in carried]
    while waiting:  # what lies in a block that cannot go may go by itself
        outermost = _outside(waiting, waiting)
        removed += serving(model, channels, outermost, remove_blocks, removed)
        for block in outermost:
            waiting.remove(block)
        waiting = _outside(waiting, removed)
    return {block: norms for block, norms in blocks.items() if block in removed}


def _blocks_around(model: nn.Module, channels: Channels, fallen: Iterable[str]) -> dict[str, list[str]]:
    """Return the blocks that hold fallen BatchNorms and nothing that `--keep` protects, each with those in it."""
    stay: set[str] = set()
    for name in _spared(channels):
        stay.update(places_of(name))
    blocks: defaultdict[str, list[str]] = defaultdict(list)
    for name in fallen:
        for block in modules_around(name):
            if block not in stay and not isinstance(model.get_submodule(block), LAYERS):
                blocks[block].append(name)
    return blocks


def _spared(channels: Channels) -> set[str]:
    """Return the layers of which `--keep` protects a channel."""
    asked = {group for group, reason in channels.frozen.items() if reason.kind == "asked"}
    spared = set()
    for name, row in channels.outputs.items():
        if not asked.isdisjoint(row):
            spared.add(name)
    return spared


def _outside(blocks: Iterable[str], others: Collection[str]) -> list[str]:
    """Return those blocks that lie in none of the others; one of these lies not in itself."""
    return [block for block in blocks if set(modules_around(block)).isdisjoint(others)]


def carried_on(model: nn.Module, channels: Channels, blocks: Mapping[str, list[str]]) -> set[str]:
    """Return those of some blocks that give out what they take and no more when these BatchNorms are zero.

    And what they take plus a constant when only gamma is, since that is what can be folded. Each is given noise like
    what the model gives it, since what an untrained model says in its last layers is all but constant itself.
    """
    noise = _noise(model, channels, blocks)
    for shift in (True, False):
        twin = shadow(model)
        silence_norms(twin, dict.fromkeys(chain.from_iterable(blocks.values())), shift=shift)
        keep_constants(twin, noise)
        with undisturbed(twin):
            noise = {name: x for name, x in noise.items() if _passes_on(twin.get_submodule(name), x)}
    return set(noise)


def _noise(model: nn.Module, channels: Channels, blocks: Iterable[str]) -> dict[str, Tensor]:
    """Return noise for each block that takes one feature map, (2, C, H, W), negative only where that may be."""
    twin = shadow(model)
    made: dict[str, Tensor] = {}
    generator = torch.Generator().manual_seed(0)

    def note(name: str, arguments: tuple[object, ...]) -> None:
        x = arguments[0] if len(arguments) == 1 else None
        if isinstance(x, Tensor) and x.ndim == 4:  # noqa: PLR2004 - (B, C, H, W)
            noise = torch.randn((2, *x.shape[1:]), generator=generator).to(x)
            made[name] = noise if bool((x < 0).any()) else noise.abs()

    for name in blocks:
        twin.get_submodule(name).register_forward_pre_hook(lambda _, args, name=name: note(name, args))
    with undisturbed(twin):
        twin(torch.rand(channels.example, generator=generator).to(next(twin.parameters()).device))
    return made


def keep_constants(twin: nn.Module, blocks: Iterable[str]) -> None:
    """Let convolutions in these blocks pad with what is there, so that a constant stays one, as in the interior."""
    for block in blocks:
        for module in twin.get_submodule(block).modules():
            if isinstance(module, _ConvNd) and not isinstance(module, _ConvTransposeNd) and pads_with_zeros(module):
                module.padding_mode = "replicate"


def pads_with_zeros(layer: _ConvNd) -> bool:
    """Whether a convolution meets zeros at the border."""
    padding = getattr(layer, "_reversed_padding_repeated_twice", ())  # also right where `padding` is a word
    return any(padding) and layer.padding_mode == "zeros"


def _passes_on(block: nn.Module, x: Tensor) -> bool:
    """Whether a block gives out what it takes, plus a constant for each channel."""
    result = block(x.clone())
    if not isinstance(result, Tensor) or result.shape != x.shape:
        return False
    return _spread(result - x) <= TOLERANCE * float(result.abs().max())


def _spread(values: Tensor) -> float:
    """Return how far the values of a channel, (B, C, H, W), are apart, at most."""
    flat = values.transpose(0, 1).flatten(1)
    return float((flat.amax(1) - flat.amin(1)).max())


def remove_blocks(model: nn.Module, names: Iterable[str]) -> None:
    """Put the identity in the place of these modules, wherever they stand, with what upstream has attached to them."""
    for name in names:
        gone = model.get_submodule(name)
        identity = nn.Identity().train(gone.training)
        for attribute in ATTACHED:
            if attribute in vars(gone):
                setattr(identity, attribute, vars(gone)[attribute])
        for parent in list(model.modules()):
            for own, child in list(parent._modules.items()):  # noqa: SLF001 - `named_children` tells each once
                if child is gone:
                    setattr(parent, own, identity)


def within(name: str, block: str) -> bool:
    """Whether a module lies in a block, or is it."""
    return name == block or name.startswith(f"{block}.")


def within_any(name: str, blocks: Iterable[str]) -> bool:
    """Whether a module lies in any of these blocks, or is one of them."""
    return not set(places_of(name)).isdisjoint(blocks)


def modules_around(name: str) -> list[str]:
    """Return the modules around a layer, from the outermost on, the model itself not among them."""
    return places_of(name)[:-1]


def places_of(name: str) -> list[str]:
    """Return the modules around a layer, and the layer: `a`, `a.b` and `a.b.c` for `a.b.c`."""
    return list(accumulate(name.split("."), "{}.{}".format))
