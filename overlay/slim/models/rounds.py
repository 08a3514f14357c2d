"""What a model remembers of its pruning: the plan of the last round, and those of the rounds before it.

They ride as plain data in `slim`, an attribute of the model, through checkpoints, training and copies.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .plan_data import EARLIER

if TYPE_CHECKING:
    from torch import nn

    from ..pruning.plan import Plan
    from .plan_data import PlanData


def rounds_of(model: nn.Module) -> list[PlanData]:
    """Return the plans that have made a model what it is, the first one first; [] where it remembers none."""
    last: PlanData | None = getattr(model, "slim", None)
    if not isinstance(last, dict):
        return []
    own = last.copy()
    earlier = own.pop(EARLIER, [])
    return [*earlier, own]


def remember(model: nn.Module, plan: Plan) -> None:
    """Add a plan to the rounds that a model remembers; one that calls something else `slim` remembers nothing."""
    if isinstance(getattr(model, "slim", {}), dict):
        vars(model)["slim"] = {**plan.to_dict(), EARLIER: rounds_of(model)}


def remembers(model: nn.Module) -> bool:
    """Tell whether a round of pruning that a model remembers has dropped anything."""
    return any(map(_drops, rounds_of(model)))


def _drops(plan: PlanData) -> bool:
    widths = plan.get("widths", {})
    return bool(plan.get("removed")) or any(len(kept) < widths.get(n, 0) for n, kept in plan.get("keep", {}).items())
