"""How an upgrade ends: one commit that has the old branch in its history, and one step in which all refs move."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slimfork.git import commits
from slimfork.git.building import PRISTINE
from slimfork.git.landing import land
from slimfork.git.refs import RefMove, check_out_name, move_refs
from slimfork.series.workbench import tree_of
from slimfork.terminal import ui
from slimfork.terminal.naming import spec_of
from slimfork.upgrade.state import Waiting, forget
from slimfork.upgrade.three_way import write_commit

if TYPE_CHECKING:
    from collections.abc import Iterator

    from slimfork.git.repo import Repository


def sealed(scratch: Repository, waiting: Waiting, tip: str) -> str:
    """Return the commit that the branch comes to.

    Its files are those of the new commits, and its second parent is the old branch: so nobody who has pulled that must
    reset. The idea is git-debrebase's (dgit, Ian Jackson). Its date is that of the newest commit before it.

    Args:
        scratch: Where it is written.
        waiting: The upgrade.
        tip: The last of the new commits.
    """
    if waiting.linear:
        return tip
    was, name = spec_of(waiting.upstream, waiting.was), f"{waiting.upstream} {waiting.version}"
    why = "The patches are made anew, and the commits of this fork stand on them. The second parent is what was before."
    marks = [(commits.UPGRADED, was), (commits.UPSTREAM, waiting.trailer)]
    text = commits.message(f"Move from {waiting.was} to {name}", [why], marks)
    when = max(_when(scratch, tip), _when(scratch, waiting.old))
    return write_commit(scratch, tree_of(scratch, tip), (tip, waiting.old), commits.signed(text, when))


def _when(scratch: Repository, commit: str) -> int:
    return scratch.log("--max-count=1", commit)[0].when


def land_all(repository: Repository, waiting: Waiting) -> None:
    """Move the branch, and all that goes with it, to the end of the upgrade; again, after a kill.

    Raises:
        UsageError: Work of the user's is in the way, or the branch has moved. Nothing is changed then.
    """
    others = [] if waiting.whole else list(_others(repository, waiting))
    work = waiting.work_branch
    at = repository.resolve(work)
    if at is None:
        if repository.resolve(waiting.branch) != waiting.tip:
            land(repository, ref=waiting.branch, old=waiting.old, new=waiting.tip, also=others, amid=True)
    else:
        if repository.resolve(waiting.branch) != waiting.tip:
            branch = RefMove(ref=waiting.branch, old=waiting.old, new=waiting.tip)
            land(repository, ref=work, old=at, new=waiting.tip, also=[branch, *others], amid=True)
        leave(repository, waiting)
    forget(repository)


def leave(repository: Repository, waiting: Waiting) -> None:
    """Check the user's branch out again, which is at the commit that the branch of the work is at; that one goes."""
    if repository.branch() == waiting.work_branch:
        check_out_name(repository, waiting.branch)
    at = repository.resolve(waiting.work_branch)
    if at is not None:
        move_refs(repository, [RefMove(ref=waiting.work_branch, old=at, new=None)])


def _others(repository: Repository, waiting: Waiting) -> Iterator[RefMove]:
    """Yield the moves of the branch of pristine imports and of the tag of this one, where they are ours to move."""
    tag, there = f"refs/tags/upstream/{waiting.version}", repository.resolve(PRISTINE)
    if repository.resolve(tag) is None:
        yield RefMove(ref=tag, old=None, new=waiting.imported)
    if there == waiting.imported:
        return
    if there and repository.run("merge-base", "--is-ancestor", there, waiting.imported)[0]:
        why = "it has commits of yours"
    elif PRISTINE in {branch for _, branch in repository.worktrees()}:
        why = "another work tree is on it"
    else:
        yield RefMove(ref=PRISTINE, old=there, new=waiting.imported)
        return
    ui.note(f"note: the branch upstream stays as it is: {why}; the import is {waiting.imported}")
