"""What a killed run has left in a checkout: taken back, or finished where its branch had moved. Damage is explained."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from typing import TYPE_CHECKING

from slimfork import ui
from slimfork.errors import UsageError
from slimfork.index_file import finish, release
from slimfork.journal import DamagedJournal, Journal, read_journal
from slimfork.landing import keep_late_writes, places, uninterrupted, unused
from slimfork.swap import Exchange
from slimfork.words import typed

if TYPE_CHECKING:
    from pathlib import Path

    from slimfork.repo import Repository


def recover(repository: Repository) -> None:
    """Take back or finish what a killed run had begun. The caller holds the lock, so nobody else is at it."""
    for folder in places(repository):
        if os.path.lexists(folder):
            with uninterrupted(repository):
                _recover(repository, folder)


def heal(repository: Repository) -> None:
    """Recover before reading, unless another run is at work at this moment."""
    if any(map(os.path.lexists, places(repository))):
        with suppress(UsageError), repository.locked():
            recover(repository)


def _recover(repository: Repository, folder: Path) -> None:
    try:
        journal = read_journal(folder)
    except DamagedJournal:
        _set_aside(repository, folder)
        return
    if journal:
        _repair(repository, folder, journal)
    shutil.rmtree(folder)


def _repair(repository: Repository, folder: Path, journal: Journal) -> None:
    exchange = Exchange(repository.root, folder, journal.swaps)
    if repository.resolve(journal.ref) == journal.new:
        if repository.branch() == journal.ref:
            finish(repository, repository.changes(journal.old, journal.new))
        exchange.remove_folders()
        keep_late_writes(exchange)
        ui.note(f"finished the run that was killed in {repository.root}")
        return
    for path in exchange.undo():
        ui.note(f"{path} was edited after a run was killed; it is left as it is")
    release(repository)
    ui.note(f"took back the run that was killed in {repository.root}")


def _set_aside(repository: Repository, folder: Path) -> None:
    """Move a journal that says nothing out of the way, with the files that lie beside it, and say so."""
    release(repository)
    _release_as_before(repository, folder)
    kept = unused(folder.with_name(f"{folder.name}.damaged"))
    folder.rename(kept)
    ui.note(f"a run was killed in {repository.root}, and its journal is damaged: it is kept in {kept}")
    ui.note(f"  what it had changed, if anything, is what `git -C {typed(repository.root)} status` shows")


def _release_as_before(repository: Repository, note: Path) -> None:
    """Remove the lock of an earlier version, which was a second name of its journal."""
    lock = repository.git_dir / "index.lock"
    if note.is_file() and lock.exists() and (lock.samefile(note) or lock.read_bytes() == note.read_bytes()):
        lock.unlink()
