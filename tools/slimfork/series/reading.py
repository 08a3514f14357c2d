"""The series of a fork: a mail for each of its commits, each of them tried before it is handed out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from slimfork.git import commits
from slimfork.releases.fetch import release_files
from slimfork.series.imported import import_of, pin_of, write_import
from slimfork.series.mails import file_name, mail
from slimfork.series.raw_commits import first_parents
from slimfork.series.scratch import MisfitError, commits_of, diff_of, refuse_partial, workbench
from slimfork.terminal import ui
from slimfork.terminal.errors import UsageError
from slimfork.terminal.words import typed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from slimfork.forks.fork import Fork
    from slimfork.git.repo import Repository
    from slimfork.releases.pins import Pin
    from slimfork.series.raw_commits import RawCommit
    from slimfork.series.scratch import Workbench

    Kind = Literal["import", "patch", "overlay", "ours", "own"]

MERGED = "merged"  # the folder for what `git am` has as a part of a merge


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A commit of a series.

    Attributes:
        raw: The commit.
        kind: The import, a patch, the overlay, another commit of ours, or one of the user's own.
        patches: The ids of the patches that it applies.
        file: The name of its mail; empty for the import, and for a commit that changes no file.
        content: The mail.
    """

    raw: RawCommit
    kind: Kind
    patches: tuple[str, ...] = ()
    file: str = ""
    content: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """All commits of a fork, parents first, and the release that it stands on."""

    pin: Pin
    entries: tuple[Entry, ...]

    @property
    def head(self) -> RawCommit:
        """The commit that the series leads to."""
        return self.entries[-1].raw


def read_series(fork: Fork, scratch: Repository) -> Series:
    """Return the series of a fork.

    Args:
        fork: The fork.
        scratch: A repository beside it, as `beside` makes it.

    Raises:
        UsageError: It cannot be made again to the same commit; the message says why.
    """
    refuse_partial(fork.repository)
    imported = import_of(fork)
    pin = pin_of(imported)
    raws = commits_of(scratch, fork.head)
    _refuse_roots(fork, raws, imported.sha)
    first = next(raw for raw in raws if raw.sha == imported.sha)
    if write_import(scratch, first, release_files(pin), "refs/heads/made") != first.tree:
        hint = f"apply-patches status {typed(fork.repository.root)} --verify-tree, which names the files"
        raise UsageError(f"the import {first.sha[:10]} holds other files than {pin.spec} as published", hint=hint)
    return Series(pin=pin, entries=tuple(_entries(scratch, raws, first)))


def _refuse_roots(fork: Fork, raws: Sequence[RawCommit], imported: str) -> None:
    """Refuse a history that has another beginning than the import: upstream's own, or that of an earlier release."""
    others = [raw for raw in raws if not raw.parents and raw.sha != imported]
    if others:
        what = f"the history of {fork.repository.root} has a beginning that no pin gives again"
        spec = fork.release.upstream + " ..."
        hint = f"apply-patches vendor {spec} --into new, and cherry-pick your commits there"
        raise UsageError(f"{what}: {others[0].sha[:10]} {others[0].subject!r}, which was merged", hint=hint)


def _entries(scratch: Repository, raws: Sequence[RawCommit], first: RawCommit) -> list[Entry]:
    known = {raw.sha: raw for raw in raws}
    line = frozenset(raw.sha for raw in first_parents(raws))
    made = [Entry(raw=first, kind="import")]
    with workbench(scratch) as bench, ui.steps("commits", total=len(raws) - 1) as progress:
        for number, raw in enumerate((raw for raw in raws if raw is not first), 1):
            made.append(_entry(scratch, bench, raw, known[raw.parents[0]].tree, (number, len(raws), line)))
            progress.advance(progress.task_ids[0])
    return made


def _entry(
    scratch: Repository, bench: Workbench, raw: RawCommit, before: str, place: tuple[int, int, frozenset[str]]
) -> Entry:
    """Return the entry of a commit; its mail has been applied to what was before, as `git am` would, and made its tree.

    Args:
        scratch: Where the objects are.
        bench: Where mails are tried.
        raw: The commit.
        before: The tree of its first parent.
        place: Its number, the number of all, and the commits of the main line.
    """
    number, total, line = place
    kind, patches = kind_of(raw)
    if raw.tree == before:
        return Entry(raw=raw, kind=kind, patches=patches)
    content = mail(raw, diff_of(scratch, before, raw.tree))
    try:
        fits = bench.apply_mail(before, content) == raw.tree
        why = "its mail makes another tree"
    except MisfitError as error:
        fits, why = False, error.message
    if not fits:
        hint = f"git -C FORK show {raw.sha[:10]}, and please report it: the fork itself is well"
        raise UsageError(f"commit {raw.sha[:10]} {raw.subject!r} cannot be exported exactly: {why}", hint=hint)
    name = file_name(number, total, raw.subject)
    file = name if raw.sha in line else f"{MERGED}/{name}"
    return Entry(raw=raw, kind=kind, patches=patches, file=file, content=content)


def kind_of(raw: RawCommit) -> tuple[Kind, tuple[str, ...]]:
    """Return what a commit is by its trailers, and the patches that it applies."""
    marks = commits.trailers(raw.message)
    patches = marks.get(commits.PATCH, ())
    if patches:
        return "patch", patches
    if commits.OVERLAY_ID in marks:
        return "overlay", ()
    return ("ours" if any(key in marks for key in commits.OURS) else "own"), ()
