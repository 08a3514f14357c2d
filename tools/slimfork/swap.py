"""Files of a work tree change places with new ones: what was there is moved aside, looked at, and only then let go."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from slimfork.journal import Swap, file_digest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

NEW, OLD = "new", "old"


class SavedMeanwhile(Exception):  # noqa: N818 - a finding; the landing says what follows from it
    """A file is not what it was when it was looked at: somebody has saved it since."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.path = path


class Exchange:
    """The files of one landing: new ones wait in a folder, old ones go to it, on the same file system."""

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
            if swap.old is not None:
                self._old(swap).parent.mkdir(parents=True, exist_ok=True)
            else:
                place = self.root / swap.path
                place.parent.mkdir(parents=True, exist_ok=True)
                try:
                    _link(self._new(swap), place)
                except FileExistsError:
                    raise SavedMeanwhile(swap.path) from None

    def replace(self) -> None:
        """Put the other files in the place of the old ones, and take away those that go.

        Raises:
            SavedMeanwhile: An old one is not what it was.
        """
        for swap in self.swaps:
            if swap.old is not None:
                place, old = self.root / swap.path, self._old(swap)
                try:
                    _link(place, old)  # the path always names a file: whoever saves at this moment finds one
                except FileNotFoundError:
                    raise SavedMeanwhile(swap.path) from None
                if swap.new is None:
                    place.unlink()
                else:
                    self._new(swap).replace(place)
                if file_digest(old) != swap.old:
                    raise SavedMeanwhile(swap.path)

    def undo(self) -> list[str]:
        """Put everything back, from wherever it had stopped; return what was edited since, and so is left alone."""
        edited = []
        for swap in reversed(self.swaps):
            place, old = self.root / swap.path, self._old(swap)
            there = os.path.lexists(place)
            if swap.old is None:
                if self._is_ours(swap):
                    place.unlink()
                elif there:
                    edited.append(swap.path)
            elif old.exists():
                if not there or self._is_ours(swap):
                    old.replace(place)
                elif not place.samefile(old):
                    edited.append(swap.path)
        self.remove_folders(added=True)
        return edited

    def _is_ours(self, swap: Swap) -> bool:
        """Tell whether what lies at a path is what we have put there, untouched."""
        place, new = self.root / swap.path, self._new(swap)
        ours = swap.new is not None and file_digest(place) == swap.new
        return ours and (not new.exists() or place.samefile(new))  # one that still waits has not been put there

    def written_late(self) -> Iterator[tuple[Swap, Path]]:
        """Yield the old files that somebody has written to since: through a handle that was open all the time."""
        for swap in self.swaps:
            old = self._old(swap)
            if swap.old is not None and old.exists() and file_digest(old) != swap.old:
                yield swap, old

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
