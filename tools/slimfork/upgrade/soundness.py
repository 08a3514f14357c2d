"""What is looked at before a branch moves: that the patches stand, and that nothing which compiled has stopped to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slimfork.codemods.compiling import syntax_error
from slimfork.codemods.patch import load_series
from slimfork.codemods.patch_plan import plan_patches
from slimfork.codemods.stated_version import stated_version
from slimfork.forks.detect import INITS
from slimfork.forks.fork import Tree
from slimfork.git import commits
from slimfork.git.gitout import checked_sha
from slimfork.terminal.errors import ConflictError, SlimforkError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from slimfork.codemods.patch import Patch
    from slimfork.git.repo import Repository
    from slimfork.upgrade.state import Waiting

UNSETTLED = {"broken", "pending"}


def refuse_unsound(repository: Repository, waiting: Waiting, hint: str) -> None:
    """Refuse an outcome that git could merge, and that is wrong all the same.

    Args:
        repository: Where the new commits are.
        waiting: The upgrade, with its tip.
        hint: What to type.

    Raises:
        ConflictError: A patch that stood does not any more, or a file that compiled does not.
    """
    forward = repository.run("merge-base", "--is-ancestor", checked_sha(waiting.old), checked_sha(waiting.tip))[0] == 0
    if not forward and (waiting.whole or not waiting.linear):
        raise SlimforkError(f"{waiting.tip[:10]} has not {waiting.old[:10]} in its history: nothing was moved")
    _refuse_another_release(repository, waiting, hint)
    changed = {change.path for change in repository.changes(waiting.base, waiting.tip)}
    fallen = _unsettled(repository, waiting, waiting.tip, waiting.version, changed)
    if fallen:
        patched = {edit.file for patch in load_series(waiting.upstream) for edit in patch.edits(waiting.was)}
        fallen -= _unsettled(repository, waiting, waiting.old, waiting.was, patched)
    if fallen:
        what = f"after your commits, {', '.join(sorted(fallen))} would not stand in {waiting.version}"
        raise ConflictError(f"{what}; your branch has not moved", hint=hint)
    if broken := list(_no_python_any_more(repository, waiting, changed)):
        raise ConflictError(
            f"merged, and no Python any more: {'; '.join(broken)}; your branch has not moved", hint=hint
        )


def _refuse_another_release(repository: Repository, waiting: Waiting, hint: str) -> None:
    """Refuse files that say another version than the release does."""
    init = INITS.get(waiting.upstream, "")
    wanted, there = (Tree(repository, commit).get(init, b"") for commit in (waiting.base, waiting.tip))
    if stated_version(wanted) != stated_version(there):
        what = f"after your commits, {init} would say {stated_version(there) or 'no version'}, not {waiting.version}"
        raise ConflictError(f"{what}; your branch has not moved", hint=hint)


def _unsettled(repository: Repository, waiting: Waiting, commit: str, version: str, paths: set[str]) -> set[str]:
    """Return the ids of the patches of some files that neither stand in a commit nor are left out of it."""
    plan = plan_patches(
        Tree(repository, commit),
        upstream=waiting.upstream,
        version=version,
        series=list(_patches_of(paths, waiting, version)),
    )
    return {step.patch.id for step in plan.steps if step.state in UNSETTLED}


def _patches_of(paths: set[str], waiting: Waiting, version: str) -> Iterator[Patch]:
    """Yield the patches that a fork has, of those that edit one of some files."""
    for patch in load_series(waiting.upstream):
        left_out = patch.id in waiting.choices or (patch.compat and commits.COMPAT in waiting.choices)
        if not left_out and any(edit.file in paths for edit in patch.edits(version)):
            yield patch


def _no_python_any_more(repository: Repository, waiting: Waiting, changed: set[str]) -> Iterator[str]:
    before, after = Tree(repository, waiting.old), Tree(repository, waiting.tip)
    for path in sorted(changed):
        error = syntax_error(path, after[path]) if path in after else ""
        if error and not (path in before and syntax_error(path, before[path])):
            yield f"{path}: {error}"
