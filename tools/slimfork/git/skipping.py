"""Which patches a fork does without: what `--skip` and `--with` name, besides what the fork says of itself. Pure."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

from slimfork.terminal.errors import UsageError
from slimfork.terminal.words import typed

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from slimfork.codemods.patch import Patch
    from slimfork.codemods.patch_plan import PatchPlan


def chosen(
    series: Sequence[Patch], before: Collection[str], *, skip: Sequence[str] = (), put_in: Sequence[str] = ()
) -> frozenset[str]:
    """Return the ids of the patches that are left out one by one.

    Args:
        series: The patches of the upstream.
        before: What the fork left out so far.
        skip: What is left out from now on.
        put_in: What is not left out any more.

    Raises:
        UsageError: There is no such patch, or a fork cannot do without it.
    """
    both = sorted({*skip}.intersection(put_in))
    if both:
        raise UsageError(f"--skip and --with both name {', '.join(both)}", hint="name it once")
    known: list[str] = []
    free: list[str] = []
    for patch in series:
        known.append(patch.id)
        if patch.skippable:
            free.append(patch.id)
    for name in (*skip, *put_in):
        if name not in known:
            near = get_close_matches(name, known, n=1, cutoff=0)
            raise UsageError(f"there is no patch {name!r}", hint=f"{', '.join(near)}; all of them: {', '.join(known)}")
    fixed = [name for name in skip if name not in free]
    if fixed:
        hint = f"--skip is for: {', '.join(free) or 'none'}"
        raise UsageError(f"a fork cannot do without {', '.join(fixed)}", hint=hint)
    return frozenset({*before, *skip}.intersection(known)) - {*put_in}


def refuse_applied(plan: PatchPlan, skip: Collection[str], path: object) -> None:
    """Refuse to leave out what is there already."""
    there = [step.patch.id for step in plan.steps if step.state == "applied" and step.patch.id in skip]
    if there:
        place = typed(str(path))
        hint = f"apply-patches revert {place} --patch {there[0]}, then apply-patches apply {place} {options(there)}"
        raise UsageError(f"{', '.join(there)} {'is' if len(there) == 1 else 'are'} applied already", hint=hint)


def way_out(plan: PatchPlan, command: str) -> str | None:
    """Return what to type when patches do not fit of which a fork can do without all, or some, or None."""
    free = [step.patch.id for step in plan.broken if step.patch.skippable]
    if not free:
        return None
    whole = f"{command} {options(free)}"
    return whole if len(free) == len(plan.broken) else f"{whole}, when the others fit"


def options(names: Iterable[str]) -> str:
    """Return the options that leave patches out."""
    return " ".join(f"--skip {name}" for name in names)
