"""Trying the model out with channels gone, in several ways, until it says what it says with those silent."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from ..groups.closure import settle
from ..labels.kept import Kept, expected
from .blame import Blame
from .drops import shares
from .probe import FLOAT32, Full, Outcome, UnfitError, at_full_width, probe
from .walks import Drop

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn

    from ..analysis.channels import Channels
    from ..labels.labels import Array
    from ..passes.passes import Pass
    from ..passes.trace import Trace

DROPS = 2  # with BatchNorms drawn anew: a plan is proven with the model's own
WIDER = (1.5, 2.0)  # times as wide as high, for the second size: 64 by 96 pixels, or 128 where a stride is 64


def prove(model: nn.Module, trace: Trace, ways: list[Pass], number: Callable[[], tuple[Channels, Array]]) -> Channels:
    """Freeze what cannot be pruned rightly, until each of several drops shows that the rest can.

    Args:
        model: The model; it is only copied.
        trace: Its trace.
        ways: How it was traced, first in inference.
        number: Gives the channels as the trace knows them, and the number of each root of labels.
    """
    trying = _Trying(model, trace, ways)
    passed = place = 0
    settle(trace)
    trying.blame.guess()
    channels, numbers = number()
    while passed < DROPS:
        lost = shares(channels, place)
        if not lost:
            break
        if trying.passes(place, channels, Kept.by_number(trace, numbers, lost), lost):
            passed, place = passed + 1, (place + 1) % DROPS
        else:
            passed = 0
            settle(trace)
            channels, numbers = number()
    return channels


class _Trying:
    def __init__(self, model: nn.Module, trace: Trace, ways: list[Pass]) -> None:
        self.model, self.trace, self.blame = model, trace, Blame(trace)
        plain, *self.others = ways
        batch, *rest, width = plain.shape
        several = replace(plain, shape=(2 * batch, *rest, width))
        wider = [replace(plain, shape=(batch, *rest, int(width * times))) for times in WIDER]
        self.plain = [[several, plain], [*wider, plain]]
        self.last: tuple[object, Full] | None = None

    def passes(self, place: int, channels: Channels, kept: Kept, lost: set[int]) -> bool:
        """Try a drop; where the model does not say the same, freeze what is to blame.

        Raises:
            ValueError: There is nobody to blame.
        """
        quick = self._probed(place, channels, kept, lost)
        changed = self.blame.unexplained(quick, kept)
        if not changed and quick.worst <= FLOAT32:
            return True
        if self.blame.numbers(changed, kept, known=True):
            return False
        thorough = self._probed(place, channels, kept, lost, thorough=True, exact=not quick.failed)
        changed = self.blame.unexplained(thorough, kept)
        if self.blame.numbers(changed, kept, known=False) or self.blame.doubt(thorough):
            return False
        if not thorough.findings and not quick.failed:
            return True
        findings = thorough.findings or quick.findings
        if not self.blame.find(findings):
            raise ValueError(f"{findings[0].module or 'the model'} does not compute the same twice: {findings[0].said}")
        return False

    def _probed(
        self, place: int, channels: Channels, kept: Kept, lost: set[int], *, thorough: bool = False, exact: bool = False
    ) -> Outcome:
        wanted = partial(expected, self.trace, kept, self.blame.in_flight())
        plain, others = self.plain[place], self.others
        while True:
            drop = Drop(lost, place, [plain[0], *others])
            try:
                full = self._full(channels, drop, thorough=thorough, exact=exact)
                return probe(self.model, channels, drop, wanted, thorough=thorough, exact=exact, full=full)
            except UnfitError as error:
                if exact and others:  # as a loss that knows no float64
                    others = []
                elif exact:
                    exact, others = False, self.others
                elif len(plain) > 1:
                    del plain[0]
                else:
                    raise ValueError(f"the model does not run on noise: {error}") from error

    def _full(self, channels: Channels, drop: Drop, *, thorough: bool, exact: bool) -> Full:
        """Return what the masked model says; as before, if only what is made up for has changed."""
        asked = (channels.outputs, drop, thorough, exact)
        if self.last is None or self.last[0] != asked:
            self.last = None  # before another is made
            self.last = asked, at_full_width(self.model, channels, drop, thorough=thorough, exact=exact)
        return self.last[1]
