"""Git's index with other files in it: made beside it, and put in its place with the lock that git itself takes."""

from __future__ import annotations

import os
import shutil
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from slimfork.terminal.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from slimfork.git.gitout import FileChange
    from slimfork.git.repo import Repository

INDEX = "slimfork-index"  # in git's folder: the lock is a second name of it
TRIES, PAUSE = 20, 0.05  # s: editors ask git for its status every few seconds, for some hundredths


def changed_index(repository: Repository, changes: Sequence[FileChange], file: Path) -> bytes:
    """Write the index with changes made to a file; return the bytes that the index has now."""
    index = repository.git_dir / "index"
    now = index.read_bytes() if index.exists() else b""
    for left in (file, file.with_name(f"{file.name}.lock")):
        left.unlink(missing_ok=True)
    if now:
        shutil.copy2(index, file)
        file.write_bytes(now)
    lines = b"".join(map(_line, changes))
    env = {"GIT_INDEX_FILE": str(file)}
    repository.git("update-index", "-z", "--index-info", stdin=lines, worktree=True, env=env)
    return now


def _line(change: FileChange) -> bytes:
    known = change.new or change.old
    entry = f"{change.new.mode} {change.new.blob}" if change.new else f"0 {'0' * len(known.blob if known else '')}"
    return f"{entry}\t".encode("ascii") + os.fsencode(change.path) + b"\0"


@contextmanager
def held_index(repository: Repository, changes: Sequence[FileChange]) -> Iterator[Callable[[], object]]:
    """Hold git's lock of the index, and yield what puts the index with the changes in its place.

    Raises:
        UsageError: Another git command is at work.
    """
    folder = repository.git_dir
    own, lock, index = folder / INDEX, folder / "index.lock", folder / "index"
    try:
        for _ in range(TRIES):
            now = changed_index(repository, changes, own)
            if _take(own, lock):
                if (index.read_bytes() if index.exists() else b"") == now:
                    break
                lock.unlink()  # somebody was faster: their index is to be changed
            time.sleep(PAUSE)
        else:
            hint = f"wait for it; if none is running, delete {lock}"
            raise UsageError(f"another git command is at work in {repository.root}", hint=hint)
        yield lambda: lock.replace(index)
    finally:
        release(repository)


def _take(own: Path, lock: Path) -> bool:
    try:
        os.link(own, lock)
    except FileExistsError:
        return False
    except OSError:  # a file system without links
        try:
            with lock.open("xb") as file:
                file.write(own.read_bytes())
        except FileExistsError:
            return False
    return True


def is_held(repository: Repository) -> bool:
    """Tell whether the lock of the index is ours, of this run or of one that was killed."""
    own, lock = repository.git_dir / INDEX, repository.git_dir / "index.lock"
    return own.exists() and lock.exists() and (lock.samefile(own) or lock.read_bytes() == own.read_bytes())


def release(repository: Repository) -> None:
    """Give the lock back if it is ours, and remove what it was made of."""
    if is_held(repository):
        (repository.git_dir / "index.lock").unlink()
    for name in (INDEX, f"{INDEX}.lock"):
        (repository.git_dir / name).unlink(missing_ok=True)


def finish(repository: Repository, changes: Sequence[FileChange]) -> None:
    """Bring the index to what a killed run had begun: entries that are still the old ones become the new ones."""
    lock, index = repository.git_dir / "index.lock", repository.git_dir / "index"
    if is_held(repository):
        lock.replace(index)
    release(repository)
    entries = repository.index()
    behind = [change for change in changes if entries.get(change.path) == change.old]
    if behind:
        with held_index(repository, behind) as install:
            install()
