"""What a model remembers of its pruning: the plan of the last round, and those of the rounds before it.

They ride as plain data in `slim`, an attribute of the model, through checkpoints, training and copies.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .plan_data import ROUNDS

if TYPE_CHECKING:
    from torch import nn

    from ..pruning.plan import Plan


def rounds_of(model: Any) -> list[dict[str, Any]]:
    """Return the plans that have made a model what it is, the first one first; [] where it remembers none."""
    last = getattr(model, "slim", None)
    if not isinstance(last, dict):
        return []
    return [*last.get(ROUNDS, []), {key: value for key, value in last.items() if key != ROUNDS}]


def remember(model: nn.Module, plan: Plan) -> None:
    """Add a plan to the rounds that a model remembers; one that calls something else `slim` remembers nothing."""
    if isinstance(getattr(model, "slim", {}), dict):
        model.slim = {**plan.to_dict(), ROUNDS: rounds_of(model)}  # type: ignore[assignment]


def remembers(model: nn.Module) -> bool:
    """Tell whether a round of pruning that a model remembers has dropped anything."""
    return any(_drops(plan) for plan in rounds_of(model))


def _drops(plan: dict[str, Any]) -> bool:
    widths = plan.get("widths", {})
    return bool(plan.get("removed")) or any(len(kept) < widths.get(n, 0) for n, kept in plan.get("keep", {}).items())
