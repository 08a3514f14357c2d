"""Files that upstream has moved: a commit follows them to where they are now, and no commit follows a guess.

Git takes a file for moved when half of it is found under any other name. Releases have families of files that are alike
by nature (`yolov8n.yaml`, `yolov8-seg.yaml`), so a change to one would end in another. Here a file is followed when its
name is the same: in a folder of the same name, if there is one such file, or with a fifth of its lines. Ultralytics
8.0.136 moved its whole package, and rewrote up to nine tenths of a file.
"""

from __future__ import annotations

import os
from collections import defaultdict
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from slimfork.git.gitout import checked_sha

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from slimfork.git.gitout import TreeFile
    from slimfork.git.repo import Repository

GIT_SHARE = 50  # % of lines with which git takes a file for moved
SAME_NAME_SHARE = 20  # % with which we do, if the name is the same
ANY_FOLDER = "__init__.py"  # a name that every package has


class MovedFiles:
    """What has moved from one import to the next one.

    Attributes:
        places: Path to where the file is now.
        guesses: Path of a file that is gone to what git would take for it, under another name.
    """

    def __init__(self, scratch: Repository, old: str, new: str) -> None:
        self._scratch = scratch
        changes = scratch.changes(old, new)
        gone = [change.path for change in changes if not change.new]
        self.places = dict(_by_folder(gone, [change.path for change in changes if not change.old]))
        self.guesses: dict[str, str] = {}
        for alike, before, after in self._renames(old, new):
            name = PurePosixPath(before).name
            if name == PurePosixPath(after).name and name != ANY_FOLDER:
                self.places.setdefault(before, after)
            elif alike >= GIT_SHARE and before not in self.places:
                self.guesses[before] = after

    def _renames(self, old: str, new: str) -> Iterator[tuple[int, str, str]]:
        """Yield what git finds: how alike two files are in %, and their paths."""
        find = ("diff-tree", "-r", "-z", "--raw", "--abbrev=40", f"-M{SAME_NAME_SHARE}%", "--diff-filter=R", "-l0")
        words = iter(os.fsdecode(self._scratch.git(*find, checked_sha(old), checked_sha(new))).split("\0"))
        for facts in words:
            if facts:
                yield int(facts.rpartition("R")[2]), next(words), next(words)

    def follow(self, base: str, theirs: str) -> tuple[str, str]:
        """Return two trees in which the files that differ are where they are now."""
        changed = [change.path for change in self._scratch.changes(base, theirs)]
        paths = [path for path in changed if path in self.places]
        return (self._renamed(base, paths), self._renamed(theirs, paths)) if paths else (base, theirs)

    def guessed(self, base: str, theirs: str) -> tuple[str, ...]:
        """Return the files that differ and that git would look for under another name."""
        return tuple(change.path for change in self._scratch.changes(base, theirs) if change.path in self.guesses)

    def with_files(self, tree: str, source: str, paths: Collection[str]) -> str:
        """Return a tree with some files of another one besides."""
        if not paths:
            return tree
        entries = self._scratch.entries(source)
        return self._written(tree, [_line(entries[path], path) for path in paths if path in entries])

    def _renamed(self, tree: str, paths: Iterable[str]) -> str:
        entries = self._scratch.entries(tree)
        lines = []
        for path in paths:
            if path in entries and self.places[path] not in entries:
                lines += [f"0 {'0' * 40}\t{path}\0", _line(entries[path], self.places[path])]
        return self._written(tree, lines)

    def _written(self, tree: str, lines: list[str]) -> str:
        env = {"GIT_INDEX_FILE": str(self._scratch.git_dir / "moved-index")}
        self._scratch.git("read-tree", checked_sha(tree), env=env)
        self._scratch.git("update-index", "-z", "--index-info", stdin=os.fsencode("".join(lines)), env=env)
        return self._scratch.git("write-tree", env=env).decode("ascii").strip()


def _line(entry: TreeFile, path: str) -> str:
    return f"{entry.mode} {entry.blob}\t{path}\0"


def _by_folder(gone: list[str], come: list[str]) -> Iterator[tuple[str, str]]:
    """Yield a file that is gone and the one that has come, if just one has its name and its folder's name."""
    found: dict[tuple[str, ...], list[str]] = defaultdict(list)
    left: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for paths, by_end in ((come, found), (gone, left)):
        for path in paths:
            by_end[PurePosixPath(path).parts[-2:]].append(path)
    for end, paths in left.items():
        if len(paths) == len(found[end]) == 1 and len(end) > 1:
            yield paths[0], found[end][0]
