"""Is a fork exactly its lock? Import, patches and overlay are made anew, and their trees compared with the fork's."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from slimfork.forks.making import draft
from slimfork.git import commits
from slimfork.releases.fetch import release_files
from slimfork.series.imported import import_of, pin_of
from slimfork.series.raw_commits import contributing, main_line
from slimfork.series.workbench import MisfitError, beside, commits_of, diff_of, refuse_partial, tree_of, workbench

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

    from slimfork.forks.fork import Fork
    from slimfork.git.gitout import FileChange
    from slimfork.git.repo import Repository
    from slimfork.series.raw_commits import RawCommit


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What a fork was compared with, and how it differs.

    Attributes:
        spec: The release.
        made: The commit that the lock makes.
        compared: The commit of the fork that was compared: the last of ours, or its head with the user's commits taken
            into account.
        imported: How the import differs from the release.
        differences: How the fork differs from what the lock makes.
        unclear: The commit of the user's own that does not fit onto what the lock makes, and why; else "".
    """

    spec: str
    made: str
    compared: str
    imported: tuple[FileChange, ...]
    differences: tuple[FileChange, ...]
    unclear: str = ""

    @property
    def exact(self) -> bool:
        """Whether nothing differs."""
        return not (self.imported or self.differences or self.unclear)


def prove(fork: Fork, path: Path) -> Proof:
    """Compare a fork with what its lock makes.

    Where all of our commits stand right on the import, the last of them is compared. Where the user's lie between them,
    these are applied to what the lock makes, and the head is compared with that.

    Raises:
        UsageError: The fork does not say what it stands on, or that is not pinned, or cannot be fetched.
        CheckFailed: It stands on another hash than the lock has.
        ConflictError: Today's patches do not fit the release.
    """
    refuse_partial(fork.repository)
    imported = import_of(fork)
    pin = pin_of(imported)
    skip, own = sorted(fork.skipped), {commit.sha for commit in fork.history.own}
    made = draft(pin, release_files(pin), path, no_compat=fork.left_out, skip=skip, as_json=False)
    with beside(fork.repository) as scratch:
        shas = scratch.write_refs(commits.stream(made, start=None, ref="refs/heads/made"), len(made))
        first = scratch.changes(shas[0], imported.sha)
        raws = commits_of(scratch, fork.head)
        line = main_line(raws, imported.sha)
        tree, compared, unclear = tree_of(scratch, shas[-1]), _last_of_ours(own, raws, imported.sha), ""
        if compared is None:
            compared = fork.head
            tree, unclear = _with_own(scratch, own, line, tree)
        differences = scratch.changes(tree, tree_of(scratch, compared))
    return Proof(
        spec=pin.spec,
        made=shas[-1],
        compared=compared,
        imported=tuple(first),
        differences=tuple(differences),
        unclear=unclear,
    )


def _last_of_ours(own: Collection[str], raws: Sequence[RawCommit], imported: str) -> str | None:
    """Return the last of our commits when all that count stand on the import and on each other, else None."""
    counted = {sha for sha in contributing(raws, imported) if sha not in own}
    last = imported
    for raw in raws:
        if raw.sha in counted:
            if raw.parents != (last,):
                return None
            last = raw.sha
    return last


def _with_own(scratch: Repository, own: Collection[str], line: Sequence[RawCommit], tree: str) -> tuple[str, str]:
    """Apply what the user's commits change to a tree, in their order; return it, and the commit that does not fit."""
    with workbench(scratch) as bench:
        for before, raw in pairwise(line):
            if raw.sha in own and raw.tree != before.tree:
                try:
                    tree = bench.apply(tree, diff_of(scratch, before.tree, raw.tree))
                except MisfitError as error:
                    return tree, f"{raw.sha[:10]} {raw.subject}: {error.message}"
    return tree, ""
