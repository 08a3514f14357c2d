"""Three trees merged into one by `git merge-tree`, which needs no work tree (git-merge-tree(1), git 2.38, 2022)."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from slimfork.git.gitout import checked_sha
from slimfork.series.workbench import write_text
from slimfork.terminal.errors import SlimforkError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from slimfork.git.repo import Repository

NOBODY = b"author - <-> 0 +0000\ncommitter - <-> 0 +0000\n"  # of commits that only tell git which tree is the base
CLEAN, CLASHING = 0, 1  # how `git merge-tree` ends
CONFLICT = "CONFLICT "


@dataclass(frozen=True, slots=True, kw_only=True)
class Clash:
    """A file on which two sides disagree.

    Attributes:
        path: The file.
        kind: Git's word: `contents`, `modify/delete`, `add/add`, `rename/delete`, ...
    """

    path: str
    kind: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """A merged tree, and where it has git's markers in it."""

    tree: str
    clashes: tuple[Clash, ...] = ()


def refuse_old_git(repository: Repository) -> None:
    """Refuse a git that cannot merge trees."""
    _, usage, said = repository.run("merge-tree", "-h")
    if "--write-tree" not in os.fsdecode(usage) + said:
        version = (repository.ask("version") or "this git").removeprefix("git version ")
        raise UsageError(f"git {version} is too old to upgrade: git 2.38 merges trees", hint="install a newer git")


def merge_trees(scratch: Repository, *, base: str, ours: str, theirs: str) -> Merged:
    """Merge what two trees make of a third one; nothing is asked of git where one of them leaves it as it is."""
    if base in (ours, theirs) or ours == theirs:
        return Merged(tree=theirs if base == ours else ours)
    root = write_commit(scratch, base)
    sides = (write_commit(scratch, tree, (root,)) for tree in (ours, theirs))
    return merge_commits(scratch, *sides)


def merge_commits(scratch: Repository, ours: str, theirs: str) -> Merged:
    """Merge two commits, with the base that their history gives."""
    command = (
        "merge-tree",
        "--write-tree",
        "-z",
        "--messages",
        "--allow-unrelated-histories",
        checked_sha(ours),
        checked_sha(theirs),
    )
    status, out, said = scratch.run(*command)
    if status not in {CLEAN, CLASHING}:
        raise SlimforkError(f"git merge-tree failed: {said.strip() or status}")
    tree, _, rest = os.fsdecode(out).partition("\0")
    found: dict[str, Clash] = {}
    for clash in _clashes(rest):
        found.setdefault(clash.path, clash)
    return Merged(tree=tree, clashes=tuple(found.values()))


def merge_bases(scratch: Repository, ours: str, theirs: str) -> tuple[str, ...]:
    """Return the commits at which two histories part: none, where they have nothing in common."""
    return tuple((scratch.ask("merge-base", "--all", checked_sha(ours), checked_sha(theirs)) or "").split())


def _clashes(said: str) -> Iterator[Clash]:
    """Read what follows the tree: the sides of the files, nothing, then messages: paths' number, paths, kind, text."""
    words = iter(said.partition("\0\0")[2].split("\0"))
    for number in words:
        if not number:
            return
        paths = [next(words) for _ in range(int(number))]
        kind = next(words)
        next(words)
        if kind.startswith(CONFLICT):
            yield Clash(path=paths[0], kind=kind.removeprefix(CONFLICT).strip("()"))


def write_commit(scratch: Repository, tree: str, parents: tuple[str, ...] = (), rest: bytes = NOBODY + b"\n") -> str:
    """Write a commit and return its hash.

    Args:
        scratch: Where it is written.
        tree: Its files.
        parents: Its parents.
        rest: What follows these in its text: author, committer, more headers, and the message.
    """
    lines = [f"tree {tree}\n", *(f"parent {parent}\n" for parent in parents)]
    return write_text(scratch, "".join(lines).encode() + rest)
