"""Which release an upgrade goes to, and from what kind of fork it can go there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slimfork.git import commits
from slimfork.releases import pins
from slimfork.releases.fetch import release_files
from slimfork.series.imported import import_of, pin_of, write_import
from slimfork.series.workbench import beside, read_commit, refuse_partial, tree_of
from slimfork.terminal.errors import UsageError
from slimfork.terminal.naming import is_tag, spec_of
from slimfork.terminal.words import typed
from slimfork.upgrade.authorship import committer

if TYPE_CHECKING:
    from slimfork.forks.fork import Fork
    from slimfork.forks.history import PristineImport
    from slimfork.git.repo import Repository
    from slimfork.releases.pins import Pin

NEWEST = "newest"


def find_target(fork: Fork, to: str) -> Pin:
    """Return the pin of what `--to` names: a version, a tag, `newest`, or a whole spec.

    Raises:
        UsageError: It is not pinned, of another upstream, or laid out in another way.
    """
    upstream, version = fork.release.upstream, fork.release.version
    if to == NEWEST:
        pinned = pins.load(upstream)
        return pins.newest(pinned, upstream) if is_tag(version) else pins.newest_artifact(pinned, upstream)
    pin = pins.find(to if "=" in to or "@" in to else spec_of(upstream, to))
    place = typed(fork.repository.root)
    if pin.upstream != upstream:
        hint = f"apply-patches upgrade {place} --to newest, or vendor {pin.spec} --into another"
        raise UsageError(f"{place} is a fork of {upstream}, not of {pin.upstream}", hint=hint)
    if pin.is_tag != is_tag(version):
        what = f"{pin.spec} and {spec_of(upstream, version)} are laid out in different ways: no commit would fit"
        raise UsageError(what, hint=f"apply-patches vendor {pin.spec} --into another")
    return pin


def standing_import(fork: Fork) -> PristineImport | None:
    """Return the import that a fork stands on, which must be what its pin gives; None with a history of its own.

    Raises:
        UsageError: The user has changed it, or moved the files to another release.
    """
    refuse_partial(fork.repository)
    _refuse_replaced(fork.repository)
    if fork.history.imported is None:
        return None
    imported = import_of(fork)
    raw = read_commit(fork.repository, imported.sha)
    if commits.MAIL not in committer(raw) or commits.MAIL not in raw.author:
        _refuse_changed(fork.repository, imported)
    return imported


def _refuse_replaced(repository: Repository) -> None:
    """Refuse a repository in which git shows other commits than there are: one of both would be lost."""
    if not (repository.ask("replace", "--list") or (repository.common_dir / "info" / "grafts").exists()):
        return
    what = f"git shows commits of {repository.root} as they are not: there are replace refs or grafts"
    raise UsageError(what, hint=f"git -C {typed(repository.root)} replace --list, and --delete what is there")


def _refuse_changed(repository: Repository, imported: PristineImport) -> None:
    """Refuse an import that somebody has written anew with other files: what is theirs in it would be lost."""
    pin = pin_of(imported)
    with beside(repository) as scratch:
        raw = read_commit(repository, imported.sha)
        if write_import(scratch, raw, release_files(pin)) == tree_of(repository, imported.sha):
            return
    what = f"the import {imported.sha[:10]} has other files than {pin.spec}: it was amended"
    hint = f"git -C {typed(repository.root)} rebase -i --root, and make a commit of its own of what is yours"
    raise UsageError(what, hint=hint)
