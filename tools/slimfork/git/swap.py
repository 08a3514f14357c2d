"""Files of a work tree change places with new ones: what was there comes out, is looked at, and only then let go."""

from __future__ import annotations

import ctypes
import os
from functools import cache
from typing import TYPE_CHECKING

from slimfork.git.journal import Swap, file_digest
from slimfork.terminal import ui

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

NEW, OLD = "new", "old"
WORKING_FOLDER, EXCHANGE = -100, 2  # AT_FDCWD and RENAME_EXCHANGE of Linux


class SavedMeanwhile(Exception):  # noqa: N818 - a finding; the landing says what follows from it
    """A file is not what it was when it was looked at: somebody has saved it since."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.path = path


class Exchange:
    """The files of one landing, on the same file system as the work tree.

    New files wait in `new`. One that takes the place of another waits in `old`, where the other one comes to lie.
    """

    def __init__(self, root: Path, folder: Path, swaps: Sequence[Swap]) -> None:
        self.root, self.folder, self.swaps = root, folder, swaps

    def _new(self, swap: Swap) -> Path:
        return self.folder / NEW / swap.path

    def _old(self, swap: Swap) -> Path:
        return self.folder / OLD / swap.path

    def add(self) -> None:
        """Put the files where there are none yet: git does not know them before its index does.

        Raises:
            SavedMeanwhile: There is one by now.
        """
        for swap in self.swaps:
            if swap.old is None:
                place = self.root / swap.path
                place.parent.mkdir(parents=True, exist_ok=True)
                try:
                    _link(self._new(swap), place)
                except FileExistsError:
                    raise SavedMeanwhile(swap.path) from None
                continue
            self._old(swap).parent.mkdir(parents=True, exist_ok=True)
            if swap.new is not None:
                self._new(swap).rename(self._old(swap))

    def replace(self) -> None:
        """Put the other files in the place of the old ones, and take away those that go.

        Raises:
            SavedMeanwhile: An old one is not what it was.
        """
        for swap in self.swaps:
            if swap.old is not None:
                place, old = self.root / swap.path, self._old(swap)
                try:
                    place.rename(old) if swap.new is None else exchange(old, place)
                except FileNotFoundError:
                    raise SavedMeanwhile(swap.path) from None
                if file_digest(old) != swap.old:
                    raise SavedMeanwhile(swap.path)

    def undo(self) -> list[str]:
        """Put everything back, from wherever it had stopped; return what was edited since, and so is left alone."""
        edited = []
        for swap in reversed(self.swaps):
            if not self._undo(swap):
                edited.append(swap.path)
        self.remove_folders(added=True)
        return edited

    def _undo(self, swap: Swap) -> bool:
        """Put one file back; tell whether it could be done without losing anything."""
        place, old = self.root / swap.path, self._old(swap)
        if os.path.lexists(aside := _aside(old)):
            aside.replace(old)
        if swap.old is None:
            if not self._is_added(swap):
                return not os.path.lexists(place)
            place.unlink()
        elif not os.path.lexists(old) or file_digest(old) == swap.new:
            return True  # it was not begun: what lies at the place is the old one, or what was saved since
        elif not os.path.lexists(place):
            old.rename(place)
        elif file_digest(place) != swap.new:
            return False
        else:
            exchange(old, place)
            if file_digest(old) != swap.new:  # saved at this very moment
                exchange(old, place)
                return False
        return True

    def _is_added(self, swap: Swap) -> bool:
        """Tell whether what lies at a path is the file that we have put there, untouched."""
        place, new = self.root / swap.path, self._new(swap)
        ours = swap.new is not None and file_digest(place) == swap.new
        return ours and (not os.path.lexists(new) or _is_same(place, new))  # without links it has moved

    def keep_late_writes(self) -> None:
        """Put what a program has written to an old file, through a handle that was open, beside the new one."""
        for swap in self.swaps:
            old = self._old(swap)
            if swap.old is not None and os.path.lexists(old) and file_digest(old) not in {swap.old, swap.new}:
                kept = unused(self.root / f"{swap.path}.saved")
                old.rename(kept)
                ui.note(f"{swap.path} was written to while it was replaced; what was written is in {kept}")

    def remove_folders(self, *, added: bool = False) -> None:
        """Remove the folders in which nothing is left of what went, or of what was `added`."""
        for swap in self.swaps:
            if (swap.old if added else swap.new) is None:
                for folder in (self.root / swap.path).parents:
                    if folder == self.root or not _remove_empty(folder):
                        break


def _remove_empty(folder: Path) -> bool:
    try:
        folder.rmdir()
    except OSError:  # not empty, or gone already
        return not folder.exists()
    return True


def unused(path: Path) -> Path:
    """Return the path, or the first with a number after it that nothing lies at."""
    number, free = 1, path
    while os.path.lexists(free):
        number += 1
        free = path.with_name(f"{path.name}{number}")
    return free


def exchange(one: Path, other: Path) -> None:
    """Let two files change places at once, so that no path is without a file and none is overwritten."""
    call = _renameat2()
    if call is not None and call(WORKING_FOLDER, os.fsencode(one), WORKING_FOLDER, os.fsencode(other), EXCHANGE) == 0:
        return
    if not os.path.lexists(other):
        raise FileNotFoundError(other)
    other.rename(_aside(one))  # a system without that call: the path has no file for a moment
    _link(one, other)
    _aside(one).replace(one)


def _is_same(one: Path, other: Path) -> bool:
    """Tell whether two paths are names of one file; a link is a file of its own."""
    return os.path.samestat(one.lstat(), other.lstat())


def _aside(path: Path) -> Path:
    return path.with_name(f"{path.name}.aside")


@cache
def _renameat2() -> Callable[..., int] | None:
    try:
        function: Callable[..., int] | None = getattr(ctypes.CDLL(None), "renameat2", None)
    except (OSError, TypeError):  # Windows
        return None
    return function


def _link(source: Path, target: Path) -> None:
    """Give a file a second name; where the file system has no links, move it."""
    try:
        os.link(source, target, follow_symlinks=False)
    except (FileExistsError, FileNotFoundError):
        raise
    except OSError:
        if os.path.lexists(target):
            raise FileExistsError(target) from None
        source.rename(target)
