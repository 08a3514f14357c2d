"""The plan that the options of `prune.py` ask for: by a ratio or threshold, or whatever reaches a target."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from ..costs.latency_model import Latency
from ..costs.layer_costs import KINDS, Costs, prices
from ..pruning.importance import Importance
from ..pruning.target import reach
from ..pruning.validate import lost_groups
from ..writing.whole_files import scratch
from .latency_search import Trials, aim

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn

    from ..analysis.channels import Channels
    from ..files.checkpoint import Checkpoint
    from ..pruning.plan import Plan
    from ..pruning.target import Counted, Target
    from .before_after import Export
    from .interface import PruneScript
    from .options import PruneOptions

SCORES = ("gamma", *KINDS)


@dataclass(frozen=True)
class Chooser:
    """What plans are made from; `choose` takes a ratio, or None for what the options say."""

    model: nn.Module
    channels: Channels
    imgsz: int
    importance: Importance
    choose: Callable[[float | None], Plan]
    fold: bool

    @classmethod
    def of(
        cls, script: PruneScript, options: PruneOptions, model: nn.Module, channels: Channels, imgsz: int
    ) -> Chooser:
        """Read the scores of a model.

        Raises:
            ValueError: Nothing can be pruned.
        """
        importance, by = Importance.of(model, channels), options.score or "gamma"
        if by != "gamma":
            importance = importance.weighed(prices(model, channels, by, imgsz), by)

        def choose(ratio: float | None = None) -> Plan:
            return script.choose(model, channels, importance, options, ratio)

        return cls(model, channels, imgsz, importance, choose, fold=options.fold)

    @cached_property
    def costs(self) -> Costs:
        """What the model costs; a forward pass that only targets need."""
        return Costs.of(self.model, self.channels, self.imgsz)

    def price(self, plan: Plan, kind: Counted) -> int:
        """Return what a plan leaves, of parameters or FLOPs."""
        lost = lost_groups(plan, self.channels)
        return self.costs.total(self.channels, lost, plan.removed, fold=self.fold).of(kind)

    def plan_for(self, target: Target | None, export: Export, checkpoint: Checkpoint) -> Plan:
        """Return the plan that the options ask for, or that reaches a target.

        Raises:
            TargetError: It cannot be reached.
            ValueError: An option is out of range, the export failed, or a package is missing.
        """
        if target is None:
            return self.choose(None)
        return self._fast(target, export, checkpoint) if target.kind == "latency" else self._small(target, target.kind)

    def _small(self, target: Target, kind: Counted) -> Plan:
        """Reach a target in parameters or FLOPs."""
        dense = self.costs.total(self.channels, ()).of(kind)
        limit = target.limit(dense)
        plan = reach(target, self.importance, self.choose, lambda tried: self.price(tried, kind), limit)
        left = self.price(plan, kind)
        note = f"target {target.text}: {target.said(left)} are left of {target.said(dense)} ({left / dense:.1%})"
        return replace(plan, notes=[note, *self._asleep(plan), *plan.notes])

    def _asleep(self, plan: Plan) -> list[str]:
        """Say how many scales at exactly zero a plan keeps."""
        kept = {self.channels.outputs[name][i] for name, rows in plan.keep.items() for i in rows}
        zeros = sum(
            n for group, n in self.importance.weight.items() if group in kept and self.importance.of_group[group] == 0
        )
        said = f"{zeros} scales that stay are exactly zero, the heaviest of each layer: the target leaves room for them"
        return [f"{said}, and fine-tuning can bring them back"] if zeros else []

    def _fast(self, target: Target, export: Export, checkpoint: Checkpoint) -> Plan:
        """Reach a target in latency."""
        with scratch() as folder:
            trials = Trials(export, self.model, checkpoint, self.channels, self.imgsz, Path(folder))
            return aim(target, self, Latency.of(self.model, self.channels, self.imgsz), trials)


def predicted(model: nn.Module, channels: Channels, plan: Plan, imgsz: int) -> list[str]:
    """Say what the layers take before and after, if this machine's table has them all."""
    latency = Latency.of(model, channels, imgsz)
    if not latency.known:
        return []
    before, after = latency.total(channels, ()), latency.total(channels, lost_groups(plan, channels), plan.removed)
    return [f"this machine's table of layers predicts {before:.2f} ms before, {after:.2f} ms after, for layers alone"]
