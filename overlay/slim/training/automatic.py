"""What `auto` takes for λ: as far as the scales need to go, in steps that a model can follow, or nothing."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from .schedule import AUTO, LEAST, STEP, TRAVEL

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .gamma_log import Row
    from .schedule import Settings, Standing


MOST_EPOCHS = 1_000_000  # a schedule that ends before is no help


@dataclass(frozen=True)
class Reach:
    """How far the scales are to go, and what a strength of 1 does in the rest of a run.

    Attributes:
        distance: What the scales are worth: the travel that takes half of the channels to zero.
        budget: Σ lr·λ of most scales over the steps that are left.
        largest: The largest single lr·λ of any scale, times its weight.
    """

    distance: float
    budget: float
    largest: float

    @property
    def wanted(self) -> float:
        """The λ that takes the scales all the way."""
        return TRAVEL * self.distance / self.budget

    @property
    def strength(self) -> float:
        """The λ that is taken, as one would type it: none at all where no such λ takes half of the channels to zero."""
        return _typed(min(self.wanted, self.bound)) if self.bound * self.budget >= LEAST * self.distance else 0.0

    @property
    def bound(self) -> float:
        """The λ whose largest step is the largest that a model can follow."""
        return STEP * self.distance / self.largest

    def epochs(self, standing: Standing, settings: Settings) -> int:
        """Return how many epochs, of the same steps and a schedule of the same form, the whole way takes."""
        if _typed(self.wanted) <= self.strength:
            return standing.epochs
        factor = self.budget / self.largest * standing.largest(1.0, settings) / standing.budget(1.0, settings)

        def enough(epochs: int) -> bool:
            longer = replace(
                standing, epochs=epochs, schedule=lambda e: standing.schedule(e * standing.epochs / epochs)
            )
            steps = factor * longer.budget(1.0, settings) / longer.largest(1.0, settings)
            return steps * STEP >= TRAVEL

        return _least(enough, standing.epochs)


def begun(rows: Sequence[Row], standing: Standing, settings: Settings) -> float | None:
    """Return the strength that a resumed run began with, from what it has noted; None where it has not begun."""
    before = [row for row in rows if 0 < row["epoch"] <= standing.epoch]
    if not before:
        return None
    last = before[-1]
    return last["lambda"] / settings.shape(int(last["epoch"]) - 1, standing.epochs)


def short(reach: Reach, standing: Standing, settings: Settings) -> str:
    """Say that a run goes a part of the way, or none of it, and how many epochs the whole way takes; else empty."""
    needed = reach.epochs(standing, settings)
    if needed == standing.epochs:
        return ""
    spelling, travel = settings.spelling, reach.bound * reach.budget
    none = "" if reach.strength else " trains without a penalty, and prune.py --data then chooses by images"
    return (
        f"slim: {spelling.name}{spelling.equals}{AUTO}{none}: steps of at most {STEP:.0%} of the median scale, which a "
        f"model can follow, go {travel:.2g} of {TRAVEL * reach.distance:.2g} in the {standing.epochs - standing.epoch} "
        f"epochs of this run; the whole way takes {spelling.epochs(needed)}"
    )


def _least(enough: Callable[[int], bool], short: int) -> int:
    """Return the least number that is enough, above one that is too short."""
    long = 2 * short
    while not enough(long) and long < MOST_EPOCHS:
        short, long = long, 2 * long
    while long - short > 1:
        middle = (short + long) // 2
        short, long = (short, middle) if enough(middle) else (middle, long)
    return long


def _typed(number: float) -> float:
    return float(f"{number:.3g}")
