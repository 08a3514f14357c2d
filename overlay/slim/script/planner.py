"""The plan that the options of `prune.py` ask for: by a ratio or threshold, or whatever reaches a target."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from ..costs.latency_model import Latency
from ..costs.layer_costs import KINDS, Costs, prices
from ..pruning.importance import Importance
from ..pruning.plan import plan_of
from ..pruning.selection import Selector
from ..pruning.sensitivity import by_images
from ..pruning.target import least, reach
from ..pruning.validate import lost_groups
from ..recovery.rounds import in_rounds, steps
from ..writing.log import log_info
from ..writing.whole_files import scratch
from .latency_search import Trials, aim

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor, nn

    from ..analysis.channels import Channels
    from ..calibration.datasets import DataSet
    from ..files.checkpoint import Checkpoint
    from ..pruning.plan import Plan
    from ..pruning.selection import Selection
    from ..pruning.target import Counted, Target
    from .before_after import Export
    from .interface import PruneScript
    from .options import PruneOptions

SCORES = ("gamma", *KINDS)
IMAGES = 128  # to measure importance on; BCCD's yolov5n keeps as much with twice as many


@dataclass(frozen=True)
class Planner:
    """What plans are made from.

    Attributes:
        script: Of the release.
        options: What is asked for.
        model: The model.
        channels: Its channels.
        imgsz: Side of an image, in pixels.
        selector: Selects channels of it.
        images: What importance is measured on, (b, c, h, w), if it is.
        prices: Group -> what it is weighed with, if it is.
    """

    script: PruneScript
    options: PruneOptions
    model: nn.Module
    channels: Channels
    imgsz: int
    selector: Selector
    images: Tensor | None
    prices: dict[int, float]

    @classmethod
    def of(
        cls,
        script: PruneScript,
        options: PruneOptions,
        model: nn.Module,
        channels: Channels,
        imgsz: int,
        data: DataSet | None = None,
    ) -> Planner:
        """Read the importance of a model's channels, from its scales or from images.

        Raises:
            ValueError: Nothing can be pruned.
        """
        images = next(data.batches(IMAGES, IMAGES)) if data and options.importance == "images" else None
        importance = Importance.of(model, channels) if images is None else by_images(model, channels, [images])
        by = options.score or "gamma"
        cost = {} if by == "gamma" else prices(model, channels, by, imgsz)
        importance = importance.weighed(cost, by) if cost else importance
        selector = Selector(model, channels, importance, options.multiple, options.min_channels)
        return cls(script, options, model, channels, imgsz, selector, images, cost)

    @cached_property
    def costs(self) -> Costs:
        """What the model costs; a forward pass that only targets need."""
        return Costs.of(self.model, self.channels, self.imgsz)

    def price(self, selection: Selection, kind: Counted) -> int:
        """Return what a selection leaves, of parameters or FLOPs."""
        return self.costs.total(self.channels, selection.lost, selection.removed, fold=self.options.fold).of(kind)

    def plan(self, selection: Selection) -> Plan:
        """Write down what was selected."""
        return plan_of(self.selector, selection)

    def plan_for(self, target: Target | None, export: Export, checkpoint: Checkpoint) -> Plan:
        """Return the plan that the options ask for, or that reaches a target.

        Raises:
            TargetError: It cannot be reached.
            ValueError: An option is out of range, the export failed, or a package is missing.
        """
        if target is None:
            return self.plan(self.script.select(self.selector, self.options))
        return self._fast(target, export, checkpoint) if target.kind == "latency" else self._small(target, target.kind)

    def in_rounds(self, share: float, dense: float, price: Callable[[Selection], float]) -> Planner:
        """Return one whose importance was measured on the way to a share of the cost, where images tell it."""
        if self.images is None:
            return self

        def reached(selector: Selector, left: float) -> Selection:
            return least(selector, price, left * dense)[0]

        log_info(f"slim: choosing channels in {1 + len(list(steps(share)))} rounds, on {len(self.images)} images")
        return replace(self, selector=in_rounds(self.selector, self.images, share, reached, self.prices))

    def _small(self, target: Target, kind: Counted) -> Plan:
        """Reach a target in parameters or FLOPs."""
        dense = self.costs.total(self.channels, ()).of(kind)
        limit = target.limit(dense)
        planner = self.in_rounds(limit / dense, dense, lambda tried: self.price(tried, kind))
        chosen = reach(target, planner.selector, lambda tried: self.price(tried, kind), limit)
        plan, left = planner.plan(chosen), self.price(chosen, kind)
        note = f"target {target.text}: {target.said(left)} are left of {target.said(dense)} ({left / dense:.1%})"
        return replace(plan, notes=[note, *self._asleep(chosen), *plan.notes])

    def _asleep(self, chosen: Selection) -> list[str]:
        """Say how many scales at exactly zero stay, where they are what is gone by."""
        if self.images is not None:
            return []
        importance = self.selector.importance
        asleep = {group for group, value in importance.of_group.items() if value == 0} - chosen.lost
        zeros = sum(importance.weight[group] for group in asleep)
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
