"""Layers by pattern: which ones keep all their channels, whatever their scales say."""

from __future__ import annotations

from dataclasses import replace
from difflib import get_close_matches
from fnmatch import fnmatchcase
from itertools import chain
from typing import TYPE_CHECKING

from ..labels.labels import FIXED
from ..labels.reason import Reason
from .blocks import places_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ..analysis.channels import Channels

KEPT, OTHERS = Reason("kept by --keep", "asked"), Reason("not in --only", "asked")  # why a group is frozen
NEAREST = 3


class PatternError(ValueError):
    """A pattern that no layer answers to, the nearest being named, or patterns that leave nothing to prune."""


def protect(channels: Channels, *, keep: Sequence[str] = (), only: Sequence[str] = ()) -> Channels:
    """Return the channels of a model with fewer that may go.

    A layer loses no channel, nor do those that must lose the same ones, as behind a residual, when it matches `keep`,
    or when `only` is given and it matches none of that. A pattern is a shell's, of a layer's name or of any module's
    around it: `model.22` is the whole of that module, `*.cv1` every layer in a module of that name.

    Raises:
        PatternError: A pattern matches nothing, or nothing may go.
    """
    names = list(channels.outputs)
    spared = dict.fromkeys(matching(names, keep, "--keep"), KEPT)
    if only:
        wanted = matching(names, only, "--only")
        for name in names:
            if name not in wanted:
                spared.setdefault(name, OTHERS)
    frozen = dict(channels.frozen)
    for name, reason in spared.items():
        frozen.update(dict.fromkeys(channels.outputs[name], reason))
    frozen[FIXED] = channels.frozen[FIXED]
    less = replace(channels, frozen=frozen)
    if spared and not less.prunable_norms():
        raise PatternError("--keep and --only leave no channel that may go: name fewer layers, or others")
    return less


def matching(names: Sequence[str], patterns: Iterable[str], option: str) -> set[str]:
    """Return the layers that match any of these patterns, by their own name or that of a module around them."""
    matched: set[str] = set()
    for pattern in patterns:
        mine = {name for name in names if _answers(name, pattern)}
        if not mine:
            raise PatternError(f"{option} {pattern}: no layer is called so; {_nearest(names, pattern)}")
        matched |= mine
    return matched


def _answers(name: str, pattern: str) -> bool:
    """Whether a pattern is that of a layer, or of a module around it."""
    return any(fnmatchcase(place, pattern) for place in places_of(name))


def _nearest(names: Sequence[str], pattern: str) -> str:
    places = dict.fromkeys(chain.from_iterable(map(places_of, names)))
    near = get_close_matches(pattern.replace("*", ""), places, n=NEAREST, cutoff=0.0)
    return f"the nearest are {', '.join(near)}"
