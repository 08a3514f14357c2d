"""Make new commits real: files, index and branch go from the old commit to the new one, all of them or none.

What can fail comes first and beside the checkout: the new files are written, with the user's own filters, to a folder
in git's, and so is a journal. The rest is renames and one ref: some milliseconds, in which git's index is locked, in a
process that goes on when this one is killed. Where that one is killed as well, the next run takes back what was begun,
or finishes it where the branch had moved.
"""

from __future__ import annotations

import errno
import os
import shutil
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from slimfork.git.guards import refuse_dirty, refuse_hidden, refuse_in_the_way
from slimfork.git.index_file import changed_index, held_index
from slimfork.git.journal import Journal, Swap, file_digest
from slimfork.git.recovery import repair
from slimfork.git.refs import RefMove, move_refs
from slimfork.git.swap import NEW, Exchange, SavedMeanwhile
from slimfork.processes.processes import KilledError, out_of_reach
from slimfork.processes.signals import uninterrupted
from slimfork.processes.workshop import NotPutBackError, workshop
from slimfork.terminal.errors import SlimforkError, UsageError
from slimfork.terminal.words import typed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from slimfork.git.gitout import FileChange
    from slimfork.git.repo import Repository


def land(
    repository: Repository, *, ref: str, old: str, new: str, also: Sequence[RefMove] = (), amid: bool = False
) -> None:
    """Move `ref`, which is checked out and clean, from one commit to another, and the work tree with it.

    Folders of submodules stay as they are; where one comes that is not there, it is empty.

    Args:
        repository: The user's.
        ref: The branch that is checked out.
        old: Where it is.
        new: Where it goes.
        also: Other refs that move in the same step.
        amid: Whether files of the user's may lie in folders that come, beside what comes there.

    Raises:
        UsageError: Work of the user's is in the way, or was saved meanwhile, or another git command is at work, or the
            disk is full. Nothing is changed then.
    """
    changes = repository.changes(old, new)
    refuse_hidden(repository, changes)
    files = [change for change in changes if not change.is_submodule]
    refuse_in_the_way(repository, files, old, amid=amid)
    try:
        with workshop(repository) as folder:
            _write_files(repository, files, folder)
            swaps = tuple(_swap(repository.root, folder, change) for change in files)
            refuse_dirty(repository)  # after the look at the files: what is clean now is what was seen
            journal = Journal(ref=ref, old=old, new=new, swaps=swaps)
            with uninterrupted(repository):
                _land(repository, journal, changes, folder, also)
        for change in changes:
            if change.is_submodule and change.new:
                with suppress(OSError):  # a file is there: `git status` shows it
                    (repository.root / change.path).mkdir(parents=True, exist_ok=True)
    except SavedMeanwhile as saved:
        hint = "commit it or put it away, and run this again"
        raise UsageError(f"{saved.path} was saved while this ran; nothing was changed", hint=hint) from None
    except OSError as error:
        raise _explained(repository, error) from None
    repository.run("update-index", "-q", "--refresh", worktree=True)  # else git reads the files once more


def _explained(repository: Repository, error: OSError) -> UsageError:
    message = f"{error.filename or repository.root}: {error.strerror}; nothing was changed"
    if error.errno == errno.EXDEV:
        return UsageError(message, hint="a part of the work tree is a mount of its own: run this where it is none")
    return UsageError(message, hint="mend that, and run this again")


def _write_files(repository: Repository, changes: Sequence[FileChange], folder: Path) -> None:
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


def _swap(root: Path, folder: Path, change: FileChange) -> Swap:
    new = file_digest(folder / NEW / change.path)
    if change.new and new is None:
        raise SlimforkError(f"git has not checked out {change.path}; nothing was changed")
    return Swap(path=change.path, old=file_digest(root / change.path) if change.old else None, new=new)


def _land(
    repository: Repository,
    journal: Journal,
    changes: Sequence[FileChange],
    folder: Path,
    also: Sequence[RefMove],
) -> None:
    """Do what is written down, in a process of its own; what is left when that is killed is put right at once."""
    journal.write(folder)
    exchange = Exchange(repository.root, folder, journal.swaps)

    def work() -> None:
        _move(repository, journal, exchange, changes, also)
        exchange.keep_late_writes()
        shutil.rmtree(folder)  # here, so that nothing is left to interpret when only the other process is killed

    try:
        out_of_reach(work)
    except KilledError:
        finished = repair(repository, folder, journal)
        shutil.rmtree(folder, ignore_errors=True)
        if not finished:
            hint = "run this again"
            raise UsageError("the process that changes files was killed; nothing was changed", hint=hint) from None


def _move(
    repository: Repository,
    journal: Journal,
    exchange: Exchange,
    changes: Sequence[FileChange],
    also: Sequence[RefMove],
) -> None:
    """Put the files, the branch and the index in their new places; put all of them back if one does not go."""
    head = (repository.git_dir / "HEAD").read_bytes()
    if (repository.branch(), repository.resolve(journal.ref)) != (journal.ref, journal.old):
        raise _moved_on(repository)
    with _put_back(exchange):
        exchange.add()
        with held_index(repository, changes) as install, _put_back(exchange):
            if (repository.git_dir / "HEAD").read_bytes() != head:
                raise _moved_on(repository)
            exchange.replace()
            with _moved_branch(repository, journal, also):
                install()
    exchange.remove_folders()


@contextmanager
def _moved_branch(repository: Repository, journal: Journal, also: Sequence[RefMove]) -> Iterator[None]:
    """Move the branch and what goes with it, and move them back if what comes next fails."""
    moves = [RefMove(ref=journal.ref, old=journal.old, new=journal.new), *also]
    try:
        move_refs(repository, moves)
    except SlimforkError:
        if repository.resolve(journal.ref) == journal.old:
            raise
        raise _moved_on(repository) from None
    try:
        yield
    except OSError:
        move_refs(repository, [move.back for move in moves])
        raise


@contextmanager
def _put_back(exchange: Exchange) -> Iterator[None]:
    try:
        yield
    except NotPutBackError:
        raise
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
