"""The import that a fork stands on, made again from its pin: a release is named by its hash, and fetched anew."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slimfork.git import commits
from slimfork.git.gitout import EXECUTABLE, REGULAR
from slimfork.releases import pins
from slimfork.releases.archive import contents_of
from slimfork.series.workbench import tree_of, write_drafts
from slimfork.terminal.errors import CheckFailed, UsageError
from slimfork.terminal.naming import spec_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from slimfork.forks.fork import Fork
    from slimfork.forks.history import PristineImport
    from slimfork.git.repo import Repository
    from slimfork.releases.archive import File
    from slimfork.releases.pins import Pin
    from slimfork.series.raw_commits import RawCommit


def import_of(fork: Fork) -> PristineImport:
    """Return the import of a fork.

    Raises:
        UsageError: It has a history of its own, or stands on another release than its import by now.
    """
    imported, place = fork.history.imported, fork.repository.root
    spec = spec_of(fork.release.upstream, fork.release.version)
    hint = f"apply-patches vendor {spec} --into new, and cherry-pick your commits there"
    if imported is None:
        what = f"{place} has a history of its own: no import commit that a pin could give again"
        raise UsageError(what, hint=hint)
    if (imported.upstream, imported.version) != (fork.release.upstream, fork.release.version):
        was = spec_of(imported.upstream, imported.version)
        raise UsageError(f"{place} is {spec} by its files, but stands on an import of {was}", hint=hint)
    return imported


def pin_of(imported: PristineImport) -> Pin:
    """Return the pin of an import.

    Raises:
        NotPinnedError: There is none any more.
        CheckFailed: It names another hash than the import does.
    """
    pin = pins.find(spec_of(imported.upstream, imported.version))
    proof = imported.sha256 or imported.commit
    if proof and proof != pin.proof:
        what = f"the import {imported.sha[:10]} is of {pin.spec} with hash {proof[:16]}, and {pin.proof[:16]} is pinned"
        raise CheckFailed(what, hint=f"git log -p -- patches/{pin.upstream}.lock, in slimfork, says since when")
    return pin


def import_draft(raw: RawCommit, files: Mapping[str, File]) -> commits.Draft:
    """Return an import commit to be written: the message and date of one, and the files of a release."""
    return commits.Draft(
        message=raw.message,
        when=max(raw.when, 0),
        files=as_in_git(files),
    )


def as_in_git(files: Mapping[str, File]) -> dict[str, tuple[str, bytes] | None]:
    """Return the files of a release as a `Draft` has them: path to mode and content."""
    return commits.with_modes(contents_of(files), lambda path: EXECUTABLE if files[path].executable else REGULAR)


def write_import(repository: Repository, raw: RawCommit, files: Mapping[str, File]) -> str:
    """Write the files of an import to a repository of our own, and return their tree: the caller compares it."""
    (made,) = write_drafts(repository, [import_draft(raw, files)], None)
    return tree_of(repository, made)
