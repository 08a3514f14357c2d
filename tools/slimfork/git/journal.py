"""What a landing is about to do to a work tree, on disk before anything of it is done."""

from __future__ import annotations

import hashlib
import json
import os
import re
from dataclasses import asdict, dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from slimfork.git.gitout import REF, SHA

if TYPE_CHECKING:
    from pathlib import Path

NAMES = ("journal.json", "journal-copy.json")  # one may be damaged
DIGEST = re.compile(r"[0-9a-f]{64}")


class DamagedJournal(Exception):  # noqa: N818 - a finding, which is explained to the user elsewhere
    """There is a journal that says nothing: a disk failed, or somebody wrote to it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Swap:
    """One file of the work tree: SHA-256 of its bytes before and after; None where it is not there."""

    path: str
    old: str | None
    new: str | None

    @property
    def is_sound(self) -> bool:
        """Whether it names a file below the work tree, and what can be its content."""
        path = PurePosixPath(self.path)
        digests = [digest for digest in (self.old, self.new) if digest is not None]
        return not path.is_absolute() and ".." not in path.parts and all(map(DIGEST.fullmatch, digests))


@dataclass(frozen=True, slots=True, kw_only=True)
class Journal:
    """A branch that moves from one commit to another, and the files that follow it."""

    ref: str
    old: str
    new: str
    swaps: tuple[Swap, ...]

    @property
    def is_sound(self) -> bool:
        """Whether it says what a journal says."""
        names = (REF.fullmatch(self.ref), SHA.fullmatch(self.old), SHA.fullmatch(self.new))
        return all(names) and all(swap.is_sound for swap in self.swaps)

    def write(self, folder: Path) -> None:
        """Write the journal into a folder: twice, each whole, and on the disk itself."""
        for name in NAMES:
            part = folder / f"{name}.part"
            with part.open("w", encoding="ascii") as file:
                json.dump(asdict(self), file)
                file.flush()
                os.fsync(file.fileno())
            part.replace(folder / name)
        _sync(folder)


def read_journal(folder: Path) -> Journal | None:
    """Return the journal of a folder; None where there is none: then nothing had been touched.

    Raises:
        DamagedJournal: What lies there is none.
    """
    if not folder.is_dir() or folder.is_symlink():
        raise DamagedJournal  # a run of an earlier version, whose journal is a file, or nothing of ours at all
    there = [folder / name for name in NAMES if (folder / name).exists()]
    for file in there:
        if journal := _read(file):
            return journal
    if there:
        raise DamagedJournal
    return None


def _read(file: Path) -> Journal | None:
    try:
        facts = json.loads(file.read_bytes())
        journal = Journal(swaps=tuple(Swap(**swap) for swap in facts.pop("swaps")), **facts)
        sound = journal.is_sound
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
    return journal if sound else None


def _sync(folder: Path) -> None:
    """Write a folder's list of names to the disk itself, where the system lets a folder be opened."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def file_digest(file: Path) -> str | None:
    """Return the SHA-256 of a file's bytes, or of what tells where a link points; None where there is neither."""
    if file.is_symlink():
        return hashlib.sha256(b"link\0" + os.fsencode(file.readlink())).hexdigest()
    if not file.is_file():
        return None
    return hashlib.sha256(file.read_bytes()).hexdigest()
