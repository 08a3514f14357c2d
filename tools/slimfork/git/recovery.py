"""What a killed run has left in a checkout: taken back, or finished where its branch had moved. Damage is explained."""

from __future__ import annotations

import shutil
from contextlib import suppress
from typing import TYPE_CHECKING

from slimfork.git.index_file import finish, release
from slimfork.git.journal import DamagedJournal, Journal, read_journal
from slimfork.git.swap import Exchange, unused
from slimfork.processes.signals import uninterrupted
from slimfork.processes.workshop import left_folders
from slimfork.terminal import ui
from slimfork.terminal.errors import UsageError
from slimfork.terminal.words import typed

if TYPE_CHECKING:
    from pathlib import Path

    from slimfork.git.repo import Repository


def recover(repository: Repository) -> None:
    """Take back or finish what a killed run had begun. The caller holds the lock, so nobody else is at it."""
    with uninterrupted(repository):
        for folder in left_folders(repository):
            _recover(repository, folder)
        release(repository)


def heal(repository: Repository) -> None:
    """Recover before reading, unless another run is at work at this moment."""
    if left_folders(repository):
        with suppress(UsageError), repository.locked():
            recover(repository)


def _recover(repository: Repository, folder: Path) -> None:
    try:
        journal = read_journal(folder)
    except DamagedJournal:
        _set_aside(repository, folder)
        return
    if journal:
        done = "finished" if repair(repository, folder, journal) else "took back"
        ui.note(f"{done} the run that was killed in {repository.root}")
    shutil.rmtree(folder)


def repair(repository: Repository, folder: Path, journal: Journal) -> bool:
    """Take back what a killed run had begun, or finish it where its branch had moved; tell whether it is finished.

    Where the user has committed or switched since, the work tree is theirs as it is: every file was in its place
    before the branch moved.
    """
    exchange = Exchange(repository.root, folder, journal.swaps)
    here, tip = repository.branch() == journal.ref, repository.resolve(journal.ref)
    if here and tip == journal.old:
        for path in exchange.undo():
            ui.note(f"{path} was edited after a run was killed; it is left as it is")
    elif here and tip == journal.new:
        finish(repository, repository.changes(journal.old, journal.new))
        exchange.remove_folders()
    release(repository)
    exchange.keep_late_writes()
    return tip != journal.old


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
