"""How strong the penalty is: what the user asked for, how that changes over the run, and what `auto` makes of it.

λ(epoch) = strength·min(1, (epoch + 1)/(warmup + 1))·(1 - decay·epoch/epochs): it climbs over the first epochs and
falls linearly to the last one. With warmup 0 and decay 0 it is constant.

`auto` knows how far a scale can go at all: soft-thresholding moves it by Σ lr·λ over the optimizer's steps. So it
takes the λ whose sum is TRAVEL times what the scales are worth before the first step; but none whose largest step is
more than STEP of it, which a model cannot follow. A run that is so short that this takes fewer than half of the
channels to zero is trained without a penalty: scales that are forced there, or half of the way, cost accuracy, and
images then say better which channels can go.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Callable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

AUTO = "auto"
# Pruned to the same FLOPs, it kept the most accuracy of 1.2, 1.8, 2.7 and 4.5: `tools/bench/penalties.py`.
TRAVEL = 1.2
# Of the median scale. On few images the pruned model has 0.360 of mAP50-95 so, and 0.307 with steps of 0.05; smaller
# ones gain no more than one seed can tell, and would cut short runs of a few hundred: `tools/bench/README.md`.
STEP = 0.01
# Of the way to zero of the median scale: what goes less far costs accuracy, and leaves nothing to prune by; there too.
LEAST = 1.0
WEIGHTS = ("none", "flops", "params")


@dataclass(frozen=True)
class Spelling:
    """How the options of a binding are written: `sparsity_mode=` or `--sl-mode `."""

    name: str
    joint: str
    equals: str

    def of(self, part: str) -> str:
        """Return the name of an option."""
        return f"{self.name}{self.joint}{part}"

    def epochs(self, number: int) -> str:
        """Return how a length is asked for, on the same command line."""
        return f"--epochs {number}" if self.name.startswith("-") else f"epochs={number}"

    def strength(self, value: float | str | None) -> float | None:
        """Read the strength; None is `auto`.

        Raises:
            ValueError: It is neither that nor a number.
        """
        if str(value).strip().lower() == AUTO:
            return None
        try:
            return float(value or 0.0)
        except (TypeError, ValueError):
            raise ValueError(f"{self.name}{self.equals}{value} is neither a number nor {AUTO}") from None


@dataclass(frozen=True)
class Settings:
    """What the user has asked for.

    Attributes:
        mode: When and how the penalty acts.
        strength: λ at its highest, for γ; None is `auto`.
        decay: Share of it that is gone at the end.
        warmup: Epochs until it has all its strength.
        bias: λ for β, all the time.
        weight: What a channel's share of λ goes by: none, flops, params.
        spelling: How its options are written, for messages.
    """

    mode: str
    strength: float | None
    decay: float
    warmup: float
    bias: float
    weight: str
    spelling: Spelling

    def check(self, modes: Sequence[str]) -> None:
        """Refuse what makes no sense.

        Raises:
            ValueError: The mode is none of `modes`, or a number is out of range.
        """
        spelling = self.spelling
        for part, value, known in (("mode", self.mode, modes), ("weight", self.weight, WEIGHTS)):
            if value not in known:
                raise ValueError(f"{spelling.of(part)}{spelling.equals}{value} is not one of {', '.join(known)}")
        if not ((self.strength or 0) >= 0 and self.bias >= 0 and 0 <= self.decay <= 1 and self.warmup >= 0):
            raise ValueError(
                f"{spelling.name}, {spelling.of('bias')} and {spelling.of('warmup')} must not be negative, "
                f"and {spelling.of('decay')} lies in 0..1"
            )
        if self.strength is None and self.mode != "decoupled":
            raise ValueError(
                f"{spelling.name}{spelling.equals}{AUTO} needs {spelling.of('mode')}{spelling.equals}decoupled: "
                "how far another mode moves a scale is not known before"
            )

    def shape(self, epoch: int, epochs: int) -> float:
        """Return λ(epoch) ÷ strength, in 0..1."""
        return min(1.0, (epoch + 1) / (self.warmup + 1)) * (1 - self.decay * epoch / max(epochs, 1))


@dataclass(frozen=True)
class Standing:
    """Where a run stands, and what is left of its learning rate.

    Attributes:
        epoch: The current one, from 0.
        epochs: How many there are.
        steps: Optimizer steps an epoch.
        schedule: Epoch -> what the initial learning rate is multiplied by.
    """

    epoch: int
    epochs: int
    steps: float
    schedule: Callable[[float], float]

    def budget(self, lr0: float, settings: Settings) -> float:
        """Return Σ lr·λ over what is left of the run, for a strength of 1.

        The learning rate's warm-up is left out, so a run may fall a little short of it.
        """
        return float(self.steps * sum(self._step_sizes(lr0, settings)))

    def largest(self, lr0: float, settings: Settings) -> float:
        """Return lr·λ of the largest step in what is left of the run, for a strength of 1."""
        return float(max(self._step_sizes(lr0, settings), default=0.0))

    def _step_sizes(self, lr0: float, settings: Settings) -> Iterator[float]:
        """Yield lr·λ of each epoch that is left, for a strength of 1."""
        for epoch in range(self.epoch, self.epochs):
            yield lr0 * self.schedule(epoch) * settings.shape(epoch, self.epochs)
