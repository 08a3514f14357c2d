"""Does an identity serve in the place of a block? Tried on a copy of the whole model, since its parents may know it.

A parent may read an attribute of the block, call another of its methods, pick up what its forward leaves behind, or
give it a second argument in training; and a block may pass on what it takes at the traced size alone. So the model with
these blocks silent is compared with the model without them: what every other layer reads and what the model says, in
inference, in training and in the model's own loss, at two sizes and a batch of two.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import torch

from ..labels.tracked import LAYERS, tensors
from ..passes.copying import FAILURES
from ..passes.passes import BATCH, Pass, run_pass
from ..passes.shadow import held, shadow, undisturbed
from .masking import norms_within, silence_norms

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from torch import Tensor, nn

    from ..analysis.channels import Channels

TOLERANCE = 1e-4  # relative to the largest value: in place of x + 0 comes x, so that all but resizing is exact
LARGER = (64, 32)  # pixels: another height, and another width, which every stride of YOLO divides


@dataclass
class Record:
    """What a run has said: every layer's input in order, whose each was, the outputs, and what it failed with."""

    names: list[str] = field(default_factory=list)
    inputs: list[Tensor] = field(default_factory=list)
    outputs: list[Tensor] = field(default_factory=list)
    failure: str = ""


def serving(
    model: nn.Module,
    channels: Channels,
    blocks: Collection[str],
    remove: Callable[[nn.Module, Iterable[str]], None],
    gone: Collection[str] = (),
) -> list[str]:
    """Return those blocks that can go: all that can go together, or else as many as are found by halving.

    Args:
        model: The model; it is only copied.
        channels: Its channels.
        blocks: Blocks that pass on what they take once their BatchNorms are zero.
        remove: Puts the identity in the place of some.
        gone: Blocks that go in any case.
    """
    ways = _ways(model, channels.example)
    everything = [*gone, *blocks]
    silent = _silenced(model, everything)
    expected = [_heard(silent, way, everything) for way in ways]
    accepted: list[str] = []
    waiting = [list(blocks)]
    while waiting:
        some = waiting.pop(0)
        without = [*gone, *accepted, *some]
        if _same(model, ways, expected, without, everything, remove):
            accepted += some
        elif len(some) > 1:
            waiting += [some[: len(some) // 2], some[len(some) // 2 :]]
    return accepted


def _ways(model: nn.Module, example: tuple[int, ...]) -> list[Pass]:
    _, channels, height, width = example
    shape = (BATCH, channels, height, width)
    larger = (BATCH, channels, height + LARGER[0], width + LARGER[1])
    ways = [Pass(shape), Pass(shape, training=True), Pass(larger), Pass(larger, training=True)]
    if hasattr(model, "loss"):
        ways.append(Pass(shape, training=True, batch=0))
    return ways


def _silenced(model: nn.Module, blocks: Iterable[str]) -> nn.Module:
    """Return a shadow in which these blocks say nothing of their own."""
    twin = shadow(model)
    for block in blocks:
        for name, norm in norms_within(twin, block).items():
            if norm.weight is not None:
                silence_norms(twin, [name], shift=True)
    return twin


def _same(
    model: nn.Module,
    ways: list[Pass],
    expected: list[Record],
    without: list[str],
    everything: list[str],
    remove: Callable[[nn.Module, Iterable[str]], None],
) -> bool:
    twin = _silenced(model, [block for block in everything if block not in without])
    remove(twin, without)
    return all(_agree(_heard(twin, way, everything), heard) for way, heard in zip(ways, expected))


def _heard(twin: nn.Module, way: Pass, blocks: Iterable[str]) -> Record:
    """Run a copy on noise, and note what it says outside of these blocks."""
    heard = Record()
    entered: list[str] = []
    inside: set[int] = set()
    for block in blocks:
        inside.update(map(id, twin.get_submodule(block).modules()))

    def note(name: str, module: nn.Module, arguments: tuple[object, ...]) -> None:
        entered.append(name)
        generator.manual_seed(len(entered))  # what a block draws at random must not change what others draw
        if isinstance(module, LAYERS):
            for tensor in tensors(arguments):
                heard.names.append(name)
                heard.inputs.append(tensor.clone())

    device = next(twin.parameters()).device
    generator = torch.cuda.default_generators[device.index or 0] if device.type == "cuda" else torch.default_generator
    handles = []
    for name, module in twin.named_modules():
        if id(module) not in inside:
            handles.append(module.register_forward_pre_hook(partial(note, name)))
    noise = torch.rand(way.shape, generator=torch.Generator().manual_seed(0))
    try:
        with held(handles), undisturbed(twin):
            heard.outputs = tensors(run_pass(twin, way, noise.to(device)))
    except FAILURES as failure:
        heard.failure = type(failure).__name__
    return heard


def _agree(ours: Record, theirs: Record) -> bool:
    if ours.names != theirs.names or ours.failure != theirs.failure or len(ours.outputs) != len(theirs.outputs):
        return False
    return all(map(_close, [*ours.inputs, *ours.outputs], [*theirs.inputs, *theirs.outputs]))


def _close(one: Tensor, other: Tensor) -> bool:
    if one.shape != other.shape:
        return False
    if not one.is_floating_point() or not one.numel():
        return torch.equal(one, other)
    limit = TOLERANCE * float(torch.nan_to_num(other.abs()).max())
    return torch.allclose(one, other, rtol=0, atol=limit, equal_nan=True)
