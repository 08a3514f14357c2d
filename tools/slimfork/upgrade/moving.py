"""The upgrade itself: commits are made again until one does not fit, and that one waits in the user's checkout.

Each step first says in the file of the upgrade what it is about to do, so that after a kill it is done again.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from slimfork.git.quarantine import move_objects
from slimfork.git.refs import RefMove, move_refs
from slimfork.series.raw_commits import by_sha
from slimfork.series.workbench import commits_of, read_commit, tree_of
from slimfork.terminal.errors import UsageError
from slimfork.terminal.words import typed
from slimfork.upgrade import checkout
from slimfork.upgrade.authorship import rest_of
from slimfork.upgrade.footprint import footprint, refuse_blocked, refuse_other_changes
from slimfork.upgrade.moved import MovedFiles
from slimfork.upgrade.new_base import part_of_ours
from slimfork.upgrade.replay import Replay
from slimfork.upgrade.seal import leave, sealed
from slimfork.upgrade.soundness import refuse_unsound
from slimfork.upgrade.state import forget
from slimfork.upgrade.three_way import write_commit
from slimfork.upgrade.whole import patched

if TYPE_CHECKING:
    from slimfork.git.repo import Repository
    from slimfork.upgrade.footprint import Footprint
    from slimfork.upgrade.state import Waiting


def replayed(scratch: Repository, waiting: Waiting, *, rehearsal: bool = False) -> Replay:
    """Make the commits again that stand on the old import, as far as they fit, in a repository for the moment."""
    raws = [read_commit(scratch, waiting.imported)] if waiting.whole else commits_of(scratch, waiting.old)
    replay = Replay(
        scratch=scratch,
        raws=by_sha(raws),
        became=dict(waiting.became),
        moved=MovedFiles(scratch, waiting.left, waiting.imported),
        part_of_ours=lambda raw, parent: part_of_ours(scratch, raw, parent),
        whole=waiting.imported if waiting.whole else "",
        dropped=list(waiting.dropped),
    )
    replay.run(rehearsal=rehearsal)
    return replay


def rehearsed(scratch: Repository, waiting: Waiting, place: str) -> tuple[Waiting, Replay]:
    """Do as `advance` does, with all that does not fit, and write nothing to the user's repository.

    Raises:
        ConflictError: All commits fit, and what they come to would be refused.
    """
    replay = replayed(scratch, waiting, rehearsal=True)
    if replay.stops:
        return waiting, replay
    waiting = replace(waiting, tip=end_of(scratch, waiting, replay, place))
    refuse_unsound(scratch, waiting, f"git -C {place} log {waiting.left[:10]}..{waiting.old[:10]}")
    return waiting, replay


def advance(repository: Repository, scratch: Repository, waiting: Waiting) -> tuple[Waiting, Replay]:
    """Go on until all commits are made, or one does not fit: then it is laid out in the checkout.

    Args:
        repository: The user's: what is written to it are objects, and no ref but that of the work moves.
        scratch: A repository beside it, which may hold more objects.
        waiting: The upgrade so far.

    Returns:
        The upgrade with its `tip`, or with the commit that it is `picking`; and what has become of each commit.
    """
    replay = replayed(scratch, waiting)
    stop = next(iter(replay.stops), None)
    tip = "" if stop else end_of(scratch, waiting, replay, typed(repository.root))
    move_objects(scratch.git_dir / "objects", repository.common_dir / "objects")
    waiting = replace(waiting, became=replay.became, dropped=replay.dropped, tip=tip)
    if stop is None:
        return (waiting.write(repository) if waiting.onto else waiting), replay
    if not waiting.onto:
        checkout.refuse_taken(repository, waiting.work_branch)
    steps = footprint(scratch, stop.onto, stop.change)
    refuse_blocked(repository, steps)
    clashed = sorted({clash.path for clash in stop.clashes})
    waiting = replace(
        waiting,
        picking=stop.raw.sha,
        change=stop.change,
        guessing=stop.guessing,
        onto=stop.onto,
        clashed=clashed,
        laid_out=False,
    )
    waiting.write(repository)
    return lay_out(repository, waiting, steps), replay


def end_of(scratch: Repository, waiting: Waiting, replay: Replay, place: str) -> str:
    """Return what the branch comes to: in a checkout with a history of its own, the patches are made anew at last."""
    if waiting.whole:
        return patched(scratch, waiting, replay.now(waiting.imported), place)
    return sealed(scratch, waiting, replay.now(waiting.old))


def lay_out(repository: Repository, waiting: Waiting, steps: Footprint) -> Waiting:
    """Lay the conflict out in the checkout, if it does not lie there already: then the user may have resolved it."""
    work = waiting.work_branch
    if repository.branch() == work:
        if _is_there(repository, waiting):
            return waiting.but(repository, laid_out=True)
        if repository.resolve(work) == waiting.onto:  # a run was killed while it picked
            refuse_other_changes(repository, steps)
            checkout.restore(repository, waiting.onto, waiting.change)
    refuse_blocked(repository, steps)
    checkout.go_to(repository, work, waiting.old, waiting.onto)
    checkout.lay_out(repository, waiting.change, guessing=waiting.guessing)
    return waiting.but(repository, laid_out=True)


def _is_there(repository: Repository, waiting: Waiting) -> bool:
    """Tell whether git has picked the commit to its end, or the user has gone on from there with one of their own."""
    at = repository.resolve(waiting.work_branch)
    if at is None or at in {waiting.old, waiting.onto}:
        return at == waiting.onto and checkout.is_picked(repository, waiting.change)
    return waiting.onto in read_commit(repository, at).parents


def wake(repository: Repository, scratch: Repository, waiting: Waiting) -> Waiting:
    """Bring the checkout to what the file says, should a run have been killed between the two.

    Raises:
        UsageError: The branch that is to move has moved already.
    """
    tip = repository.resolve(waiting.branch)
    if tip not in {waiting.old, waiting.tip}:
        short, place = waiting.branch.removeprefix("refs/heads/"), typed(repository.root)
        what = f"{short} of {repository.root} is not at {waiting.old[:10]} any more, where the upgrade began"
        git = f"git -C {place} branch"
        raise UsageError(what, hint=f"{git} kept {short}, which keeps it, then {git} -f {short} {waiting.old[:10]}")
    if waiting.picking and not waiting.laid_out and not waiting.aborting:
        return lay_out(repository, waiting, footprint(scratch, waiting.onto, waiting.change))
    if waiting.onto and not (waiting.picking or waiting.tip or waiting.aborting):
        stand(repository, waiting)
    return waiting


def keep(repository: Repository, scratch: Repository, waiting: Waiting) -> Waiting:
    """Take what the user has made of a conflict: what is staged, or a commit of their own.

    Raises:
        UsageError: It is not resolved, or nothing of the commit is left in it.
    """
    raw = read_commit(repository, waiting.picking)
    at = repository.resolve(waiting.work_branch)
    if repository.branch() != waiting.work_branch or at is None:
        raise elsewhere(repository, waiting)
    tree, rest = checkout.resolved_tree(repository, waiting.clashed), rest_of(raw)
    if at != waiting.onto:
        own = read_commit(repository, at)
        if own.parents != (waiting.onto,) or own.tree != tree:
            raise elsewhere(repository, waiting)
        rest = rest if waiting.whole else rest_of(own)  # the step to another release says in its own words what it is
    elif tree == tree_of(repository, at):
        place = typed(repository.root)
        hint = f"apply-patches upgrade {place} --skip, to leave the commit out"
        raise UsageError(f"nothing is left of {raw.sha[:10]} {raw.subject!r}", hint=hint)
    parents = tuple(dict.fromkeys(waiting.became.get(parent, parent) for parent in raw.parents))
    new = write_commit(scratch, tree, parents, rest)
    move_objects(scratch.git_dir / "objects", repository.common_dir / "objects")
    waiting = waiting.but(repository, became={**waiting.became, raw.sha: new}, picking="", onto=new, laid_out=False)
    stand(repository, waiting)
    return waiting


def stand(repository: Repository, waiting: Waiting) -> None:
    """Let the branch of the work follow to the commit that was made of what is staged."""
    at = repository.resolve(waiting.work_branch)
    if at is None or at == waiting.onto:
        return
    staged = checkout.resolved_tree(repository, waiting.clashed)
    if repository.branch() != waiting.work_branch or staged != tree_of(repository, waiting.onto):
        raise elsewhere(repository, waiting)
    move_refs(repository, [RefMove(ref=waiting.work_branch, old=at, new=waiting.onto)])
    checkout.end_pick(repository)


def skip(repository: Repository, scratch: Repository, waiting: Waiting) -> Waiting:
    """Leave the commit out that does not fit.

    Raises:
        UsageError: It is the only one: the step to the other release.
    """
    if waiting.whole:
        hint = f"resolve it, then --continue; or apply-patches upgrade {typed(repository.root)} --abort"
        raise UsageError(f"there is nothing else in the step to {waiting.version} than this", hint=hint)
    if (repository.branch(), repository.resolve(waiting.work_branch)) != (waiting.work_branch, waiting.onto):
        raise elsewhere(repository, waiting)
    refuse_other_changes(repository, footprint(scratch, waiting.onto, waiting.change))
    checkout.restore(repository, waiting.onto, waiting.change)
    became = {**waiting.became, waiting.picking: waiting.onto}
    skipped = [*waiting.skipped, waiting.picking]
    return waiting.but(repository, became=became, skipped=skipped, picking="", laid_out=False)


def abort(repository: Repository, scratch: Repository, waiting: Waiting) -> None:
    """Bring the checkout back to the user's branch, which has never moved; files that git does not know stay.

    Raises:
        UsageError: The user has gone elsewhere, or has changes that an upgrade did not make.
    """
    at = repository.resolve(waiting.work_branch)
    if repository.branch() not in {waiting.work_branch, waiting.branch}:
        raise elsewhere(repository, waiting)
    picked = bool(waiting.picking) and at == waiting.onto and repository.branch() == waiting.work_branch
    if picked:
        refuse_other_changes(repository, footprint(scratch, waiting.onto, waiting.change))
    if not waiting.aborting:
        waiting = waiting.but(repository, aborting=True)
    tip = repository.resolve(waiting.branch)  # the user may have moved it meanwhile, or even deleted it
    if tip is None:
        tip = waiting.old
        move_refs(repository, [RefMove(ref=waiting.branch, old=None, new=tip)])
    if at is not None and repository.branch() == waiting.work_branch:
        if picked:
            checkout.restore(repository, at, waiting.change)
        checkout.go_to(repository, waiting.work_branch, waiting.old, tip)
    leave(repository, waiting)
    forget(repository)


def elsewhere(repository: Repository, waiting: Waiting) -> UsageError:
    """Return what to say when the checkout is not where the upgrade has left it."""
    place, onto = typed(repository.root), waiting.onto[:10]
    work, own = (name.removeprefix("refs/heads/") for name in (waiting.work_branch, waiting.branch))
    if repository.branch() == waiting.work_branch:
        what = f"{work} of {repository.root} is not at {onto} with one commit of yours on it"
        return UsageError(what, hint=f"git -C {place} reset --soft {onto}, then what you did again")
    what = f"{repository.root} is not on {work} at {onto}, where the upgrade waits"
    if repository.resolve(waiting.work_branch) is None:
        what, work = f"{what}; that branch is gone", own
    return UsageError(what, hint=f"git -C {place} switch {typed(work)}, then what you did again")
