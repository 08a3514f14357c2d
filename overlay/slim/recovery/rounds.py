"""Importance in rounds: measured anew on what is left, since what a channel is worth changes when others go.

Each round cuts a copy a little further, wins back its accuracy, and looks at the images again. What went in a round is
worth nothing in the next. Only the choice comes of it: the plan is made, proved and applied on the dense model at once.
"""

from __future__ import annotations

import math
from copy import deepcopy
from dataclasses import replace
from typing import TYPE_CHECKING, Callable

from ..groups.blocks import remove_blocks
from ..pruning.plan import plan_of
from ..pruning.selection import Selection, Selector
from ..pruning.sensitivity import joined, losses
from ..rules.slicing import slice_model
from .reconstruct import reconstruct

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from torch import Tensor, nn

    from ..analysis.channels import Channels
    from ..pruning.plan import Plan

SHRINK = 0.7  # of the cost is left by a round at least

Reach = Callable[[Selector, float], Selection]


def in_rounds(selector: Selector, images: Tensor, share: float, reach: Reach, prices: Mapping[int, float]) -> Selector:
    """Return a selector whose importance was measured on the model as it is shortly before the target.

    Args:
        selector: With the importance of the dense model.
        images: As the model is given them, (b, c, h, w).
        share: Of the dense model's cost that is to be left in the end.
        reach: A selector and a share of the cost, to what must go for that.
        prices: What the selector's importance is weighed with; empty if with nothing.
    """
    for left in steps(share):
        chosen = reach(selector, left)
        plan = plan_of(selector, chosen)
        current = _cut(selector, chosen, plan, images)
        lost = losses(current, selector.channels, [images])
        norms = {name: _widened(selector.channels, plan, name, lost.get(name, [])) for name in selector.channels.norms}
        importance = joined(selector.model, selector.channels, norms)
        importance = importance.weighed(prices, selector.importance.by) if prices else importance
        selector = replace(selector, importance=importance)
    return selector


def steps(share: float) -> Iterator[float]:
    """Yield the shares of the cost that rounds leave, all larger than the last one's, in even ratios."""
    rounds = math.ceil(math.log(max(share, 1e-6)) / math.log(SHRINK)) if share < 1 else 0
    for number in range(1, rounds):
        yield share ** (number / rounds)


def _widened(channels: Channels, plan: Plan, name: str, left: list[float]) -> list[float]:
    """Return values of a BatchNorm's channels at full width; what went is worth nothing."""
    width = len(channels.outputs[name])
    values = dict(zip(plan.keep.get(name, range(width)), left))
    return [values.get(index, 0.0) for index in range(width)]


def _cut(selector: Selector, chosen: Selection, plan: Plan, images: Tensor) -> nn.Module:
    """Return a copy without what is chosen, its weights fitted to the dense model."""
    current = deepcopy(selector.model)
    slice_model(current, selector.channels, chosen.lost)
    remove_blocks(current, chosen.removed)
    reconstruct(selector.model, current, plan, selector.channels, images)
    return current
