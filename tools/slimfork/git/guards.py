"""What keeps us from touching a checkout: work that is not committed, or hidden from git, or under way."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from slimfork.git.gitout import all_folders
from slimfork.terminal.errors import UsageError
from slimfork.terminal.words import typed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from slimfork.git.gitout import FileChange
    from slimfork.git.repo import Repository

LISTED_PATHS = 10
# What git leaves in its folder while it waits for the user, what that is called, and what ends it.
UNDER_WAY = (
    ("rebase-apply/applying", "`git am`", "am --continue, or --abort"),
    ("rebase-apply", "rebase", "rebase --continue, or --abort"),
    ("rebase-merge", "rebase", "rebase --continue, or --abort"),
    ("MERGE_HEAD", "merge", "merge --continue, or --abort"),
    ("CHERRY_PICK_HEAD", "cherry-pick", "cherry-pick --continue, or --abort"),
    ("REVERT_HEAD", "revert", "revert --continue, or --abort"),
    ("sequencer", "cherry-pick or revert of several commits", "status, which says how to end it"),
    ("BISECT_LOG", "bisect", "bisect reset"),
)
UPGRADE = "slimfork-upgrade.json"  # in git's folder while an upgrade waits for the user
BRANCH_OF = ("rebase-merge/head-name", "rebase-apply/head-name", "BISECT_START")


def ready(repository: Repository) -> str:
    """Return the branch that is checked out, or refuse a repository in which a commit would go wrong."""
    refuse_upgrading(repository)
    for file, what, end in UNDER_WAY:
        if (repository.git_dir / file).exists():
            raise UsageError(
                f"a {what} is under way in {repository.root}", hint=f"git -C {typed(repository.root)} {end}"
            )
    branch = repository.branch()
    if branch is None:
        git = f"git -C {typed(repository.root)} switch"
        hint = f"{git} slim, or {git} -c another-branch" if repository.resolve("refs/heads/slim") else f"{git} -c slim"
        raise UsageError(f"{repository.root} is on no branch (HEAD is detached)", hint=hint)
    refuse_shared(repository, branch)
    refuse_dirty(repository)
    return branch


def refuse_upgrading(repository: Repository) -> None:
    """Refuse a checkout in which an upgrade waits for the user."""
    if (repository.git_dir / UPGRADE).exists():
        hint = f"apply-patches upgrade {typed(repository.root)} --continue, --skip or --abort"
        raise UsageError(f"an upgrade is under way in {repository.root}", hint=hint)


def refuse_dirty(repository: Repository) -> None:
    """Refuse changes that are not committed."""
    dirty = repository.dirty()
    if dirty:
        hint = f"commit them, or git -C {typed(repository.root)} stash"
        raise UsageError(f"{repository.root} has changes that are not committed:\n  {named(dirty)}", hint=hint)


def named(paths: Sequence[str], between: str = "\n  ") -> str:
    """Return paths in words, the first few of many."""
    more = [f"and {len(paths) - LISTED_PATHS} more"] if len(paths) > LISTED_PATHS else []
    return between.join([*paths[:LISTED_PATHS], *more])


def refuse_shared(repository: Repository, branch: str, *, hint: str = "") -> None:
    """Refuse a branch that another work tree is on, or is rebasing or bisecting: it would not follow.

    Args:
        repository: The user's.
        branch: The branch.
        hint: What to type; empty for a branch that is checked out here.
    """
    trees = repository.worktrees()
    main = repository.git_dir.resolve() == repository.common_dir
    own = trees[0][0] if main and trees else str(repository.root)  # of a submodule, git names its own folder there
    others = []
    for tree, on in trees:
        if on == branch and Path(tree).resolve() != Path(own).resolve():
            others.append(tree)
    for folder in _other_git_folders(repository):
        if branch in _held(folder):
            others.append(str(folder))
    if others:
        hint = hint or f"git -C {typed(repository.root)} switch -c BRANCH, or another branch in the other"
        raise UsageError(f"{branch.removeprefix('refs/heads/')} is checked out in {others[0]} as well", hint=hint)


def _other_git_folders(repository: Repository) -> list[Path]:
    folders = [repository.common_dir, *sorted((repository.common_dir / "worktrees").glob("*"))]
    return [folder for folder in folders if folder.resolve() != repository.git_dir.resolve()]


def _held(folder: Path) -> Iterator[str]:
    for name in BRANCH_OF:
        file = folder / name
        if file.is_file():
            branch = file.read_text("utf-8", "surrogateescape").strip()
            yield branch if branch.startswith("refs/") else f"refs/heads/{branch}"


def refuse_hidden(repository: Repository, changes: Sequence[FileChange]) -> None:
    """Refuse files whose changes git was told not to see: nobody knows what would be overwritten."""
    hidden = repository.hidden()
    for change in changes:
        if flag := hidden.get(change.path):
            there = os.path.lexists(repository.root / change.path)
            end = f"update-index --no-{flag} {typed(change.path)}, and commit what you changed"
            end = "sparse-checkout disable" if flag == "skip-worktree" and not there else end
            hint = f"git -C {typed(repository.root)} {end}"
            raise UsageError(f"{change.path} is marked {flag}: git does not see your changes of it", hint=hint)


def refuse_in_the_way(repository: Repository, changes: Sequence[FileChange], old: str, *, amid: bool = False) -> None:
    """Refuse whatever of the user's stands where a file of ours goes: a file, a folder, a link to a folder.

    Args:
        repository: The user's.
        changes: What is about to change.
        old: What is checked out.
        amid: Whether files of the user's may lie in the folders that come.
    """
    root = repository.root
    _refuse_turned(repository, changes, old)
    links: set[str] = set()
    for change in changes:
        links.update(map(str, _links_above(root, change.path)))
    if links:
        hint = "move it away, then run this again: what we put there would land where it points to"
        raise UsageError(f"{min(links)} is a link, or a file, where a folder goes", hint=hint)
    added, there = [], []
    for change in changes:
        if change.old is None and change.new:
            added.append(change.path)
            if os.path.lexists(root / change.path):
                there.append(change.path)
    for folder in [] if amid else _new_folders(repository, added, old):
        there += _work_in(root, folder)
    if there:
        hint = "move them away, then run this again"
        raise UsageError(f"untracked files are in the way: {named(sorted({*there}), ', ')}", hint=hint)


def _refuse_turned(repository: Repository, changes: Sequence[FileChange], old: str) -> None:
    """Refuse a file that is to become a folder, or the other way round: no exchange of files does that."""
    files = repository.entries(old)
    folders = all_folders(files)
    for change in changes:
        if change.old is None and change.new:
            above = [str(folder) for folder in PurePosixPath(change.path).parents if str(folder) in files]
            for path in [change.path] if change.path in folders else above:
                git = f"git -C {typed(repository.root)}"
                hint = f"{git} mv {typed(path)} another-name, and commit that; then run this again"
                raise UsageError(f"{path} is a file on one side and a folder on the other", hint=hint)


def _links_above(root: Path, path: str) -> Iterator[PurePosixPath]:
    """Yield the folders of a path that are none in the work tree."""
    for folder in PurePosixPath(path).parents[:-1]:
        place = root / folder
        if place.is_symlink() or (place.exists() and not place.is_dir()):
            yield folder


def _new_folders(repository: Repository, added: Sequence[str], old: str) -> list[str]:
    """Return the folders that a commit does not have and that would come with the added files, outermost only."""
    known = all_folders(repository.entries(old))
    new = set()
    for path in added:
        for folder in map(str, reversed(PurePosixPath(path).parents)):  # the outermost first
            if folder not in known:
                new.add(folder)
                break
    return sorted(new)


def _work_in(root: Path, folder: str) -> Iterator[str]:
    """Yield what a folder holds of the user's: not what Python compiled, nor what desktops and notebooks leave."""
    for item in (root / folder).rglob("*"):
        parts = item.relative_to(root).parts
        hidden = any(part.startswith(".") and part != ".git" for part in parts)
        if (item.is_symlink() or not item.is_dir()) and item.suffix != ".pyc" and not hidden:
            yield "/".join(parts)
