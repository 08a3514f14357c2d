"""What a probe finds is blamed on a module, and what that module touches is frozen, in steps, the smallest first."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Literal

import torch

from ..groups.blocks import within
from ..groups.closure import link_width
from ..labels.reason import Reason
from ..labels.rescaling import POWERS, Rescaled
from ..labels.sizes import Source
from ..labels.tracked import planes_of
from .walks import Finding

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from torch import Tensor

    from ..labels.kept import Kept
    from ..labels.rescaling import Key, Way
    from ..labels.tracked import Cut, Mark, Visit
    from ..passes.trace import Trace
    from .probe import Outcome

EXACT = 1e-5  # relative error up to which a ratio is a power of a share


class Blame:
    """What has been blamed so far on which module of a trace."""

    def __init__(self, trace: Trace) -> None:
        self.trace = trace
        self.steps: Counter[str] = Counter()  # module -> steps that were taken
        self.linked: set[str] = set()
        self.seen: defaultdict[Key, list[tuple[Kept, float | None]]] = defaultdict(list)
        self.ways: dict[Key, list[Way]] = {}  # number -> ways to make up for it that are left to try

    def guess(self) -> None:
        """Expect of numbers that are a power of a size the module holds that they change with it; drops tell."""
        held = self._held()
        for key, use in self.trace.factors.uses.items():
            for source, cut in held if use.value and use.ways else ():
                row = tuple(cut.parts[0] * cut.times)
                power = _power_of(len(row), use.value)
                if source.module == key.module and power is not None and len(row) > 1:
                    self.ways[key] = use.ways
                    self.trace.rescaled[key] = Rescaled(use.ways[0], str(source.held), row, power * use.sign)
                    break

    def _held(self) -> list[tuple[Source, Cut]]:
        """Return the sizes that modules hold, with what they cut."""
        return [(key, cut) for key, cut in self.trace.cuts.items() if isinstance(key, Source) and not key.row]

    def _held_near(self, module: str) -> tuple[list[tuple[Source, Cut]], list[tuple[Source, Cut]]]:
        """Return the sizes that a module and those within it hold, and those that others do."""
        near: list[tuple[Source, Cut]] = []
        far: list[tuple[Source, Cut]] = []
        for source, cut in self._held():
            if _far(source.module, module) <= 1:
                near.append((source, cut))
            else:
                far.append((source, cut))
        return near, far

    def unexplained(self, outcome: Outcome, kept: Kept) -> dict[Key, float | None]:
        """Return the ratios of numbers that are not what is made up for."""
        changed: dict[Key, float | None] = {}
        for key, ratio in outcome.ratios.items():
            if not self._explained(key, ratio, kept):
                changed[key] = ratio
        for key in self.trace.rescaled:
            if key not in outcome.ratios and not self._explained(key, 1.0, kept):
                changed[key] = 1.0
        return changed

    def _explained(self, key: Key, ratio: float | None, kept: Kept) -> bool:
        made_up = self.trace.rescaled.get(key)
        if made_up is None or ratio is None:
            return False
        sign = self.trace.factors.uses[key].sign
        return bool(abs(ratio * kept.share(made_up.row) ** (-made_up.power * sign) - 1) <= EXACT)

    def numbers(self, changed: dict[Key, float | None], kept: Kept, *, known: bool) -> bool:
        """Have numbers that code computes from a width made up for, or freeze what they come from.

        Args:
            changed: New / old of each.
            kept: What is kept where that was seen.
            known: Whether to look only at those that are a power of a known width.

        Returns:
            Whether there was anything to do.
        """
        done = False
        for key, ratio in changed.items():
            if ratio == 1:  # it does not come from this width
                self.trace.rescaled.pop(key)
                done = True
                continue
            self.seen[key].append((kept, ratio))
            match = next(self._matches(key), None)
            if known and match is None:
                self.seen[key].pop()
                continue
            self.trace.rescaled.pop(key, None)
            done = True
            reason = Reason.at("number computed from a width", _named(key.module))
            if match is not None:
                self._make_up(key, match, reason)
            elif not self._freeze([*self._entering(key.module), *self._made(key.module)], reason):
                self._blame(Finding(key.module, failed=False, said=reason), key.module, reason)
        return done

    def _make_up(self, key: Key, match: tuple[str, tuple[int, ...], float], reason: Reason) -> None:
        width, row, power = match
        use = self.trace.factors.uses.get(key)
        ways = self.ways.setdefault(key, use.ways if use is not None else [])
        if ways and use is not None:
            self.trace.rescaled[key] = Rescaled(ways[0], width, row, power * use.sign)
        else:
            self._freeze([torch.tensor(row)], reason)

    def in_flight(self) -> set[object]:
        """Return factors, as a trace's marks have them, of tensors whose scale is not yet, or no longer, the same."""
        factors: set[object] = set()
        for key, made_up in self.trace.rescaled.items():
            makers = set(_layers(made_up.way)) - self.trace.inputs.keys()
            factors |= makers or {key}
        return factors

    def doubt(self, outcome: Outcome) -> bool:
        """Try another way to make up for the numbers that have to do with what was found; return whether there are."""
        doubted = [key for key in self.trace.rescaled if self._is_touched(key, outcome.findings)]
        for key in doubted:
            made_up = self.trace.rescaled.pop(key)
            self.ways[key] = self.ways[key][1:]
            if self.ways[key]:
                self.trace.rescaled[key] = Rescaled(self.ways[key][0], made_up.width, made_up.row, made_up.power)
            else:
                reason = Reason.at("number computed from a width", _named(key.module))
                self._freeze([torch.tensor(made_up.row)], reason)
        return bool(doubted)

    def _is_touched(self, key: Key, findings: Iterable[Finding]) -> bool:
        """Whether a number has to do with anything that was found."""
        return any(self._touches(finding, key) for finding in findings)

    def _touches(self, finding: Finding, key: Key) -> bool:
        layers = _layers(self.trace.rescaled[key].way)
        if finding.module in (key.module, *layers):
            return True
        marks = _marks(self.trace.visits[finding.module])
        return any(not mark.factors.isdisjoint({key, *layers}) for mark in marks)

    def find(self, findings: list[Finding]) -> bool:
        """Freeze a step more of what each module touches that was found at fault; return whether there was any."""
        done = False
        for finding in findings:
            reason = Reason.at("fixed width" if finding.failed else "differs", _named(finding.module))
            done = self._blame(finding, finding.module, reason) or done
        return done

    def _blame(self, finding: Finding, module: str, reason: Reason) -> bool:
        """Take the next step for a module that freezes anything, or else for the one around it."""
        while self.steps[module] < len(STEPS):
            step = STEPS[self.steps[module]]
            self.steps[module] += 1
            if step(self, finding, module, reason):
                return True
        return bool(module) and self._blame(finding, module.rpartition(".")[0], reason)

    def _link(self, finding: Finding, module: str, _: str) -> bool:
        if not finding.failed or module in self.linked:
            return False
        self.linked.add(module)
        return link_width(self.trace, module)

    def _freeze_tensor(self, finding: Finding, module: str, reason: Reason) -> bool:
        """Freeze what differs, where it is the model's own code that made it, which touches everything."""
        if finding.place is None or module:
            return False
        name, call, side, place = finding.place
        marks = getattr(self.trace.visits[name][call], side) if call < len(self.trace.visits[name]) else []
        return self._freeze(marks[place].planes if place < len(marks) else [], reason)

    def _freeze_passing(self, finding: Finding, module: str, reason: Reason) -> bool:
        """Freeze what enters a module and, where what it says differs, what leaves it."""
        visits = [] if finding.failed else self.trace.visits[module]
        return self._freeze([*self._entering(module), *planes_of(_marks(visits, "leaving"))], reason)

    def _freeze_call(self, finding: Finding, module: str, reason: Reason) -> bool:
        """Freeze what enters and leaves the one call that differs: an activation may be shared by the whole model."""
        if finding.place is None or finding.place[0] != module:
            return False
        visits = self.trace.visits[module][finding.place[1] :][:1]
        return self._freeze(planes_of(_marks(visits)), reason)

    def _freeze_made(self, _: Finding, module: str, reason: Reason) -> bool:
        return self._freeze(self._made(module), reason)

    def _entering(self, module: str) -> list[Tensor]:
        return planes_of(_marks(self.trace.visits[module], "entering"))

    def _made(self, module: str) -> list[Tensor]:
        """Return what the layers within a module make."""
        made = self.trace.outputs.items()
        return [labels for name, labels in made if not module or within(name, module)]

    def _freeze(self, rows: Iterable[Tensor], reason: Reason) -> bool:
        """Freeze labels; return whether any were free."""
        before = len(self.trace.labels.frozen())
        for labels in rows:
            self.trace.labels.freeze(labels, reason)
        return len(self.trace.labels.frozen()) > before

    def _matches(self, key: Key) -> Iterator[tuple[str, tuple[int, ...], float]]:
        """Yield the widths of which a number is a power, by name, with the row they count and the power."""
        for width, row in self._widths(key.module):
            for power in POWERS:
                if _holds(power, row, self.seen[key]):
                    yield width, row, power

    def _widths(self, module: str) -> Iterator[tuple[str, tuple[int, ...]]]:
        """Yield the widths that the code of a module may know, the likelier first."""
        near, far = self._held_near(module)
        for source, cut in sorted(near, key=lambda item: (_far(item[0].module, module), item[1].times)):
            yield str(source.held), tuple(cut.parts[0] * cut.times)
        for what, side in (("out", self.trace.outputs), ("in", self.trace.inputs)):
            for name, labels in side.items():
                if not module or within(name, module):
                    yield f"{name} {what}", tuple(labels.tolist())
        around = [name for name in self.trace.visits if within(name, module) or not module or within(module, name)]
        for name in sorted(around, key=lambda name: _far(name, module)):
            for visit in self.trace.visits[name]:
                for labels in planes_of(visit.marks):
                    yield f"{name} passes", tuple(labels.abs().flatten().tolist())
        for source, cut in far:
            yield str(source.held), tuple(cut.parts[0] * cut.times)


def _power_of(width: int, value: float | None) -> float | None:
    """Return of which power of a width a value is, if it is one."""
    for power in POWERS:
        if width**power == value:
            return power
    return None


def _holds(power: float, row: tuple[int, ...], seen: Iterable[tuple[Kept, float | None]]) -> bool:
    """Whether all ratios that were seen are that power of the share of a row that was kept."""
    for kept, ratio in seen:
        if ratio is None or not abs(kept.share(row) ** power - ratio) <= EXACT * ratio:
            return False
    return True


def _layers(way: Way) -> list[str]:
    return [layer for layer, _ in way]


def _marks(visits: Iterable[Visit], side: Literal["entering", "leaving", "marks"] = "marks") -> Iterator[Mark]:
    """Yield what is known of the tensors of some calls: of those that enter, that leave, or both."""
    for visit in visits:
        yield from getattr(visit, side)


def _far(name: str, module: str) -> int:
    """Order modules: this one, those within it, and others."""
    return 0 if name == module else 1 if within(name, module) else 2


def _named(module: str) -> str:
    return module or "the model"


STEPS = (Blame._link, Blame._freeze_tensor, Blame._freeze_call, Blame._freeze_passing, Blame._freeze_made)  # noqa: SLF001
