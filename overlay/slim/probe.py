"""The probe: does the model say without some channels what it says when they are silent?

Labels cannot tell all that code does. So two copies of the model are run, one masked and one sliced (`twins`), and
what leaves each module is compared. Where it is not the same up to rounding, a thorough pass in float64 tells where
that begins: what a module was given, and what it says, is put right at once, so that each module answers for its own
code alone.
"""

from __future__ import annotations

import math
from collections import Counter
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from .copying import FAILURES
from .hearing import Hearing, unheard
from .kept import difference, mapped
from .passes import run_pass
from .shadow import watched
from .trace import tensors
from .twins import Statistics, masked_twin, measured, seeded, sliced_twin

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from .channels import Channels
    from .passes import Pass
    from .rescaling import Key

    Wanted = Callable[[str, int, str, int, Tensor], list[Tensor]]

FLOAT32, FLOAT64 = 5e-5, 1e-6  # the most that is rounding, relative to the largest value of a tensor
PLAIN = 1e-4  # the most in float32 where a model does not run in float64
SAME_NUMBER = 1e-6  # relative difference up to which a number has not changed


class UnfitError(Exception):
    """The model itself, all of it, does not run on this image."""


@dataclass(frozen=True)
class Drop:
    """What is tried.

    Attributes:
        lost: Groups that go.
        seed: For BatchNorms and pictures; None keeps the model's own BatchNorms.
        ways: The ways to run it; one that fails at full width as well must come as far.
    """

    lost: set[int]
    seed: int | None
    ways: Sequence[Pass]


@dataclass(frozen=True)
class Finding:
    """A module whose code does not suit other widths.

    Attributes:
        module: Its name.
        failed: Whether it raised, or else gave something else.
        said: The error, or what differs.
        place: (module, number of the call, "entering" or "leaving", which tensor) of what differs, if it is known.
    """

    module: str
    failed: bool
    said: str
    place: tuple[str, int, str, int] | None = None


@dataclass
class Outcome:
    """What a drop has shown.

    Attributes:
        worst: The largest relative difference of any tensor, infinite where code failed.
        failed: The modules that were running when code failed, innermost first.
        ratios: Number -> new / old, for those that code has computed anew; None where that is no ratio.
        findings: Of a thorough pass.
    """

    worst: float = 0.0
    failed: list[str] = field(default_factory=list)
    ratios: dict[Key, float | None] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)


@dataclass
class Heard:
    """A call of a module in the masked pass: copies of what entered and what left, nested as it was."""

    entering: list[Tensor]
    leaving: Any = None


class _Pass:
    """A pass through a twin, module by module."""

    def __init__(self, hearing: Hearing, *, thorough: bool) -> None:
        self.hearing, self.thorough = hearing, thorough
        self.stack: list[tuple[str, int]] = []
        self.calls: Counter[str] = Counter()
        self.reached: list[int] = []  # how many modules ran in each way that failed

    def run(self, twin: nn.Module, drop: Drop) -> None:
        """Run a twin on noise, in each way.

        Raises:
            Whatever its code raises; then `stack` has the modules that were running.
        """
        first = next(twin.parameters())
        for number, way in enumerate(drop.ways):
            before = self.calls.copy()
            noise = torch.rand(way.shape, generator=torch.Generator().manual_seed(number + (drop.seed or 0)))
            with watched(twin, self.enter, self.leave), seeded(twin), self.hearing:
                try:
                    run_pass(twin, way, noise.to(first))
                except FAILURES:
                    self.reached.append(sum((self.calls - before).values()))
                    if way.calls is None or not self.far_enough():
                        raise
                    del self.stack[:], self.hearing.modules[:]

    def far_enough(self) -> bool:
        """Whether a way that fails came as far as it should."""
        return True

    def enter(self, name: str, module: nn.Module, arguments: Any) -> Any:
        """Begin a call."""
        self.stack.append((name, self.calls[name]))
        self.calls[name] += 1
        self.hearing.modules.append((name, Counter()))
        if not self.thorough:
            return None
        with unheard():
            return self.entering(name, self.stack[-1][1], arguments)

    def leave(self, module: nn.Module, result: Any) -> Any:
        """End a call."""
        self.hearing.modules.pop()
        name, call = self.stack.pop()
        # A convolution is not worth a comparison of its own: what reads it is compared.
        if isinstance(module, _ConvNd) and not self.thorough:
            return None
        with unheard():
            return self.leaving(name, call, result)

    def entering(self, name: str, call: int, arguments: Any) -> Any:
        """Look at what a module is given."""
        raise NotImplementedError

    def leaving(self, name: str, call: int, result: Any) -> Any:
        """Look at what a module says."""
        raise NotImplementedError


class _Masked(_Pass):
    """Notes what there is to compare; a tensor that several modules pass on is noted once."""

    def __init__(self, hearing: Hearing, *, thorough: bool) -> None:
        super().__init__(hearing, thorough=thorough)
        self.heard: dict[tuple[str, int], Heard] = {}
        self.last: tuple[Any, int] = (None, 0)

    def enter(self, name: str, module: nn.Module, arguments: Any) -> Any:
        """Begin a call."""
        self.heard[name, self.calls[name]] = Heard([])
        return super().enter(name, module, arguments)

    def entering(self, name: str, call: int, arguments: Any) -> None:
        """Copy what a module is given."""
        self.heard[name, call].entering += [tensor.clone() for tensor in tensors(arguments)]

    def leaving(self, name: str, call: int, result: Any) -> None:
        """Copy what a module says."""
        if isinstance(result, Tensor) and not self.thorough:
            if self.last[0] is result and self.last[1] == result._version:  # noqa: SLF001 - counts changes in place
                return
            self.last = result, result._version  # noqa: SLF001
        self.heard[name, call].leaving = mapped(result, Tensor.clone)


class _Sliced(_Pass):
    """Compares with what the masked pass said; a thorough one puts it right."""

    def __init__(self, hearing: Hearing, masked: _Masked, wanted: Wanted, limit: float) -> None:
        super().__init__(hearing, thorough=masked.thorough)
        self.masked, self.heard, self.wanted, self.limit = masked, masked.heard, wanted, limit
        self.worst = 0.0
        self.found: dict[tuple[str, bool], Finding] = {}
        self.begun: set[tuple[str, int]] = set()

    def far_enough(self) -> bool:
        """Whether a way that fails came as far as it does at full width."""
        place = len(self.reached) - 1
        return place < len(self.masked.reached) and self.reached[place] >= self.masked.reached[place]

    def note(self, module: str, said: str, place: Any = None, *, failed: bool = False) -> None:
        """Note what was found of a module, unless it is known."""
        self.found.setdefault((module, failed), Finding(module, failed, said, place))

    def entering(self, name: str, call: int, arguments: Any) -> Any:
        """Compare what a module is given; what differs is the fault of the code around it."""
        heard = self.heard.get((name, call))
        around = self.stack[-2][0] if len(self.stack) > 1 else ""
        if heard is None:
            self.note(around, f"calls {name}")
            return None
        return self.put_right(around, (name, call, "entering"), arguments, heard.entering)

    def leaving(self, name: str, call: int, result: Any) -> Any:
        """Compare what a module says."""
        heard = self.heard.get((name, call))
        if heard is None or heard.leaving is None:
            return None
        return self.put_right(name, (name, call, "leaving"), result, tensors(heard.leaving))

    def put_right(self, blamed: str, at: tuple[str, int, str], ours: Any, theirs: list[Tensor]) -> Any:
        """Compare tensors; return all with the right ones in place, or None where none is wrong."""
        found = tensors(ours)
        if len(found) != len(theirs):
            self.worst = float("inf")
            self.note(blamed, f"{len(found)} tensors, not {len(theirs)}")
            return None
        right: dict[int, Tensor] = {}
        for place, (tensor, masked) in enumerate(zip(found, theirs)):
            wanted = self.wanted(*at, place, masked)
            apart = difference(tensor, wanted)
            self.worst = max(self.worst, apart) if apart == apart else float("inf")  # noqa: PLR0124 - NaN
            if not apart <= self.limit:
                self.note(blamed, f"{apart:.1e} apart", (*at, place))
                right[place] = wanted[0]
        if not right or not self.thorough:
            return None
        places = iter(range(len(found)))
        return mapped(ours, lambda tensor: right.get(next(places), tensor))

    def instead(self, name: str, call: int, error: Exception) -> Any:
        """Return what a module whose code failed should have said."""
        heard = self.heard.get((name, call))
        if heard is None or heard.leaving is None:
            raise error
        self.worst = float("inf")
        self.note(name, f"{type(error).__name__}: {error}", failed=True)
        places = iter(range(len(tensors(heard.leaving))))

        def right(tensor: Tensor) -> Tensor:
            wanted = self.wanted(name, call, "leaving", next(places), tensor)
            return wanted[0].clone() if wanted else tensor.clone()

        return mapped(heard.leaving, right)


@contextmanager
def _caught(twin: nn.Module, sliced: _Sliced) -> Iterator[None]:
    """Let each module whose code fails say what it should have."""

    def catching(name: str, forward: Any) -> Any:
        def caught(*args: Any, **kwargs: Any) -> Any:
            at = sliced.stack[-1] if sliced.stack else ("", -1)
            if at[0] != name or at in sliced.begun:  # called past its hooks
                return forward(*args, **kwargs)
            sliced.begun.add(at)
            depth = len(sliced.stack)
            try:
                return forward(*args, **kwargs)
            except FAILURES as error:
                del sliced.stack[depth:]
                del sliced.hearing.modules[depth:]
                with unheard():
                    return sliced.instead(*at, error)

        return caught

    for name, module in twin.named_modules():
        module.forward = catching(name, module.forward)  # the twin is thrown away
    yield


def probe(
    model: nn.Module, channels: Channels, drop: Drop, wanted: Wanted, *, thorough: bool = False, exact: bool = False
) -> Outcome:
    """Compare the masked and the sliced model on one image.

    Args:
        model: The model; it is only copied.
        channels: Its channels as known so far.
        drop: What is dropped, and on which image.
        wanted: Says what a tensor of the sliced model must be, given the module, the number of its call, "entering" or
            "leaving", which of these tensors it is, and that tensor of the masked model; nothing for any.
        thorough: Whether to tell where differences begin, and to put them right there.
        exact: Whether to compute in float64.

    Raises:
        UnfitError: The masked model does not run.
    """
    statistics: Statistics = {}
    masked = _Masked(Hearing(), thorough=thorough)
    twin = masked_twin(model, channels, drop.lost, drop.seed, exact=exact)
    try:
        with measured(twin, drop.seed, statistics):
            masked.run(twin, drop)
    except FAILURES as error:
        raise UnfitError(str(error)) from error
    twin = sliced_twin(model, channels, drop.lost, drop.seed, statistics, exact=exact)
    limit = FLOAT64 if exact else PLAIN if thorough else FLOAT32
    sliced = _Sliced(Hearing(masked.hearing, tolerance=limit), masked, wanted, limit)
    outcome = Outcome()
    try:
        with _caught(twin, sliced) if thorough else nullcontext():
            sliced.run(twin, drop)
    except FAILURES as error:
        outcome.failed = [name for name, _ in sliced.stack[::-1]]
        sliced.note(outcome.failed[0], f"{type(error).__name__}: {error}", failed=True)
        sliced.worst = float("inf")
    outcome.worst, outcome.findings = sliced.worst, list(sliced.found.values())
    outcome.ratios = _ratios(masked.hearing, sliced.hearing)
    return outcome


def _ratios(full: Hearing, less: Hearing) -> dict[Key, float | None]:
    """Return new / old of each number, in the first call in which it has changed; None where that is no ratio."""
    found: dict[Key, float | None] = {}
    for key, calls in full.numbers.items():
        changed = [pair for pair in zip(calls, less.numbers.get(key, [])) if not _same(*pair)]
        if changed:
            old, new = changed[0]
            found[key] = new[0] / old[0] if len(old) == len(new) == 1 and old[0] * new[0] > 0 else None
    return found


def _same(old: tuple[float, ...], new: tuple[float, ...]) -> bool:
    """Whether numbers are the same, up to rounding."""
    pairs = zip(old, new)
    return len(old) == len(new) and all(
        math.isclose(a, b, rel_tol=SAME_NUMBER) or (a != a and b != b) for a, b in pairs
    )
