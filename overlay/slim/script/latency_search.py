"""Reaching a latency: choose by what the table of layers predicts, then measure the whole model, and correct.

The table is of single layers, and a model is more than these: it resizes, joins and decodes. What that takes is read
off one profile of the dense model, as the fastest run of each of its operators, so that a busy machine does not count.
Of yolov8n at 320 pixels, pruned by 30 to 85 %, what is predicted so lies within 0.85 to 1.25 of what is measured, where
FLOPs are off by a factor of up to 7. What was measured of one plan then bends the prediction for the next. (Profiles of
pruned models would predict as well, but take an export for each of many widths, and are of no use for other models.)
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ..costs import measure
from ..pruning.apply import apply_plan
from ..pruning.target import UnreachableError, reach
from ..writing.log import log_info, quiet
from .before_after import exported

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn

    from ..analysis.channels import Channels
    from ..costs.latency_model import Latency
    from ..files.checkpoint import Checkpoint
    from ..pruning.plan import Plan
    from ..pruning.selection import Selection, Selector
    from ..pruning.target import Target
    from .before_after import Export
    from .planner import Planner

ROUNDS = 4  # of exporting and measuring
MARGIN = 0.05  # of the limit, by which medians of a quiet machine may differ
CLOSE = 0.85  # of the limit: what is faster could have kept more


@dataclass(frozen=True)
class Trial:
    """What was measured of a plan, in milliseconds, and the most it may be."""

    plan: Plan
    dense: float
    pruned: float
    limit: float

    @property
    def fits(self) -> bool:
        """Whether it is fast enough, give or take what measuring is good for."""
        return self.pruned <= self.limit * (1 + MARGIN)

    @property
    def close(self) -> bool:
        """Whether it leaves about as much as it may."""
        return self.fits and self.pruned > CLOSE * self.limit


@dataclass(frozen=True)
class Trials:
    """Measures what a plan makes of a model, beside the dense one, as upstream exports them."""

    export: Export
    dense: nn.Module
    checkpoint: Checkpoint
    channels: Channels
    imgsz: int
    folder: Path

    def dense_onnx(self) -> Path:
        """Export the dense model, once."""
        path = self.folder / "dense.onnx"
        return path if path.is_file() else self._write("dense", self.dense)

    def outcome(self, plan: Plan, target: Target) -> Trial:
        """Measure the dense and the pruned model in turn."""
        pruned = deepcopy(self.dense)
        apply_plan(pruned, plan, self.channels, fold=False)
        files = [self.dense_onnx(), self._write("pruned", pruned)]
        before, after = measure.latencies(files, imgsz=self.imgsz)
        return Trial(plan, before, after, target.limit(before))

    def _write(self, name: str, model: nn.Module) -> Path:
        with quiet():
            return exported(self.export, self.folder / f"{name}.pt", model, self.checkpoint, self.imgsz)


@dataclass(frozen=True)
class Prediction:
    """The share of the dense model's latency that a plan leaves, as the table has it, and what of that is known.

    Attributes:
        latency: The table.
        channels: The model's channels.
        rest: Milliseconds of what is not in the table.
        known: Shares that were predicted, and what was measured of them.
    """

    latency: Latency
    channels: Channels
    rest: float
    known: list[tuple[float, float]]

    def __call__(self, selection: Selection) -> float:
        """Predict."""
        layers = self.latency.total(self.channels, selection.lost, selection.removed)
        whole = self.latency.total(self.channels, ())
        return (self.rest + layers) / (self.rest + whole)

    def wanted(self, share: float) -> float:
        """Return what must be predicted for a share to be measured: linear between what is known."""
        predicted, measured = map(sorted, zip(*self.known))
        return float(np.interp(share, measured, predicted))


def aim(target: Target, planner: Planner, latency: Latency, trials: Trials) -> Plan:
    """Return the plan that reaches a latency, with a note of what was measured.

    Raises:
        TargetError: Even the smallest plan is too slow; says how slow.
        ValueError: The export failed, or a package is missing.
    """
    latency.measure()
    whole = latency.total(trials.channels, ())
    rest = measure.undisturbed_latency(trials.dense_onnx(), imgsz=trials.imgsz) - whole
    predicted = Prediction(latency, trials.channels, max(0.0, rest), [(0.0, 0.0), (1.0, 1.0)])
    dense = measure.latency(trials.dense_onnx(), imgsz=trials.imgsz)
    planner = planner.in_rounds(target.limit(dense) / dense, 1.0, predicted)
    tried: list[Trial] = []
    while len(tried) < ROUNDS and not (tried and tried[-1].close):
        share = predicted.wanted(target.limit(dense) / dense)
        chosen, smallest = _chosen(target, planner.selector, predicted, share)
        plan = planner.plan(chosen)
        if any(plan.keep == other.plan.keep for other in tried):
            break
        outcome = trials.outcome(plan, target)
        if smallest and not outcome.fits:
            raise UnreachableError(target, planner.selector, chosen, least=outcome.pruned, limit=outcome.limit)
        tried.append(outcome)
        dense = outcome.dense
        predicted.known.append((predicted(chosen), outcome.pruned / outcome.dense))
        expected, left = predicted.known[-1]
        log_info(f"slim: a plan that leaves {expected:.1%} of the latency by the table of layers leaves {left:.1%}")
    return _best(target, tried)


def _chosen(target: Target, selector: Selector, predicted: Prediction, share: float) -> tuple[Selection, bool]:
    """Return what should do, and whether it is only the smallest there is."""
    try:
        return reach(target, selector, predicted, share), False
    except UnreachableError as error:
        return error.selection, True


def _best(target: Target, tried: list[Trial]) -> Plan:
    """Return what fits and leaves most, or else what misses least, and say which."""
    fitting = [outcome for outcome in tried if outcome.fits]
    best = max(fitting, key=lambda f: f.pruned / f.limit) if fitting else min(tried, key=lambda f: f.pruned / f.limit)
    threads = measure.default_threads()
    note = (
        f"target {target.text}: {target.said(best.pruned)} are left of {target.said(best.dense)} "
        f"({best.pruned / best.dense:.1%}), measured with ONNX Runtime on {threads} thread{'s' * (threads > 1)}"
    )
    if not fitting:
        note += f"; missed, the limit is {target.said(best.limit)}: is the machine busy?"
    return replace(best.plan, notes=[note, *best.plan.notes])
