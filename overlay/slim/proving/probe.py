"""The probe: does the model say without some channels what it says when they are silent?

Labels cannot tell all that code does. So two copies of the model are run, one masked and one sliced (`twins`), and
what leaves each module is compared. Where it is not the same up to rounding, a thorough pass in float64 tells where
that begins: what a module was given, and what it says, is put right at once, so that each module answers for its own
code alone.
"""

from __future__ import annotations

import math
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..passes.copying import FAILURES
from ..passes.hearing import Hearing, unheard
from .twins import Drawn, masked_twin, measured, sliced_twin
from .walks import Finding, MaskedWalk, SlicedWalk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import nn

    from ..analysis.channels import Channels
    from ..labels.rescaling import Key
    from .walks import Drop, Wanted

FLOAT32, FLOAT64 = 1e-5, 1e-6  # the most that is rounding, relative to the largest value of a tensor
PLAIN = 1e-4  # the most in float32 where a model does not run in float64
SAME_NUMBER = 1e-6  # relative difference up to which a number has not changed


class UnfitError(Exception):
    """The model itself, all of it, does not run on this image."""


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


@dataclass(frozen=True)
class Full:
    """What the masked model has said, and what was drawn for it."""

    walk: MaskedWalk
    drawn: Drawn


def at_full_width(
    model: nn.Module, channels: Channels, drop: Drop, *, thorough: bool = False, exact: bool = False
) -> Full:
    """Run the masked model; arguments and errors are those of `probe`."""
    full = Full(MaskedWalk(Hearing(), thorough=thorough), {})
    twin = masked_twin(model, channels, drop, full.drawn, exact=exact)
    try:
        with measured(twin, full.drawn):
            full.walk.run(twin, drop)
    except FAILURES as error:
        raise UnfitError(str(error)) from error
    return full


def probe(
    model: nn.Module,
    channels: Channels,
    drop: Drop,
    wanted: Wanted,
    *,
    thorough: bool = False,
    exact: bool = False,
    full: Full | None = None,
) -> Outcome:
    """Compare the masked and the sliced model on one image.

    Args:
        model: The model; it is only copied.
        channels: Its channels as known so far.
        drop: What is dropped, and on which image.
        wanted: Says what a tensor of the sliced model must be, given the module, the number of its call, "entering" or
            "leaving", which of these tensors it is, that tensor of the masked model, and its own; nothing for any.
        thorough: Whether to tell where differences begin, and to put them right there.
        exact: Whether to compute in float64.
        full: What the masked model says of this drop, where that is known.

    Raises:
        UnfitError: The masked model does not run.
    """
    full = full or at_full_width(model, channels, drop, thorough=thorough, exact=exact)
    masked = full.walk
    twin = sliced_twin(model, channels, drop, full.drawn, exact=exact)
    limit = FLOAT64 if exact else PLAIN if thorough else FLOAT32
    sliced = SlicedWalk(Hearing(masked.hearing, tolerance=limit), masked, wanted, limit)
    outcome = Outcome()
    try:
        with caught(twin, sliced) if thorough else nullcontext():
            sliced.run(twin, drop)
    except FAILURES as error:
        outcome.failed = [name for name, _ in sliced.stack[::-1]]
        outcome.failed = outcome.failed or [""]  # code that another thread has run
        sliced.note(outcome.failed[0], f"{type(error).__name__}: {error}", failed=True)
        sliced.worst = float("inf")
    outcome.worst, outcome.findings = sliced.worst, list(sliced.findings.values())
    outcome.ratios = _ratios(masked.hearing, sliced.hearing)
    return outcome


@contextmanager
def caught(twin: nn.Module, sliced: SlicedWalk) -> Iterator[None]:
    """Let each module whose code fails say what it should have."""

    def catching(name: str, forward: Callable[..., object]) -> Callable[..., object]:
        def caught(*args: object, **kwargs: object) -> object:
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


def _ratios(full: Hearing, less: Hearing) -> dict[Key, float | None]:
    """Return new / old of each number, in the first call in which it has changed; None where that is no ratio."""
    ratios: dict[Key, float | None] = {}
    for key, calls in full.numbers.items():
        for old, new in zip(calls, less.numbers.get(key, [])):
            if not _same(old, new):
                ratios[key] = new[0] / old[0] if len(old) == len(new) == 1 and old[0] * new[0] > 0 else None
                break
    return ratios


def _same(old: tuple[float, ...], new: tuple[float, ...]) -> bool:
    """Whether numbers are the same, up to rounding."""
    return len(old) == len(new) and all(map(_is_close, old, new))


def _is_close(old: float, new: float) -> bool:
    return math.isclose(old, new, rel_tol=SAME_NUMBER) or (math.isnan(old) and math.isnan(new))
