"""Whether a model is pruned: known from the rounds that its checkpoint remembers, told by its shapes otherwise.

Shapes alone say little: other classes, keypoints and images change them, and so does a module that the user has put
in the place of upstream's. So a model that remembers nothing counts as pruned only where layers of its own YAML's
kinds are narrower than that YAML builds them, in two of the model's blocks at least: a layer that loses outputs
narrows what reads it, while what was replaced by hand takes and gives what its place asks for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch.nn.modules.batchnorm import _BatchNorm

from .image_inputs import first_convolution
from .rebuilding import as_made
from .rounds import remembers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import nn

FEWEST = 2  # blocks that are narrower than built


def is_pruned(model: nn.Module, built: nn.Module | None = None) -> bool:
    """Tell whether channels or blocks of a model were pruned, here or by other means.

    Args:
        model: A model of upstream's, with its `yaml`.
        built: What upstream has built to load it into; where all shapes are the same, nothing else is built.
    """
    if built is not None and shapes_of(built) == shapes_of(model):
        return False
    if remembers(model):
        return True
    made = as_made(model)
    return made is not None and len(narrowed(model, made)) >= FEWEST


def shapes_of(model: nn.Module) -> dict[str, tuple[int, ...]]:
    """Return the shapes of a model's tensors by name, but for those of its loss."""
    return {name: tuple(tensor.shape) for name, tensor in model.state_dict().items() if "criterion" not in name}


def narrowed(model: nn.Module, made: nn.Module) -> set[str]:
    """Return the blocks of a model in which a layer is narrower than in what its YAML builds.

    Args:
        model: The model.
        made: What its YAML builds, for the same classes and keypoints.
    """
    first = first_convolution(model)  # its inputs are those of the images
    blocks = set()
    for name, ours, theirs in _alike(model, made):
        for axis, own, built in _sizes(ours, theirs):
            if own < built and (name, axis) != (first, 1):
                blocks.add(".".join(name.split(".")[:2]))
    return blocks


def _sizes(ours: nn.Module, theirs: nn.Module) -> Iterator[tuple[int, int, int]]:
    """Yield axis and both sizes of the parameters that two layers have of their own."""
    built = dict(theirs.named_parameters(recurse=False))
    for key, tensor in ours.named_parameters(recurse=False):
        if key in built:
            for axis, (own, other) in enumerate(zip(tensor.shape, built[key].shape)):
                yield axis, own, other


def _alike(model: nn.Module, made: nn.Module, name: str = "") -> Iterator[tuple[str, nn.Module, nn.Module]]:
    """Walk two models side by side, past the modules that are of another class or have other parts.

    A BatchNorm that prediction has folded away is not missed.
    """
    parts, theirs = dict(model.named_children()), dict(made.named_children())
    other = {own for own in parts.keys() ^ theirs.keys() if not isinstance(theirs.get(own), _BatchNorm)}
    if type(model).__name__ != type(made).__name__ or (name and other):
        return
    yield name, model, made
    for own, part in parts.items():
        if own in theirs:
            yield from _alike(part, theirs[own], f"{name}.{own}" if name else own)
