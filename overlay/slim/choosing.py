"""The plan that the options of `prune.py` ask for: read, by a ratio or threshold, or whatever reaches a target."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from .costs import Costs
from .fitting import lost_groups
from .scoring import Scores
from .target import Target, reach

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from torch import nn

    from .channels import Channels
    from .journey import Interface
    from .plan import Plan

SCORES = ("gamma", "params", "flops")


@dataclass(frozen=True)
class Chooser:
    """What plans are made from; `choose` takes a ratio, or None for what the options say."""

    channels: Channels
    scores: Scores
    costs: Costs
    choose: Callable[[float | None], Plan]
    fold: bool

    @classmethod
    def of(
        cls, interface: Interface, options: argparse.Namespace, model: nn.Module, channels: Channels, imgsz: int
    ) -> Chooser:
        """Read the scores and the costs of a model.

        Raises:
            ValueError: Nothing can be pruned.
        """
        costs = Costs.of(model, channels, imgsz)
        scores = scored(model, channels, costs, options.score)

        def choose(ratio: float | None = None) -> Plan:
            return interface.choose(model, channels, scores, options, ratio)

        return cls(channels, scores, costs, choose, fold=not options.no_fold)

    def price(self, plan: Plan, kind: str) -> int:
        """Return what a plan leaves, of parameters or FLOPs."""
        return self.costs.total(self.channels, lost_groups(plan, self.channels), fold=self.fold).of(kind)

    def plan_for(self, target: Target) -> Plan:
        """Return the plan that reaches a target in parameters or FLOPs.

        Raises:
            TargetError: It cannot be reached.
        """
        dense = self.costs.total(self.channels, ()).of(target.kind)
        limit = target.limit(dense)
        plan = reach(target, self.scores, self.choose, lambda tried: self.price(tried, target.kind), limit)
        left = self.price(plan, target.kind)
        note = f"target {target.text}: {target.said(left)} are left of {target.said(dense)} ({left / dense:.1%})"
        return replace(plan, notes=[note, *plan.notes])


def scored(model: nn.Module, channels: Channels, costs: Costs, by: str) -> Scores:
    """Return the scores to choose by, one of `SCORES`."""
    scores = Scores.of(model, channels)
    if by == "gamma":
        return scores
    return scores.weighed({group: total.of(by) for group, total in costs.of_groups(channels).items()}, by)
