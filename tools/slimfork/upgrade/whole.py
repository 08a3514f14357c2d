"""A checkout with a history of its own moves by a merge: what two releases differ in comes to what stands there.

Somebody's clone of the official repository has no import that its commits could be made again on. Its patches are taken
out, the difference between the two releases as published is merged three-way, and the patches are made anew: three
kinds of commits on top of its branch.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from slimfork.forks.detect import Release
from slimfork.forks.fork import Tree, plan_series
from slimfork.forks.history import overlay_base, read_history
from slimfork.forks.overlay import manifest_path
from slimfork.forks.overlay_state import read_overlay
from slimfork.forks.takeout import take_out
from slimfork.git import commits
from slimfork.git.guards import named
from slimfork.series.imported import as_in_git
from slimfork.series.workbench import read_commit, tree_of, write_drafts
from slimfork.terminal import telling, ui
from slimfork.terminal.errors import UsageError
from slimfork.terminal.naming import spec_of
from slimfork.terminal.words import typed
from slimfork.upgrade.authorship import rest_of
from slimfork.upgrade.moved import MovedFiles
from slimfork.upgrade.state import Waiting
from slimfork.upgrade.three_way import write_commit

if TYPE_CHECKING:
    from slimfork.forks.fork import Fork
    from slimfork.git.repo import Repository
    from slimfork.releases.fetch import Files
    from slimfork.releases.pins import Pin
    from slimfork.upgrade.beginning import Asked

# What building a source distribution writes into it, and no repository has.
BUILT = re.compile(r"PKG-INFO|setup\.cfg|[^/]+\.egg-info/.*")
Marks = list[tuple[str, str]]  # trailers


def begin_whole(
    fork: Fork, scratch: Repository, pins: tuple[Pin, Pin], files: tuple[Files, Files], branch: str, asked: Asked
) -> Waiting:
    """Write both releases to a repository beside the checkout, and return the upgrade as it begins.

    Args:
        fork: The checkout.
        scratch: The repository beside it.
        pins: The release that it holds, and the one to move to.
        files: The files of each.
        branch: The branch that is checked out, by its full name.
        asked: What the user asks for.

    Raises:
        UsageError: It has no patches yet.
    """
    if not fork.history.patches:
        place = typed(asked.path)
        raise UsageError(f"{place} has no patches yet", hint=f"apply-patches apply {place}; or git merge, as without")
    old, new = pins
    trailer = commits.upstream_trailer(new.upstream, new.version, new.proof)
    marks = [(commits.UPGRADED, spec_of(old.upstream, old.version)), (commits.UPSTREAM, trailer)]
    out = take_out(fork, None, overlay_too=False)
    start = write_drafts(scratch, [out], fork.head)[0] if out else fork.head
    left, step = write_drafts(scratch, _steps(fork, pins, files, marks), None)
    left, step, start = _followed(scratch, left, step, start, marks)
    return Waiting(
        branch=branch,
        old=fork.head,
        upstream=new.upstream,
        was=old.version,
        version=new.version,
        trailer=trailer,
        choices=list(fork.choices),
        left=left,
        imported=step,
        base=step,
        became={left: start},
        whole=True,
        linear=True,
        verify=asked.verify,
    )


def _steps(fork: Fork, pins: tuple[Pin, Pin], files: tuple[Files, Files], marks: Marks) -> list[commits.Draft]:
    """Return the releases as two commits, without files of theirs that this checkout is without."""
    before, after = files
    absent = {path for path in before if path not in fork.tree}
    absent |= {path for path in after if path not in before and BUILT.fullmatch(path)}
    old, new = pins
    name = f"{new.upstream} {new.version}"
    text = commits.message(
        f"Move from {old.version} to {name}",
        ["What the two releases differ in, as they were published, merged with what stood here."],
        marks,
    )
    gone = dict.fromkeys(path for path in before if path not in after)
    first = commits.Draft(message=f"{old.upstream} {old.version}\n", when=fork.when, files=as_in_git(before))
    second = commits.Draft(message=text, when=fork.when, files={**gone, **as_in_git(after)})
    return [_without(first, absent), _without(second, absent)]


def _followed(scratch: Repository, left: str, step: str, start: str, marks: Marks) -> tuple[str, str, str]:
    """Let the files that the user has changed go where the release has moved them, as a commit of its own.

    Args:
        scratch: Where it is written.
        left: The release that the checkout holds.
        step: The release to move to, a commit on that.
        start: The checkout without patches.
        marks: The trailers that make the commit ours.

    Returns:
        The three commits, with those files where they are now.
    """
    here = tree_of(scratch, start)
    before, after = MovedFiles(scratch, left, step).follow(tree_of(scratch, left), here)
    if after == here:
        return left, step, start
    text = commits.message("Move files as the release has moved them", [], marks)
    rest = commits.signed(text, read_commit(scratch, start).when)
    left = write_commit(scratch, before)
    raw = read_commit(scratch, step)
    return left, write_commit(scratch, raw.tree, (left,), rest_of(raw)), write_commit(scratch, after, (start,), rest)


def _without(draft: commits.Draft, absent: set[str]) -> commits.Draft:
    return replace(draft, files={path: file for path, file in draft.files.items() if path not in absent})


def patched(scratch: Repository, waiting: Waiting, at: str, place: str) -> str:
    """Make the patches anew on a commit, and bring the overlay to what the release wants; return the last commit.

    Args:
        scratch: Where they are written.
        waiting: The upgrade.
        at: The commit.
        place: The checkout, as it is typed.

    Raises:
        ConflictError: A patch does not fit.
    """
    tree, release = Tree(scratch, at), Release(upstream=waiting.upstream, version=waiting.version)
    history = read_history(scratch, at)
    skipped = set(waiting.choices) - {commits.COMPAT} | history.taken_out
    plan = plan_series(tree, release, left_out=commits.COMPAT in waiting.choices, skipped=skipped)
    hint = "mend that in a commit of your own, before the upgrade"
    hint = f"apply-patches upgrade {place} --abort, then {hint}" if waiting.onto else hint
    telling.refuse_broken(plan, scratch.root, as_json=False, hint=hint)
    overlay = read_overlay(scratch, tree, history, release)
    telling.say_behind(overlay.behind)
    known = overlay_base(scratch, tree, history, manifest_path(waiting.upstream, waiting.version))
    changes = dict(overlay.changes)
    deleted = [path for path in changes if path in known and path not in tree]
    for path in deleted:
        del changes[path]
    if deleted:
        ui.note(f"note: you have deleted of the overlay, and it stays so: {named(deleted, ', ')}")
    made = commits.drafts(
        plan,
        changes,
        mode=tree.mode,
        trailer=waiting.trailer,
        when=read_commit(scratch, at).when,
        update=True,
        left_out=waiting.choices,
    )
    return write_drafts(scratch, made, at)[-1] if made else at
