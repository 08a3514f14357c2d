"""Take patches out of a fork again and keep the user's own changes, also those right beside ours."""

from __future__ import annotations

from collections import ChainMap
from difflib import get_close_matches
from itertools import chain
from typing import TYPE_CHECKING, cast

from slimfork.codemods.patch_plan import plan_patches
from slimfork.forks.fork import Tree
from slimfork.git import commits
from slimfork.git.merge import merge
from slimfork.terminal.errors import ConflictError, UsageError
from slimfork.terminal.words import typed

if TYPE_CHECKING:
    from collections.abc import Iterator, MutableMapping, Sequence

    from slimfork.codemods.patch import Patch
    from slimfork.codemods.patch_plan import PatchPlan
    from slimfork.forks.fork import Fork
    from slimfork.forks.overlay_state import FileState

OUR_STATES: tuple[FileState, ...] = ("present", "outdated", "dropped")  # the states of files that are as we left them


def take_out(fork: Fork, patch: str | None, *, overlay_too: bool = True) -> commits.Draft | None:
    """Return the commit that takes a patch out, or all of them and the overlay; None when nothing is there.

    What the applied series makes of the pristine import is the base of a three-way merge, what it makes without
    the patch is one side, and HEAD is the other.

    Args:
        fork: The fork.
        patch: The id of the patch; None for all.
        overlay_too: Whether the overlay goes with all of them.

    Raises:
        UsageError: There is no such patch, or the history does not say what the tree was before.
        ConflictError: The user has changed what would have to go.
    """
    applied = list(_applied(fork.plan))
    going = applied if patch is None else [p for p in applied if p.id == _known(fork, patch)]
    _refuse_broken(fork, patch)
    whole = patch is None and overlay_too
    overlay = list(chain.from_iterable(map(fork.overlay.having, OUR_STATES))) if whole else []
    changes = _without(fork, applied, going) if going else {}
    edited = fork.overlay.having("modified") if whole else []
    if edited:
        raise _conflict(fork, edited)
    if not going and not overlay:
        return None
    return commits.Draft(
        message=commits.revert_message(going, fork.trailer or _unpinned(fork), overlay=bool(overlay)),
        when=fork.when,
        files=commits.with_modes({**changes, **dict.fromkeys(overlay)}, fork.tree.mode),
    )


def _applied(plan: PatchPlan) -> Iterator[Patch]:
    """Yield the patches that are there, each in the form in which it stands."""
    for step in plan.steps:
        if step.former:
            yield step.patch.formerly
        elif step.state == "applied":
            yield step.patch


def _unpinned(fork: Fork) -> str:
    return commits.upstream_trailer(fork.release.upstream, fork.release.version, "")


def _known(fork: Fork, patch: str) -> str:
    ids = [s.patch.id for s in fork.plan.steps]
    if patch not in ids:
        near = get_close_matches(patch, ids, n=1, cutoff=0)
        raise UsageError(f"there is no patch {patch!r}", hint=f"--patch {near[0]}; all of them: {', '.join(ids)}")
    return patch


def _refuse_broken(fork: Fork, patch: str | None) -> None:
    problems: list[str] = []
    for step in fork.plan.broken:
        if patch in (None, step.patch.id):
            problems += step.problems
    if problems:
        message = "\n\n".join(["patches that do not stand as they were made cannot be taken out", *problems])
        hint = f"git -C {typed(fork.repository.root)} log --oneline, to find the commit that changed them"
        raise ConflictError(message, hint=hint)


def _without(fork: Fork, applied: Sequence[Patch], going: Sequence[Patch]) -> dict[str, bytes]:
    """Return path to content for the files that change when patches go."""
    if fork.history.base is None:
        shallow = fork.repository.ask("rev-parse", "--is-shallow-repository") == "true"
        hint = f"git -C {typed(fork.repository.root)} {'fetch --unshallow' if shallow else 'revert COMMIT, by hand'}"
        raise UsageError(f"the history of {fork.repository.root} does not tell what was there before", hint=hint)
    pristine = Tree(fork.repository, fork.history.base)
    full = _outcome(fork, pristine, applied)
    rest = _outcome(fork, pristine, [p for p in applied if p not in going])
    changes: dict[str, bytes] = {}
    conflicts: list[str] = []
    for path, base in full.items():
        theirs = rest.get(path, pristine[path])
        if theirs == base:
            continue
        merged = merge(base, fork.tree[path], theirs)
        if merged is None:
            conflicts.append(path)
        else:
            changes[path] = merged
    if conflicts:
        raise _conflict(fork, conflicts)
    _check(fork, changes, applied, going)
    return changes


def _outcome(fork: Fork, pristine: Tree, series: Sequence[Patch]) -> dict[str, bytes]:
    plan = plan_patches(pristine, upstream=fork.release.upstream, version=fork.release.version, series=series)
    if plan.broken:
        names = ", ".join(s.patch.id for s in plan.broken)
        hint = f"git -C {typed(fork.repository.root)} log --oneline, then git revert the commit of the patch"
        raise ConflictError(f"today's patches do not fit the import any more: {names}; nothing was changed", hint=hint)
    return plan.changes


def _check(fork: Fork, changes: dict[str, bytes], applied: Sequence[Patch], going: Sequence[Patch]) -> None:
    """Refuse a merge after which a patch would be neither there nor gone."""
    after = ChainMap(changes, cast("MutableMapping[str, bytes]", fork.tree))
    release = fork.release
    plan = plan_patches(after, upstream=release.upstream, version=release.version, series=applied)
    gone = {p.id for p in going}
    wrong: list[str] = []
    for step in plan.steps:
        wanted = "pending" if step.patch.id in gone else "applied"
        if step.state != wanted:
            wrong.append(step.patch.id)
    if wrong:
        raise ConflictError(
            f"taken out, {', '.join(sorted(gone))} would leave {', '.join(wrong)} half done; nothing was changed",
            hint=f"apply-patches diff {typed(fork.repository.root)}, then edit by hand",
        )


def _conflict(fork: Fork, names: Sequence[str]) -> ConflictError:
    message = f"your own changes lie on what would go: {', '.join(names)}; nothing was changed"
    hint = f"git -C {typed(fork.repository.root)} log -p -- {typed(names[0])}, then undo them or edit by hand"
    return ConflictError(message, hint=hint)
