"""Sizes that modules keep as attributes, and which of several equal ones code has used."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn

NUMBERING = {"i", "f", "np"}  # a layer's place, its source and its parameters, as both upstreams note them


class Named(int):
    """A size that knows which attribute it is."""

    attribute = ""


def sizes_of(module: nn.Module) -> dict[str, int]:
    """Return the attributes of a module that may be sizes."""
    return {
        name: value for name, value in vars(module).items() if type(value) in {int, Named} and name not in NUMBERING
    }


def name_sizes(twin: nn.Module) -> None:
    """Let equal sizes of a module of a copied model say who they are, as those of heads that were pruned before."""
    for module in twin.modules():
        if type(module).__module__.startswith("torch."):  # these hand theirs to operators, and cut nothing
            continue
        sizes = sizes_of(module)
        times = Counter(sizes.values())
        for attribute, size in sizes.items():
            if times[size] > 1:
                named = Named(size)
                named.attribute = attribute
                setattr(module, attribute, named)
