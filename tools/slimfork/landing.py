"""Make new commits real: one ref moves, and the clean work tree follows, also when the process is killed.

A note in the git folder says what is being done. Whoever finds it later finishes the work, or, when the ref
had not moved yet, has nothing to finish. `index.lock` is a link to the note, so that it is known whose it is.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from slimfork import ui
from slimfork.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from pathlib import Path
    from types import FrameType

    from slimfork.gitout import Change
    from slimfork.repo import Repository

NOTE = "slimfork-landing"
INDEX = "slimfork-index"


def land(repository: Repository, *, ref: str, old: str, new: str) -> None:
    """Move `ref`, which is checked out and clean, from one commit to another, and the work tree with it.

    Raises:
        UsageError: Untracked files are in the way, or another git command is at work. Nothing is changed then.
    """
    changes = repository.changes(old, new)
    _refuse_untracked(repository, changes)
    note = repository.git_dir / NOTE
    with _uninterrupted(repository):
        part = note.with_name(f"{NOTE}.part")
        part.write_text(json.dumps({"ref": ref, "old": old, "new": new}), "utf-8")
        part.replace(note)
        try:
            _take_index(repository, note)
            repository.move(ref, new, old)
        except Exception:
            _release_index(repository, note)
            note.unlink()
            raise
        _follow(repository, note, changes)


def recover(repository: Repository) -> None:
    """Finish what a killed run had begun. The caller holds the lock, so nobody else is at it."""
    note = repository.git_dir / NOTE
    if not note.exists():
        return
    begun = json.loads(note.read_text("utf-8"))
    _release_index(repository, note)
    with _uninterrupted(repository):
        if repository.branch() == begun["ref"] and repository.resolve(begun["ref"]) == begun["new"]:
            changes = repository.changes(begun["old"], begun["new"])
            edited = {c.path for c in changes if not _is_ours(repository, c)}
            for path in sorted(edited):
                ui.note(f"{path} was edited after a run was killed; it is left as it is")
            _take_index(repository, note)
            _follow(repository, note, changes, keep=edited)
            ui.note(f"finished the run that was killed in {repository.root}")
        else:
            note.unlink()


def heal(repository: Repository) -> None:
    """Recover before reading, unless another run is at work at this moment."""
    if (repository.git_dir / NOTE).exists():
        with suppress(UsageError), repository.locked():
            recover(repository)


def _follow(repository: Repository, note: Path, changes: Sequence[Change], keep: Collection[str] = ()) -> None:
    """Bring index and work tree to the new commit: the same from wherever an earlier try had stopped."""
    try:
        _check_out(repository, changes, keep)
    finally:
        _release_index(repository, note)
    note.unlink()


def _check_out(repository: Repository, changes: Sequence[Change], keep: Collection[str]) -> None:
    index, own = repository.git_dir / "index", repository.git_dir / INDEX
    for leftover in (own, own.with_name(f"{INDEX}.lock")):
        leftover.unlink(missing_ok=True)
    if index.exists():
        shutil.copy2(index, own)
    for change in changes:
        if change.new is None and change.path not in keep:
            _remove(repository.root, change.path)
    lines = [_index_line(change) for change in changes]
    files = [os.fsencode(c.path) + b"\0" for c in changes if c.new and c.path not in keep]
    env = {"GIT_INDEX_FILE": str(own)}
    repository.git("update-index", "-z", "--index-info", stdin=b"".join(lines), worktree=True, env=env)
    checkout = ("checkout-index", "--force", "--index", "-z", "--stdin")
    repository.git(*checkout, stdin=b"".join(files), worktree=True, env=env)
    own.replace(index)


def _index_line(change: Change) -> bytes:
    known = change.new or change.old
    entry = f"{change.new.mode} {change.new.blob}" if change.new else f"0 {'0' * len(known.blob if known else '')}"
    return f"{entry}\t".encode("ascii") + os.fsencode(change.path) + b"\0"


def _remove(root: Path, path: str) -> None:
    file = root / path
    file.unlink(missing_ok=True)
    for folder in file.parents:
        if folder == root:
            break
        try:
            folder.rmdir()
        except OSError:  # not empty, or gone already
            if folder.exists():
                break


def _take_index(repository: Repository, note: Path) -> None:
    lock = repository.git_dir / "index.lock"
    try:
        try:
            os.link(note, lock)
        except FileExistsError:
            raise
        except OSError:  # a file system without links
            with lock.open("xb") as file:
                file.write(note.read_bytes())
    except FileExistsError:
        hint = f"wait for it; if none is running, delete {lock}"
        raise UsageError(f"another git command is at work in {repository.root}", hint=hint) from None


def _release_index(repository: Repository, note: Path) -> None:
    lock = repository.git_dir / "index.lock"
    if lock.exists() and lock.read_bytes() == note.read_bytes():
        lock.unlink()


def _refuse_untracked(repository: Repository, changes: Sequence[Change]) -> None:
    added = [c.path for c in changes if c.old is None and c.new]
    there = [path for path in added if os.path.lexists(repository.root / path)]
    if there:
        names = ", ".join(there[:10]) + (f" and {len(there) - 10} more" if len(there) > 10 else "")  # noqa: PLR2004
        raise UsageError(f"untracked files are in the way: {names}", hint="move them away, then run this again")


def _is_ours(repository: Repository, change: Change) -> bool:
    """Tell whether a file on disk is the old one, the new one, or a new one that was cut while it was written."""
    file = repository.root / change.path
    if not file.is_file():
        return True
    found = file.read_bytes()
    wanted = [repository.blob(side.blob) for side in (change.old, change.new) if side]
    plain = found.replace(b"\r\n", b"\n")  # a work tree may have other line endings than the commit
    return any(w.startswith(found) or w.replace(b"\r\n", b"\n") == plain for w in wanted)


@contextmanager
def _uninterrupted(repository: Repository) -> Iterator[None]:
    """Let Ctrl-C wait for the end of the block, for this process and for git below it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    seen: list[int] = []

    def later(number: int, frame: FrameType | None) -> None:
        del frame
        seen.append(number)

    before = signal.signal(signal.SIGINT, later)
    repository.own_session = True
    try:
        yield
    finally:
        repository.own_session = False
        signal.signal(signal.SIGINT, before)
    if seen:
        raise KeyboardInterrupt
