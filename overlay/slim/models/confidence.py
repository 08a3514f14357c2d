"""How much each raw output of a head matters: a class's where it is in doubt, a box's where something is seen.

Of a class with probability p, p·(1 - p) is the variance of what would be seen, and the Fisher information of its logit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from .class_outputs import BOX, anchors_of, classes_of

if TYPE_CHECKING:
    from collections.abc import Mapping


def weights_of(model: nn.Module, outputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the weight of each output, in the shape of the outputs; 1 where the head is of no known kind.

    Args:
        model: The model that has given them.
        outputs: Layer -> its raw outputs, (b, c, h, w) or (b, c).
    """
    with torch.no_grad():
        if anchors_of(model):
            return {name: _anchored(model, value) for name, value in outputs.items()}
        return _unanchored(classes_of(model), outputs)


def _unanchored(count: int | None, outputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weigh maps of so many classes by their doubt, and others by what is seen in the maps of their size."""
    classes: dict[str, Tensor] = {}
    seen: dict[tuple[int, ...], Tensor] = {}  # height and width -> probability of the likeliest class
    for name, value in outputs.items():
        if value.ndim > 2 and value.shape[1] == count:  # noqa: PLR2004 - (b, c, h, w)
            classes[name] = value.sigmoid()
            seen[value.shape[2:]] = classes[name].amax(1, keepdim=True)
    weights: dict[str, Tensor] = {}
    for name, value in outputs.items():
        if name in classes:
            weights[name] = classes[name] * (1 - classes[name])
        else:
            weights[name] = seen.get(value.shape[2:], value.new_ones(())).expand_as(value)
    return weights


def _anchored(model: nn.Module, value: Tensor) -> Tensor:
    """Weigh box, objectness and classes of each anchor; mask coefficients as a box."""
    _, anchors, _ = anchors_of(model)
    classes = classes_of(model) or 0
    if value.ndim != 4 or value.shape[1] % anchors or value.shape[1] // anchors < BOX + classes:  # noqa: PLR2004
        return torch.ones_like(value)
    p = value.reshape(len(value), anchors, -1, *value.shape[2:]).sigmoid()
    seen = p[:, :, BOX - 1 : BOX]
    weights = seen.expand_as(p).clone()
    weights[:, :, BOX - 1 : BOX] = seen * (1 - seen)
    weights[:, :, BOX : BOX + classes] *= p[:, :, BOX : BOX + classes] * (1 - p[:, :, BOX : BOX + classes])
    return weights.flatten(1, 2)
