"""Build a new fork beside its place and rename it there: it is whole, or it is not there."""

from __future__ import annotations

import hashlib
import os
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from slimfork.git import commits
from slimfork.git.repo import new_repository
from slimfork.processes.processes import clear
from slimfork.terminal.errors import UsageError, busy
from slimfork.terminal.words import typed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from slimfork.git.repo import Repository

LONGEST_NAME = 200  # bytes; a name has 255 at most, and some file systems give fewer
ELSEWHERE = "--into a folder that is not there yet"
MAIN, PRISTINE = "refs/heads/slim", "refs/heads/upstream"


def build(target: Path, made: Sequence[commits.Draft], *, version: str) -> list[str]:
    """Make a fork at `target`, which is not there or empty, and return its commits.

    Args:
        target: Where the fork goes.
        made: The import, then the patches and the overlay.
        version: The release, for the tag of the import.
    """
    return build_with(target, lambda repository: repository.write_refs(_stream(made, version), len(made)))


def build_with(target: Path, write: Callable[[Repository], list[str]]) -> list[str]:
    """Make a fork at `target` of the commits that a function writes, refs and all; its last one is checked out."""
    with _workshop(target) as folder:
        if target.exists() and any(target.iterdir()):  # another run was faster
            raise busy(target)
        fork = folder / "fork"
        with new_repository(fork) as repository:
            shas = write(repository)
            repository.git("read-tree", "-m", "-u", shas[-1])
        if os.name == "nt" and target.exists():  # pragma: no cover - only POSIX renames onto an empty folder
            target.rmdir()
        _put(fork, target)
    return shas


def refuse_place(target: Path) -> None:
    """Refuse a path to which no folder can be renamed, before anything is fetched for it.

    Raises:
        UsageError: It is a link to nothing or to itself, or a disk of its own is mounted there.
    """
    if target.is_symlink() and not target.exists():
        raise UsageError(f"{target} is a link to {target.readlink()}, which is not there", hint=ELSEWHERE)
    if target.is_dir() and os.path.ismount(target):
        hint = f"--into {typed(target / 'fork')}"
        raise UsageError(f"{target} is a mount point: no folder can be renamed onto it", hint=hint)


def _put(fork: Path, target: Path) -> None:
    try:
        fork.rename(target)
    except OSError as error:
        raise UsageError(f"cannot put the fork at {target}: {error.strerror}", hint=ELSEWHERE) from None


def _stream(made: Sequence[commits.Draft], version: str) -> bytes:
    pristine = commits.chain(made[:1], start=None, ref=PRISTINE, first=1)
    tag = commits.pointer(f"refs/tags/upstream/{version}", 1)
    patched = commits.chain(made[1:], start=":1", ref=MAIN, first=2)
    start = [] if made[1:] else [commits.pointer(MAIN, 1)]
    return b"".join([*pristine, tag, *patched, *start, b"done\n"])


def tidy(target: Path) -> None:
    """Clear away what a run left that was killed right after its fork had come to its place."""
    if _place(target).exists():
        with suppress(UsageError), _workshop(target):
            pass


def _place(target: Path) -> Path:
    """Return the folder beside a target in which it is built; a name as long as names may be is cut short for it."""
    name = target.name
    if len(os.fsencode(name)) > LONGEST_NAME:
        name = hashlib.sha256(os.fsencode(name)).hexdigest()
    return target.parent / f".{name}.slimfork"


@contextmanager
def _workshop(target: Path) -> Iterator[Path]:
    """Yield a folder beside the target that one run has for itself; what a killed run left in it goes first."""
    folder = _place(target)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        hint = "--into a folder that you can write to"
        raise UsageError(f"cannot make {target}: {error.strerror}", hint=hint) from None
    lock = FileLock(folder / "lock", timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise busy(target) from None
    try:
        _clear(folder / "fork")
        yield folder
    finally:
        _clear(folder / "fork")
        (folder / "lock").unlink(missing_ok=True)
        with suppress(OSError):  # another run is waiting in it
            folder.rmdir()
        lock.release()


def _clear(folder: Path) -> None:
    if not clear(folder):
        raise UsageError(f"{folder} cannot be removed", hint=f"rm -r {typed(folder)}")
