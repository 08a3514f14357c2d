"""The checkout while an upgrade waits: a branch for the work, git's own conflict laid out on it, and the way back.

The user's branch does not move until the upgrade ends. What is checked out meanwhile is a branch of the upgrade, so
that plain git shows what is going on, and the conflict is that of `git cherry-pick`.
"""

from __future__ import annotations

import os
import shutil
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from slimfork.git.gitout import blob_hash, checked_sha
from slimfork.git.landing import land
from slimfork.git.refs import RefMove, check_out_name, move_refs
from slimfork.terminal.errors import SlimforkError, UsageError
from slimfork.terminal.words import typed

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from slimfork.git.gitout import TreeFile
    from slimfork.git.repo import Repository

PICKED, INDEX_LOCK = "CHERRY_PICK_HEAD", "index.lock"
MESSAGE = "MERGE_MSG"
MARKERS = (b"<<<<<<< ", b">>>>>>> ")
RESTORED_INDEX = "slimfork-restored-index"
LOCK_TRIES, LOCK_PAUSE = 20, 0.1  # s: whoever else asks git for something has its answer by then


def refuse_taken(repository: Repository, work: str) -> None:
    """Refuse a name for the branch of the work that something else has."""
    if repository.resolve(work):
        short = work.removeprefix("refs/heads/")
        hint = f"git -C {typed(repository.root)} branch -m {typed(short)} another-name"
        raise UsageError(f"{repository.root} has a branch {short} of its own", hint=hint)


def go_to(repository: Repository, work: str, start: str, target: str) -> None:
    """Check a commit out on the branch of the work, which is made where the user's branch is; again, after a kill.

    Args:
        repository: The user's.
        work: The full name of that branch.
        start: What is checked out when there is no such branch yet.
        target: The commit to come to.
    """
    if repository.resolve(work) is None:
        move_refs(repository, [RefMove(ref=work, old=None, new=start)])
    if repository.branch() != work:
        check_out_name(repository, work)
    at = repository.resolve(work)
    if at is not None and at != target:
        land(repository, ref=work, old=at, new=target, amid=True)


def lay_out(repository: Repository, change: str, *, guessing: bool) -> None:
    """Let git pick a commit onto what is checked out. Where a merge driver of the user's makes it fit, it is committed.

    Args:
        repository: The user's.
        change: The commit.
        guessing: Whether git would follow a file to one that is merely like it: then it follows none that has changed.
    """
    options = ("--allow-empty", "--keep-redundant-commits", "--no-gpg-sign", "--no-rerere-autoupdate")
    who = {"GIT_COMMITTER_NAME": "apply-patches", "GIT_COMMITTER_EMAIL": "-", "GIT_EDITOR": "true"}
    renames = ("-Xfind-renames=100%",) if guessing else ()
    pick = ("cherry-pick", *renames, *options, checked_sha(change))
    status, _, said = repository.run(*pick, worktree=True, env=who)
    if status and not unmerged(repository):
        raise SlimforkError(f"git cherry-pick failed in {repository.root}: {said.strip().splitlines()[0]}")


def is_picked(repository: Repository, change: str) -> bool:
    """Tell whether git has laid a commit out to its end: it writes the name of that one after files and index."""
    file = repository.git_dir / PICKED
    return (
        file.is_file() and file.read_text("ascii").strip() == change and not (repository.git_dir / INDEX_LOCK).exists()
    )


def unmerged(repository: Repository) -> list[str]:
    """Return the files that still have the sides of a conflict."""
    out = repository.git("ls-files", "-u", "-z", worktree=True)
    return sorted({os.fsdecode(line.partition(b"\t")[2]) for line in out.split(b"\0") if line})


def resolved_tree(repository: Repository, clashed: Iterable[str]) -> str:
    """Return the tree that the user has made of a conflict in some files: what is staged.

    Raises:
        UsageError: It is not resolved yet, or something is not staged.
    """
    place = typed(repository.root)
    if left := unmerged(repository):
        hint = f"edit them, then git -C {place} add {' '.join(map(typed, left))}"
        raise UsageError(f"not resolved yet: {', '.join(left)}", hint=hint)
    if unstaged := _unstaged(repository):
        hint = f"git -C {place} add {' '.join(map(typed, unstaged))}"
        raise UsageError(f"changed, and not added: {', '.join(unstaged)}", hint=hint)
    for path in clashed:
        if _has_markers(repository.root / path):
            hint = f"edit it, then git -C {place} add {typed(path)}"
            raise UsageError(f"{path} has git's conflict markers in it still", hint=hint)
    return repository.git("write-tree", worktree=True).decode("ascii").strip()


def _unstaged(repository: Repository) -> list[str]:
    repository.run("update-index", "-q", "--refresh", worktree=True)
    out = repository.git("diff-files", "--name-only", "-z", worktree=True)
    return [os.fsdecode(name) for name in out.split(b"\0") if name]


def _has_markers(file: Path) -> bool:
    lines = file.read_bytes().split(b"\n") if file.is_file() else []
    return any(line.startswith(MARKERS) for line in lines)


def end_pick(repository: Repository) -> None:
    """Let git forget that it was picking a commit; files and index stay."""
    for name in (PICKED, MESSAGE, "AUTO_MERGE"):
        (repository.git_dir / name).unlink(missing_ok=True)


def restore(repository: Repository, commit: str, picked: str) -> None:
    """Bring the checkout back to a commit, and leave what is not git's: the files that the picked commit did not make.

    Args:
        repository: The user's.
        commit: What was checked out when git began to pick.
        picked: The commit that was picked.
    """
    _free_lock(repository)
    parent = repository.git("rev-parse", f"{checked_sha(picked)}^").decode("ascii").strip()
    made_by_it = {change.path: change.new for change in repository.changes(parent, picked) if change.old is None}
    staged = set(repository.index()) | set(unmerged(repository))
    end_pick(repository)
    part = repository.git_dir / RESTORED_INDEX
    part.unlink(missing_ok=True)
    shutil.copy2(repository.git_dir / "index", part)
    env = {"GIT_INDEX_FILE": str(part)}
    repository.git("read-tree", "--reset", checked_sha(commit), worktree=True, env=env)
    part.replace(repository.git_dir / "index")
    kept = repository.index()
    for path, file in made_by_it.items():
        if path not in kept and (path in staged or _is_still(repository.root / path, file)):
            _remove(repository.root / path)
    if changed := _unstaged(repository):
        names = b"".join(os.fsencode(path) + b"\0" for path in changed)
        repository.git("checkout-index", "-f", "-u", "-z", "--stdin", stdin=names, worktree=True)


def _remove(path: Path) -> None:
    """Remove a file that git has made; the folder of a submodule goes if there is nothing in it."""
    if path.is_symlink() or not path.is_dir():
        path.unlink(missing_ok=True)
        return
    with suppress(OSError):
        path.rmdir()


def _is_still(path: Path, file: TreeFile | None) -> bool:
    """Tell whether a file that was taken out of the index is what the commit made, which has it still."""
    return file is not None and path.is_file() and blob_hash(path.read_bytes(), file.blob) == file.blob


def _free_lock(repository: Repository) -> None:
    """Remove the index lock of a git that was killed while it picked."""
    lock = repository.git_dir / INDEX_LOCK
    for _ in range(LOCK_TRIES):
        if not lock.exists():
            return
        time.sleep(LOCK_PAUSE)
    lock.unlink(missing_ok=True)
