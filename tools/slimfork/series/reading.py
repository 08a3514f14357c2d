"""The series of a fork: a mail for each of its commits, each of them tried before it is handed out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from slimfork.forks.history import read_imports
from slimfork.git import commits
from slimfork.releases.fetch import release_files
from slimfork.series.imported import import_of, pin_of, write_import
from slimfork.series.mails import file_name, mail
from slimfork.series.raw_commits import base_of, by_sha, main_line, trees_of
from slimfork.series.workbench import MisfitError, commits_of, diff_of, refuse_partial, workbench
from slimfork.terminal import ui
from slimfork.terminal.errors import UsageError
from slimfork.terminal.naming import spec_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from slimfork.forks.fork import Fork
    from slimfork.git.repo import Repository
    from slimfork.releases.pins import Pin
    from slimfork.series.raw_commits import RawCommit
    from slimfork.series.workbench import Workbench

    Kind = Literal["import", "patch", "overlay", "ours", "own"]

MERGED = "merged"  # the folder for what `git am` has as a part of a merge


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesCommit:
    """A commit of a series.

    Attributes:
        raw: The commit.
        kind: The import, a patch, the overlay, another commit of ours, or one of the user's own.
        patches: The ids of the patches that it applies.
        file: The name of its mail; empty for the import, and for a commit that changes no file.
        content: The mail.
        pin: The release of an import.
    """

    raw: RawCommit
    kind: Kind
    pin: Pin | None = None
    patches: tuple[str, ...] = ()
    file: str = ""
    content: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """All commits of a fork, parents first, and the release that it stands on."""

    pin: Pin
    entries: tuple[SeriesCommit, ...]

    @property
    def head(self) -> RawCommit:
        """The commit that the series leads to."""
        return self.entries[-1].raw

    @property
    def mailed(self) -> list[SeriesCommit]:
        """Those that have a mail."""
        return [entry for entry in self.entries if entry.file]


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
    raws = commits_of(scratch, fork.head)
    pinned = {one.sha: pin_of(one) for one in read_imports(fork.repository, fork.head)}
    _refuse_roots(fork, raws, pinned)
    return Series(pin=pinned[imported.sha], entries=tuple(_entries(scratch, raws, imported.sha, pinned)))


def _refuse_roots(fork: Fork, raws: Sequence[RawCommit], imports: Collection[str]) -> None:
    """Refuse a history that begins with anything but an import: upstream's own was merged, or another's."""
    for raw in raws:
        if raw.parents or raw.sha in imports:
            continue
        what = f"the history of {fork.repository.root} has a beginning that no pin gives again"
        spec = spec_of(fork.release.upstream, fork.release.version)
        hint = f"apply-patches vendor {spec} --into new, and cherry-pick your commits there"
        raise UsageError(f"{what}: {raw.sha[:10]} {raw.subject!r}, which was merged", hint=hint)


def _entries(
    scratch: Repository, raws: Sequence[RawCommit], start: str, pinned: Mapping[str, Pin]
) -> Iterator[SeriesCommit]:
    """Yield the entries of commits; mails are numbered from 1, and an import has none."""
    trees = trees_of(raws)
    line = by_sha(main_line(raws, start))
    number, total = 0, len(raws) - len(pinned)
    with workbench(scratch) as bench, ui.steps("commits", total=len(raws)) as progress:
        for raw in raws:
            pin = pinned.get(raw.sha)
            if pin is not None:
                yield _import(scratch, raw, pin)
            else:
                number += 1
                name = file_name(number, total, raw.subject)
                file = name if raw.sha in line else f"{MERGED}/{name}"
                yield _entry(scratch, bench, raw, trees[base_of(raw, trees)], file)
            progress.advance(progress.task_ids[0])


def _import(scratch: Repository, raw: RawCommit, pin: Pin) -> SeriesCommit:
    """Return the entry of an import, which must hold the files of its release and no others."""
    if write_import(scratch, raw, release_files(pin)) != raw.tree:
        hint = "apply-patches status PATH --verify-tree, which names the files"
        raise UsageError(f"the import {raw.sha[:10]} holds other files than {pin.spec} as published", hint=hint)
    return SeriesCommit(raw=raw, kind="import", pin=pin)


def _entry(scratch: Repository, bench: Workbench, raw: RawCommit, before: str, file: str) -> SeriesCommit:
    """Return the entry of a commit; its mail has been applied to what was before, as `git am` would, and made its tree.

    Args:
        scratch: Where the objects are.
        bench: Where mails are tried.
        raw: The commit.
        before: The tree of the parent that it is a patch on.
        file: The name of its mail.
    """
    kind, patches = kind_of(raw)
    if raw.tree == before:
        return SeriesCommit(raw=raw, kind=kind, patches=patches)
    content = mail(raw, diff_of(scratch, before, raw.tree))
    try:
        fits = bench.apply_mail(before, content) == raw.tree
        why = "its mail makes another tree"
    except MisfitError as error:
        fits, why = False, error.message
    if not fits:
        hint = f"git show {raw.sha[:10]} there, and please report it: the fork itself is well"
        raise UsageError(f"commit {raw.sha[:10]} {raw.subject!r} cannot be exported exactly: {why}", hint=hint)
    return SeriesCommit(raw=raw, kind=kind, patches=patches, file=file, content=content)


def kind_of(raw: RawCommit) -> tuple[Kind, tuple[str, ...]]:
    """Return what a commit is by its trailers, and the patches that it applies."""
    marks = commits.trailers(raw.message)
    patches = marks.get(commits.PATCH, ())
    if patches:
        return "patch", patches
    if commits.OVERLAY_ID in marks:
        return "overlay", ()
    return ("own" if marks.keys().isdisjoint(commits.OURS) else "ours"), ()
