"""Walks through the masked and the sliced copy of a model, module by module, and what they find (`probe`)."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from ..labels.kept import LEAST, difference, mapped
from ..labels.tracked import tensors
from ..passes.copying import FAILURES
from ..passes.hearing import Hearing, has_code, unheard
from ..passes.outputs import laid_out
from ..passes.passes import run_pass
from ..passes.shadow import watched
from .twins import seeded

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ..labels.tracked import Value
    from ..passes.passes import Pass
    from ..passes.shadow import Arguments

    Place = tuple[str, int, str, int]  # as in a Finding
    Wanted = Callable[[str, int, str, int, Tensor, Tensor], list[Tensor]]

ROUGHLY = 100.0  # times the rounding of a value, that of a sum in which such values cancel out


@dataclass(frozen=True)
class Drop:
    """What is tried.

    Attributes:
        lost: Groups that go.
        seed: For BatchNorms and images; None keeps the model's own BatchNorms.
        ways: The ways to run it; one that fails at full width as well must come as far.
        removed: Blocks that go as a whole.
        which: Modules to compare in a quick pass. What PyTorch's own do is known, and shows in those around them.
    """

    lost: set[int]
    seed: int | None
    ways: Sequence[Pass]
    removed: Mapping[str, list[str]] = field(default_factory=dict)
    which: Callable[[str, nn.Module], bool] = has_code

    def watched(self, *, thorough: bool) -> Callable[[str, nn.Module], bool]:
        """Return which modules to compare."""
        return (lambda *_: True) if thorough else self.which


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
    place: Place | None = None


@dataclass
class Heard:
    """A call of a module in the masked pass.

    Attributes:
        entering: Copies of what entered.
        leaving: And of what left, nested as it was.
        size: The largest value that entered it or the module around it: as little of it as rounding is counts as zero.
    """

    entering: list[Tensor]
    leaving: object = None
    size: float = 0.0
    counts: dict[str, int] = field(default_factory=dict)


class Walk:
    """A pass through a twin, module by module."""

    def __init__(self, hearing: Hearing, *, thorough: bool) -> None:
        self.hearing, self.thorough = hearing, thorough
        self.stack: list[tuple[str, int]] = []
        self.calls: Counter[str] = Counter()
        self.reached: list[int] = []  # how many modules ran in each way that failed
        self.names: dict[int, str] = {}  # of the modules of the twin, by their ids
        self.shared: list[str] = []  # modules that stand in several places, as an activation of the whole model

    def run(self, twin: nn.Module, drop: Drop) -> None:
        """Run a twin on noise, in each way.

        Raises:
            Whatever its code raises; then `stack` has the modules that were running.
        """
        self.names = {id(module): name for name, module in twin.named_modules()}
        self.shared = _shared(twin)
        for number, way in enumerate(drop.ways):
            before = self.calls.copy()
            noise = torch.rand(way.shape, generator=torch.Generator().manual_seed(number + (drop.seed or 0)))
            with (
                watched(twin, self.enter, self.leave, drop.watched(thorough=self.thorough)),
                seeded(twin),
                self.hearing,
            ):
                try:
                    run_pass(twin, way, noise.to(next(twin.parameters())))
                except FAILURES:
                    self.reached.append(sum((self.calls - before).values()))
                    if way.calls is None or not self.far_enough():
                        raise
                    del self.stack[:], self.hearing.modules[:]

    def far_enough(self) -> bool:
        """Whether a way that fails came as far as it should."""
        return True

    def enter(self, name: str, module: nn.Module, arguments: Arguments) -> Arguments | None:
        """Begin a call."""
        self.stack.append((name, self.calls[name]))
        self.calls[name] += 1
        modules = self.hearing.modules
        modules.append((name, Counter()) if has_code(name, module) or not modules else modules[-1])
        if not self.thorough:
            return None
        with unheard():
            return self.entering(name, self.stack[-1][1], arguments)

    def leave(self, module: nn.Module, result: object) -> object:
        """End a call, and those in it that have failed, which its code has caught."""
        name = None
        while name != self.names[id(module)]:
            self.hearing.modules.pop()
            name, call = self.stack.pop()
        self.recount(name, call)
        with unheard():
            given = result if name else laid_out(result)
            right = self.leaving(name, call, given)
        return right if given is result else None

    def recount(self, name: str, call: int) -> None:
        """Keep the numbers of the calls of shared modules the same in both walks, whatever way a module has taken."""
        raise NotImplementedError

    def entering(self, name: str, call: int, arguments: Arguments) -> Arguments | None:
        """Look at what a module is given."""
        raise NotImplementedError

    def leaving(self, name: str, call: int, result: object) -> object:
        """Look at what a module says."""
        raise NotImplementedError


class MaskedWalk(Walk):
    """Notes what there is to compare; a tensor that several modules pass on is noted once."""

    def __init__(self, hearing: Hearing, *, thorough: bool) -> None:
        super().__init__(hearing, thorough=thorough)
        self.heard: dict[tuple[str, int], Heard] = {}
        self.last: tuple[object, int] = (None, 0)

    def enter(self, name: str, module: nn.Module, arguments: Arguments) -> Arguments | None:
        """Begin a call."""
        self.heard[name, self.calls[name]] = Heard([])
        return super().enter(name, module, arguments)

    def recount(self, name: str, call: int) -> None:
        """Note how often each shared module has been called when a module is left."""
        self.heard[name, call].counts = {shared: self.calls[shared] for shared in self.shared}

    def entering(self, name: str, call: int, arguments: Arguments) -> None:
        """Copy what a module is given."""
        heard = self.heard[name, call]
        heard.entering += map(Tensor.clone, tensors(arguments))
        around = self.heard[self.stack[-2]].size if len(self.stack) > 1 else 0.0
        heard.size = max(
            (float(t.abs().max()) for t in heard.entering if t.is_floating_point() and t.numel()), default=0
        )
        heard.size = max(heard.size, around) if math.isfinite(heard.size) else around

    def leaving(self, name: str, call: int, result: object) -> None:
        """Copy what a module says."""
        if isinstance(result, Tensor) and not self.thorough:
            if self.last[0] is result and self.last[1] == result._version:  # noqa: SLF001 - counts changes in place
                return
            self.last = result, result._version  # noqa: SLF001
        self.heard[name, call].leaving = mapped(result, Tensor.clone)


class SlicedWalk(Walk):
    """Compares with what the masked pass said; a thorough one puts it right."""

    def __init__(self, hearing: Hearing, masked: MaskedWalk, wanted: Wanted, limit: float) -> None:
        super().__init__(hearing, thorough=masked.thorough)
        self.masked, self.heard, self.wanted, self.limit = masked, masked.heard, wanted, limit
        self.worst, self.zero = 0.0, limit * ROUGHLY
        self.findings: dict[tuple[str, bool], Finding] = {}
        self.begun: set[tuple[str, int]] = set()

    def recount(self, name: str, call: int) -> None:
        """Count on from where the masked walk was."""
        if (name, call) in self.heard:
            for shared, count in self.heard[name, call].counts.items():
                self.calls[shared] = count

    def far_enough(self) -> bool:
        """Whether a way that fails came as far as it does at full width."""
        place = len(self.reached) - 1
        return place < len(self.masked.reached) and self.reached[place] >= self.masked.reached[place]

    def note(self, module: str, said: str, place: Place | None = None, *, failed: bool = False) -> None:
        """Note what was found of a module, unless it is known."""
        self.findings.setdefault((module, failed), Finding(module, failed, said, place))

    def entering(self, name: str, call: int, arguments: Arguments) -> Arguments | None:
        """Compare what a module is given; what differs is the fault of the code around it."""
        heard = self.heard.get((name, call))
        around = self.stack[-2][0] if len(self.stack) > 1 else ""
        if heard is None:
            self.note(around, f"calls {name}")
            return None
        right: Arguments | None = self.put_right(around, (name, call, "entering"), arguments, heard.entering)
        return right

    def leaving(self, name: str, call: int, result: object) -> object:
        """Compare what a module says."""
        heard = self.heard.get((name, call))
        if heard is None or heard.leaving is None:
            return None
        return self.put_right(name, (name, call, "leaving"), result, tensors(heard.leaving))

    def put_right(self, blamed: str, at: tuple[str, int, str], ours: object, theirs: list[Tensor]) -> Value:
        """Compare tensors; return the right ones, or None for those that are there.

        Also where they differ by rounding only: through a hundred layers that would grow.
        """
        flat = tensors(ours)
        if len(flat) != len(theirs):
            self.worst = float("inf")
            self.note(blamed, f"{len(flat)} tensors, not {len(theirs)}")
            return None
        right: dict[int, Tensor] = {}
        for place, (tensor, masked) in enumerate(zip(flat, theirs)):
            wanted = self.wanted(*at, place, masked, tensor)
            apart = difference(tensor, wanted, max(LEAST, self.zero * self.heard[at[:2]].size))
            self.worst = float("inf") if math.isnan(apart) else max(self.worst, apart)
            if not apart <= self.limit:
                self.note(blamed, f"{apart:.1e} apart", (*at, place))
            if wanted and (isinstance(ours, Tensor) or not apart <= self.limit):
                other = _shaped_as(tensor, wanted)
                right[place] = other.clone() if other is masked else other  # which code may write into
        if isinstance(ours, Tensor):
            return right.get(0)
        if not right or not self.thorough:  # nested values may be more than what is in them
            return None
        places = iter(range(len(flat)))
        return mapped(ours, lambda tensor: right.get(next(places), tensor))

    def instead(self, name: str, call: int, error: Exception) -> object:
        """Return what a module whose code failed should have said."""
        heard = self.heard.get((name, call))
        if heard is None or heard.leaving is None:
            raise error
        self.worst = float("inf")
        self.recount(name, call)
        self.note(name, f"{type(error).__name__}: {error}", failed=True)
        places = iter(range(len(tensors(heard.leaving))))

        def right(tensor: Tensor) -> Tensor:
            wanted = self.wanted(name, call, "leaving", next(places), tensor, tensor)
            return wanted[0].clone() if wanted else tensor.clone()

        return mapped(heard.leaving, right)


def _shaped_as(tensor: Tensor, wanted: list[Tensor]) -> Tensor:
    """Return the first that has a tensor's shape, or else the first."""
    for other in wanted:
        if other.shape == tensor.shape:
            return other
    return wanted[0]


def _shared(twin: nn.Module) -> list[str]:
    held: Counter[int] = Counter()
    for module in twin.modules():
        held.update(map(id, module._modules.values()))  # noqa: SLF001
    return [name for name, module in twin.named_modules() if held[id(module)] > 1]
