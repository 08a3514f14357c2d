"""What git prints, as data: the files of a tree, the changes between two trees, the commits of a log. Pure."""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from slimfork.terminal.errors import SlimforkError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

LOG_FORMAT = "%H%x00%P%x00%ct%x00%ae%x00%ce%x00%B"
SHA = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
REF = re.compile(r"refs/(?:heads|tags)/(?!.*(?:\.\.|//|@\{|\.lock$|\.lock/|/\.|/$|\.$))[^\x00-\x20~^:?*\[\\\x7f]+")
REGULAR, EXECUTABLE, SYMLINK, GITLINK = "100644", "100755", "120000", "160000"  # modes of what is in a tree


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeFile:
    """A file of a tree: its git mode, such as "100644", and the hash of its blob."""

    mode: str
    blob: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FileChange:
    """What a file was and is, between two trees; None where it is not there."""

    path: str
    old: TreeFile | None
    new: TreeFile | None

    @property
    def is_submodule(self) -> bool:
        """Whether it is the commit of a submodule that changes, and no file."""
        return any(side is not None and side.mode == GITLINK for side in (self.old, self.new))


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedCommit:
    """A commit as `git log` shows it.

    Attributes:
        when: The committer's time in seconds since 1970.
        author: Mail of who made it; it stays through amending, fixups and rebasing.
        committer: Mail of who wrote it as it is now.
    """

    sha: str
    parents: tuple[str, ...]
    when: int
    author: str
    committer: str
    message: str

    @property
    def subject(self) -> str:
        """The first line of the message."""
        return self.message.partition("\n")[0]


def checked_sha(text: str) -> str:
    """Return the hash, or refuse what is none."""
    if not SHA.fullmatch(text):
        raise SlimforkError(f"{text!r} is no commit hash")
    return text


def blob_hash(content: bytes, like: str) -> str:
    """Return the hash that git gives a content, in the kind (SHA-1 or SHA-256) of another hash."""
    kind = "sha1" if len(like) == len(hashlib.sha1(usedforsecurity=False).hexdigest()) else "sha256"
    return hashlib.new(kind, b"blob %d\0%b" % (len(content), content), usedforsecurity=False).hexdigest()


def checked_ref(text: str) -> str:
    """Return the full name of a branch or tag, or refuse what git would refuse."""
    if not REF.fullmatch(text):
        raise SlimforkError(f"{text!r} is no branch or tag")
    return text


def parse_tree(out: bytes) -> dict[str, TreeFile]:
    """Parse `git ls-tree -r -z`: path to entry, without links and submodules."""
    entries = {}
    for path, (mode, kind, blob) in _facts(out):
        if kind == "blob" and mode != SYMLINK:
            entries[path] = TreeFile(mode=mode, blob=blob)
    return entries


def parse_others(out: bytes) -> frozenset[str]:
    """Parse `git ls-tree -r -z`: the paths of links and submodules, which `parse_tree` leaves out."""
    return frozenset(path for path, (mode, kind, _) in _facts(out) if kind != "blob" or mode == SYMLINK)


def parse_flags(out: bytes) -> dict[str, str]:
    """Parse `git ls-files -v -z`: path to the flag that hides its changes from git, of those that have one."""
    flags = {}
    for line in filter(None, out.split(b"\0")):
        tag, path = line[:1], os.fsdecode(line[2:])
        if tag in b"Ss":
            flags[path] = "skip-worktree"
        elif tag.islower():
            flags[path] = "assume-unchanged"
    return flags


def parse_index(out: bytes) -> dict[str, TreeFile]:
    """Parse `git ls-files -s -z`: path to entry, without the sides of a conflict."""
    entries = {}
    for path, (mode, blob, stage) in _facts(out):
        if stage == "0":
            entries[path] = TreeFile(mode=mode, blob=blob)
    return entries


def _facts(out: bytes) -> Iterator[tuple[str, list[str]]]:
    """Yield the path of each file that git lists with `-z`, and the words that it has before the tab."""
    for line in filter(None, out.split(b"\0")):
        words, _, path = line.partition(b"\t")
        yield os.fsdecode(path), words.decode("ascii").split()


def all_folders(paths: Iterable[str]) -> set[str]:
    """Return the folders that files of a tree lie in, and all that those lie in; the outermost is "."."""
    folders: set[str] = set()
    for path in paths:
        folders.update(map(str, PurePosixPath(path).parents))
    return folders


def parse_worktrees(out: bytes) -> list[tuple[str, str]]:
    """Parse `git worktree list --porcelain`: each work tree's folder and the full name of its branch, or "".

    The first one is that of the repository itself, bare ones included.
    """
    worktrees: list[tuple[str, str]] = []
    for line in out.decode("utf-8", "surrogateescape").splitlines():
        key, _, value = line.partition(" ")
        if key == "worktree":
            worktrees.append((value, ""))
        elif key == "branch":
            worktrees[-1] = (worktrees[-1][0], value)
    return worktrees


def parse_changes(out: bytes) -> list[FileChange]:
    """Parse `git diff-tree -r -z --no-renames` of two commits."""
    fields = out.split(b"\0")[:-1]
    changes = []
    for facts, path in zip(fields[::2], fields[1::2], strict=True):
        old_mode, new_mode, old, new, _ = facts.decode("ascii").lstrip(":").split()
        changes.append(FileChange(path=os.fsdecode(path), old=_side(old_mode, old), new=_side(new_mode, new)))
    return changes


def _side(mode: str, blob: str) -> TreeFile | None:
    return TreeFile(mode=mode, blob=blob) if blob.strip("0") else None


def parse_log(out: bytes) -> list[LoggedCommit]:
    """Parse `git log -z --format=LOG_FORMAT`."""
    fields = iter(out.decode("utf-8", "surrogateescape").split("\0"))
    return [
        LoggedCommit(
            sha=sha,
            parents=tuple(parents.split()),
            when=int(when),
            author=author,
            committer=committer,
            message=message.rstrip("\n"),
        )
        for sha, parents, when, author, committer, message in zip(*[fields] * 6, strict=False)
    ]


def parse_status(out: bytes) -> list[str]:
    """Parse `git status --porcelain -z --no-renames`: the paths, sorted."""
    return sorted(os.fsdecode(line[3:]) for line in out.split(b"\0") if line)
