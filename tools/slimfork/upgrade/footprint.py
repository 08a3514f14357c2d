"""What git writes into a checkout as it picks a commit: all else there is the user's, and nothing writes over it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from slimfork.git.guards import named, refuse_hidden, refuse_in_the_way
from slimfork.series.workbench import read_commit, tree_of
from slimfork.terminal.errors import UsageError
from slimfork.terminal.words import typed
from slimfork.upgrade.three_way import merge_trees

if TYPE_CHECKING:
    from slimfork.git.gitout import FileChange
    from slimfork.git.repo import Repository


@dataclass(frozen=True, slots=True, kw_only=True)
class Footprint:
    """What git writes.

    Attributes:
        onto: The commit that is checked out when it does.
        changes: The files that are not as in that commit afterwards.
        paths: These, and whatever else the commit is about: where they clash there may be nothing to change.
    """

    onto: str
    changes: tuple[FileChange, ...]
    paths: frozenset[str]


def footprint(scratch: Repository, onto: str, change: str) -> Footprint:
    """Return what it writes to pick a commit with one parent upon another one."""
    raw = read_commit(scratch, change)
    before = tree_of(scratch, raw.parents[0])
    merged = merge_trees(scratch, base=before, ours=tree_of(scratch, onto), theirs=raw.tree)
    changes = scratch.changes(onto, merged.tree)
    paths = {one.path for one in (*changes, *scratch.changes(before, raw.tree))}
    paths.update(clash.path for clash in merged.clashes)
    return Footprint(onto=onto, changes=tuple(changes), paths=frozenset(paths))


def refuse_blocked(repository: Repository, steps: Footprint) -> None:
    """Refuse what stands in the way of a pick, ignored files too, which git would overwrite.

    Raises:
        UsageError: Something does. Nothing is changed.
    """
    head = repository.head()
    there = list(steps.changes)
    if head is not None and head != steps.onto:
        coming = [change for change in repository.changes(head, steps.onto) if not change.is_submodule]
        refuse_hidden(repository, coming)
        refuse_in_the_way(repository, coming, head, amid=True)
    refuse_hidden(repository, there)
    tracked = repository.index()
    new = [change for change in there if change.path not in tracked and not change.is_submodule]
    refuse_in_the_way(repository, new, steps.onto, amid=True)


def refuse_other_changes(repository: Repository, steps: Footprint) -> None:
    """Refuse to put back files in which the user has changed something that has no part in the conflict.

    Raises:
        UsageError: There are some.
    """
    known = {*repository.entries(steps.onto), *repository.others(steps.onto)}
    changed = [path for path in repository.dirty() if path in known and path not in steps.paths]
    if not changed:
        return
    git, names = f"git -C {typed(repository.root)}", " ".join(map(typed, changed))
    what = f"your changes in {named(changed, ', ')} have no part in this conflict, and would be lost"
    hint = f"{git} diff --binary HEAD -- {names} > mine.patch, then {git} checkout HEAD -- {names}, then this again"
    raise UsageError(what, hint=hint)
