"""Targets: `params=0.1`, `flops=1.2G`, `latency=5ms`, and the plan that drops just enough to reach one.

What a plan costs follows from its counts (`layer_costs`), so the least share of channels that must go is found by
bisection, without surgery on the way.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, cast

if TYPE_CHECKING:
    from collections.abc import Callable

    from .selection import Selection, Selector

FORM = re.compile(r"(?P<kind>[a-z]+)=(?P<number>[0-9]*\.?[0-9]+(?:e[+-]?[0-9]+)?) ?(?P<unit>%|[a-zµ]*)", re.IGNORECASE)
COUNTS = {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9, "b": 1e9, "t": 1e12}
Counted = Literal["params", "flops"]
Kind = Literal["params", "flops", "latency"]
UNITS: dict[str, dict[str, float]] = {
    "params": COUNTS,
    "flops": {f"{unit}{name}": factor for unit, factor in COUNTS.items() for name in ("", "flop", "flops")},
    "latency": {"us": 1e-3, "µs": 1e-3, "ms": 1.0, "s": 1e3},
}
EXAMPLES = "params=0.1 (a share of the dense model), params=300k, flops=1.2G or latency=5ms"


class TargetError(ValueError):
    """A target that is not understood, or cannot be reached."""


@dataclass(frozen=True)
class Target:
    """What the pruned model may cost at most.

    Attributes:
        text: As the user wrote it.
        kind: One of `UNITS`.
        amount: A share of the dense model, or parameters, FLOPs, milliseconds.
        share: Which of the two.
    """

    text: str
    kind: Kind
    amount: float
    share: bool

    @classmethod
    def parse(cls, text: str) -> Target:
        """Read what a user wrote; a number up to 1 without a unit, or with %, is a share of the dense model.

        Raises:
            TargetError: It makes no sense.
        """
        match = FORM.fullmatch(text.strip())
        kind = match["kind"].lower() if match else ""
        if not match or kind not in UNITS:
            raise TargetError(f"--target {text}: give one of {', '.join(UNITS)} and how much is left, as in {EXAMPLES}")
        number, unit = float(match["number"]), match["unit"].lower()
        share = unit == "%" or (not unit and number <= 1)
        if not share and unit not in UNITS[kind]:
            known = ", ".join(name for name in UNITS[kind] if name)
            raise TargetError(f"--target {text}: {kind} is a share up to 1, or a number with one of {known} or %")
        amount = number / 100 if unit == "%" else number if share else number * UNITS[kind][unit]
        if not 0 < amount < float("inf") or (share and amount > 1):
            raise TargetError(f"--target {text}: must be more than nothing, and a share at most 1")
        return cls(text, cast("Kind", kind), amount, share)

    def limit(self, dense: float) -> float:
        """Return the most that is allowed, where the dense model costs so much."""
        return self.amount * dense if self.share else self.amount

    def said(self, cost: float) -> str:
        """Write a cost in the unit of its kind."""
        if self.kind == "latency":
            return f"{cost:.2f} ms"
        return f"{cost:,.0f} parameters" if self.kind == "params" else f"{cost / 1e9:.3f} GFLOPs"


class UnreachableError(TargetError):
    """No selection is small enough; `selection` is the smallest."""

    def __init__(self, target: Target, selector: Selector, selection: Selection, *, least: float, limit: float) -> None:
        bounds = f"--round-to {selector.round_to} and --min-channels"
        super().__init__(
            f"--target {target.text}: cannot be reached: at least {target.said(least)} are left, {target.said(limit)} "
            f"are asked for; layers that must stay, {bounds} set the bound"
        )
        self.selection = selection


def reach(target: Target, selector: Selector, price: Callable[[Selection], float], limit: float) -> Selection:
    """Return what drops the least and costs at most the limit.

    What is of no importance at all does nothing, and yet stays where less will do: it can come back in fine-tuning,
    since the loss has a gradient on a scale of zero, and as much was asked to be kept.

    Args:
        target: What the user asked for.
        selector: Selects a share of the channels.
        price: Selection to what is left of the cost.
        limit: The most it may cost.

    Raises:
        UnreachableError: Even the smallest selection costs more; says how much.
    """
    chosen, cost = least(selector, price, limit)
    if cost > limit:
        raise UnreachableError(target, selector, chosen, least=cost, limit=limit)
    return chosen


def least(selector: Selector, price: Callable[[Selection], float], limit: float) -> tuple[Selection, float]:
    """Return what drops the least and costs at most the limit, or else the most that can go; and what it costs."""
    total = selector.importance.total
    short, enough = -1, total - 1  # numbers of channels to drop: too few, as far as is known, and enough

    def dropping(number: int) -> Selection:
        return selector.by_ratio((number + 0.5) / total)  # `drop_ratio` rounds down

    chosen = dropping(enough)
    cost = price(chosen)
    if cost > limit:
        return chosen, cost
    while enough - short > 1:
        middle = (enough + short) // 2
        tried = dropping(middle)
        left = price(tried)
        if left <= limit:
            chosen, cost, enough = tried, left, middle
        else:
            short = middle
    return chosen, cost
