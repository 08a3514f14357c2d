"""Make new commits real: files, index and branch go from the old commit to the new one, all of them or none.

What can fail comes first and beside the checkout: the new files are written, with the user's own filters, to a folder
in git's, and so is a journal. The rest is renames and one ref: some milliseconds, in which git's index is locked, in a
process that goes on when this one is killed. Where that one is killed as well, the next run takes back what was begun,
or finishes it where the branch had moved.
"""

from __future__ import annotations

import os
import shutil
import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from slimfork import ui
from slimfork.errors import SlimforkError, UsageError
from slimfork.guards import refuse_dirty, refuse_hidden, refuse_in_the_way
from slimfork.index_file import changed_index, held_index
from slimfork.journal import Journal, Swap, file_digest
from slimfork.processes import KilledError, out_of_reach
from slimfork.swap import NEW, Exchange, SavedMeanwhile
from slimfork.words import typed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path
    from types import FrameType

    from slimfork.gitout import Change
    from slimfork.repo import Repository

FOLDER = "slimfork-landing"


def land(repository: Repository, *, ref: str, old: str, new: str) -> None:
    """Move `ref`, which is checked out and clean, from one commit to another, and the work tree with it.

    Raises:
        UsageError: Work of the user's is in the way, or was saved meanwhile, or another git command is at work, or the
            disk is full. Nothing is changed then.
    """
    changes = repository.changes(old, new)
    refuse_hidden(repository, changes)
    refuse_in_the_way(repository, changes, old)
    try:
        with _workshop(repository) as folder:
            _write_files(repository, changes, folder)
            swaps = tuple(_swap(repository.root, folder, change) for change in changes)
            refuse_dirty(repository)  # after the look at the files: what is clean now is what was seen
            with uninterrupted(repository):
                journal = Journal(ref=ref, old=old, new=new, swaps=swaps)
                journal.write(folder)
                exchange = Exchange(repository.root, folder, swaps)
                out_of_reach(lambda: _move(repository, journal, exchange, changes))
                keep_late_writes(exchange)
    except SavedMeanwhile as saved:
        hint = "commit it or put it away, and run this again"
        raise UsageError(f"{saved.path} was saved while this ran; nothing was changed", hint=hint) from None
    except OSError as error:
        hint = "mend that, and run this again"
        raise UsageError(f"{error.filename}: {error.strerror}; nothing was changed", hint=hint) from None
    repository.run("update-index", "-q", "--refresh", worktree=True)  # else git reads the files once more


def places(repository: Repository) -> tuple[Path, Path]:
    """Return where the folder of a landing may lie: in git's, or in the work tree where that is on another disk."""
    return repository.git_dir / FOLDER, repository.root / f".{FOLDER}"


class NotPutBackError(SlimforkError):
    """What was begun could be neither ended nor taken back; the folder that holds the user's files stays."""


@contextmanager
def _workshop(repository: Repository) -> Iterator[Path]:
    within, beside = places(repository)
    folder = within if repository.git_dir.stat().st_dev == repository.root.stat().st_dev else beside
    folder.mkdir()
    try:
        yield folder
    except (NotPutBackError, KilledError):
        raise  # the next run needs it
    except BaseException:
        shutil.rmtree(folder)
        raise
    shutil.rmtree(folder)


def _write_files(repository: Repository, changes: Sequence[Change], folder: Path) -> None:
    """Write the new files into the folder as git would check them out: line endings and filters are the user's."""
    (folder / NEW).mkdir()
    changed_index(repository, changes, folder / "index")
    names = b"".join(os.fsencode(change.path) + b"\0" for change in changes if change.new)
    checkout = ("checkout-index", f"--prefix={folder / NEW}{os.sep}", "-z", "--stdin")
    try:
        repository.git(*checkout, stdin=names, worktree=True, env={"GIT_INDEX_FILE": str(folder / "index")})
    except SlimforkError as error:
        hint = "is the disk full, or a filter at fault? Mend that, and run this again"
        raise UsageError(f"{error.message}; nothing was changed", hint=hint) from None


def _swap(root: Path, folder: Path, change: Change) -> Swap:
    new = file_digest(folder / NEW / change.path)
    if change.new and new is None:
        raise SlimforkError(f"git has not checked out {change.path}; nothing was changed")
    return Swap(path=change.path, old=file_digest(root / change.path) if change.old else None, new=new)


def _move(repository: Repository, journal: Journal, exchange: Exchange, changes: Sequence[Change]) -> None:
    """Put the files, the branch and the index in their new places; put all of them back if one does not go."""
    head = (repository.git_dir / "HEAD").read_bytes()
    if (repository.branch(), repository.resolve(journal.ref)) != (journal.ref, journal.old):
        raise _moved_on(repository)
    with _put_back(exchange):
        exchange.add()
        with held_index(repository, changes), _put_back(exchange):
            if (repository.git_dir / "HEAD").read_bytes() != head:
                raise _moved_on(repository)
            exchange.replace()
            _move_branch(repository, journal)
    exchange.remove_folders()


def _move_branch(repository: Repository, journal: Journal) -> None:
    try:
        repository.move(journal.ref, journal.new, journal.old)
    except SlimforkError:
        if repository.resolve(journal.ref) == journal.old:
            raise
        raise _moved_on(repository) from None


@contextmanager
def _put_back(exchange: Exchange) -> Iterator[None]:
    try:
        yield
    except BaseException as error:
        try:
            exchange.undo()
        except OSError as failed:
            message = f"{failed.filename}: {failed.strerror}; what was begun cannot be taken back now"
            hint = f"mend that, then apply-patches status {typed(exchange.root)}: it puts everything back"
            raise NotPutBackError(message, hint=hint) from error
        raise


def _moved_on(repository: Repository) -> UsageError:
    return UsageError(f"{repository.root} was committed to while this ran; nothing was changed", hint="run this again")


def keep_late_writes(exchange: Exchange) -> None:
    """Put what a program has written to an old file, which it held open all the time, beside the new one."""
    for swap, old in exchange.written_late():
        kept = unused(exchange.root / f"{swap.path}.saved")
        old.rename(kept)
        ui.note(f"{swap.path} was written to while it was replaced; what was written is in {kept}")


def unused(path: Path) -> Path:
    """Return the path, or the first with a number after it that nothing lies at."""
    number, free = 1, path
    while os.path.lexists(free):
        number += 1
        free = path.with_name(f"{path.name}{number}")
    return free


@contextmanager
def uninterrupted(repository: Repository) -> Iterator[None]:
    """Let Ctrl-C wait for the end of the block, for this process and for git below it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    seen: list[int] = []

    def later(number: int, frame: FrameType | None) -> None:
        del frame
        seen.append(number)

    before = {number: signal.signal(number, later) for number in (signal.SIGINT, signal.SIGTERM)}
    repository.own_session = True
    try:
        yield
    finally:
        repository.own_session = False
        for number, handler in before.items():
            signal.signal(number, handler)
    if seen:
        raise KeyboardInterrupt
