"""`apply-patches upgrade PATH --to X`: move a fork to another release, with the user's commits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from slimfork.commands.vendor import refuse_git
from slimfork.forks import handwork
from slimfork.forks.fork import read_fork
from slimfork.git.guards import ready, refuse_shared
from slimfork.git.recovery import recover
from slimfork.git.repo import Repository, open_repository
from slimfork.releases import pins
from slimfork.releases.fetch import release_files
from slimfork.series.workbench import beside
from slimfork.terminal import telling, ui
from slimfork.terminal.errors import ConflictError, UsageError
from slimfork.terminal.naming import spec_of
from slimfork.terminal.paths import PATH
from slimfork.terminal.words import typed
from slimfork.upgrade import moving
from slimfork.upgrade.beginning import Asked, begin
from slimfork.upgrade.outcome import facts, show
from slimfork.upgrade.seal import land_all
from slimfork.upgrade.soundness import refuse_unsound
from slimfork.upgrade.state import read_waiting
from slimfork.upgrade.target import find_target, standing_import
from slimfork.upgrade.three_way import refuse_old_git
from slimfork.upgrade.training import refuse_untrained
from slimfork.upgrade.whole import begin_whole

if TYPE_CHECKING:
    from pathlib import Path

    from slimfork.forks.fork import Fork
    from slimfork.upgrade.state import Waiting


@click.command()
@click.argument("path", type=PATH)
@click.option("--to", metavar="VERSION", help="A pinned release, older or newer, or `newest`.")
@click.option("--continue", "go_on", is_flag=True, help="Go on: a conflict has been resolved, and added.")
@click.option("--skip", "skipped", is_flag=True, help="Leave the commit out that does not fit, and go on.")
@click.option("--abort", "aborted", is_flag=True, help="Go back to the branch, which has not moved.")
@click.option("--linear", is_flag=True, help="Without what was before in the branch's history: others must reset.")
@click.option("--verify", "trained", is_flag=True, help="Train the outcome before the branch moves.")
@click.option("--index-url", metavar="URL", help="The package index to fetch from.")
@click.option("--git", metavar="URL|PATH", help="The git repository to fetch a tag from.")
@click.option("--dry-run", is_flag=True, help="Say which commits fit, and change nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def command(
    path: Path,
    to: str | None,
    go_on: bool,
    skipped: bool,
    aborted: bool,
    linear: bool,
    trained: bool,
    index_url: str | None,
    git: str | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Move the fork at PATH to another release: its import, the patches made anew, and your commits on top of them.

    The branch moves at the end, in one step, and forward: nobody who has pulled it must reset. Where a commit of yours
    does not fit, it is left in the checkout as git leaves it, with exit code 3.
    """
    if sum((bool(to), go_on, skipped, aborted)) != 1 or (dry_run and not to):
        hint = f"apply-patches upgrade {typed(path)} --to newest --dry-run"
        raise UsageError("it takes one of --to VERSION, --continue, --skip, --abort; --dry-run is for --to", hint=hint)
    asked = Asked(path=path, linear=linear, verify=trained, as_json=as_json)
    with open_repository(path) as repository, repository.locked(), beside(repository) as scratch:
        recover(repository)
        refuse_old_git(scratch)
        if to:
            waiting = start(repository, scratch, to, asked, index_url, git)
        else:
            waiting = go_on_with(repository, scratch, asked, aborted=aborted, skipped=skipped)
        if waiting is None:
            return
        if dry_run:
            waiting, replay = moving.rehearsed(scratch, waiting, typed(path))
        else:
            waiting, replay = moving.advance(repository, scratch, waiting)
        result = facts(path, scratch, waiting, replay, dry_run=dry_run)
        if not (dry_run or waiting.picking):
            end(repository, waiting, asked)
    ui.result_json(result) if as_json else show(result)
    if result["conflict"]:
        raise _conflict(path, waiting, dry_run=dry_run)
    if not (dry_run or as_json):
        telling.say_next(path, result)


def start(
    repository: Repository, scratch: Repository, to: str, asked: Asked, index_url: str | None, git: str | None
) -> Waiting | None:
    """Return the upgrade to a release as it begins; None when the fork is there already."""
    branch = ready(repository)
    fork = read_fork(repository)
    telling.say_found(asked.path, fork.release)
    imported, pin = standing_import(fork), find_target(fork, to)
    if pin.version == fork.release.version:
        _nothing(asked, fork)
        return None
    refuse_git(pin, git)
    handwork.refuse(fork.handwork, asked.path, replace=False)
    files = release_files(pin, index_url=index_url, git=git)
    if imported:
        return begin(fork, imported.sha, scratch, pin, files, branch, asked)
    here = pins.find(spec_of(pin.upstream, fork.release.version))
    both = (release_files(here, index_url=index_url, git=git), files)
    return begin_whole(fork, scratch, (here, pin), both, branch, asked)


def _nothing(asked: Asked, fork: Fork) -> None:
    """Say that the fork is at that release; where this toolkit has newer patches for it, `apply` brings them."""
    facts = {"path": str(asked.path), "upstream": fork.release.upstream, "version": fork.release.version}
    if asked.as_json:
        ui.result_json({**facts, "from": fork.release.version, "head": fork.head, "conflict": False, "commits": []})
        return
    ui.result(f"{asked.path}: {fork.name}, nothing to do")
    if not fork.complete:
        ui.result(f"next: apply-patches apply {typed(asked.path)}  (what this slimfork has for it besides)")


def go_on_with(
    repository: Repository, scratch: Repository, asked: Asked, *, aborted: bool, skipped: bool
) -> Waiting | None:
    """Return the upgrade that waits, with what the user has decided; None when that was to end it."""
    waiting = read_waiting(repository)
    if waiting is None:
        hint = f"apply-patches upgrade {typed(asked.path)} --to newest --dry-run"
        raise UsageError(f"no upgrade is under way in {asked.path}", hint=hint)
    if aborted or waiting.aborting:
        moving.abort(repository, scratch, waiting)
        short = waiting.branch.removeprefix("refs/heads/")
        head = repository.head() or waiting.old
        facts = {"path": str(asked.path), "branch": short, "head": head, "aborted": True}
        said = f"{asked.path}: back on {short} at {head[:10]}, {waiting.upstream} {waiting.was}"
        ui.result_json(facts) if asked.as_json else ui.result(said)
        return None
    waiting = moving.wake(repository, scratch, waiting)
    if not waiting.picking:
        return waiting
    return moving.skip(repository, scratch, waiting) if skipped else moving.keep(repository, scratch, waiting)


def end(repository: Repository, waiting: Waiting, asked: Asked) -> None:
    """Move the branch, once what it comes to is known to be sound."""
    place = typed(asked.path)
    hint = f"apply-patches upgrade {place} " + ("--abort" if waiting.onto else f"--to {waiting.version} --dry-run")
    if repository.resolve(waiting.branch) != waiting.tip:
        other = f"switch to another branch there, then apply-patches upgrade {place} --continue"
        refuse_shared(repository, waiting.branch, hint=other if waiting.onto else "")
        refuse_unsound(repository, waiting, hint)
        if waiting.verify:
            refuse_untrained(repository, waiting.tip)
    land_all(repository, waiting)


def _conflict(path: Path, waiting: Waiting, *, dry_run: bool) -> ConflictError:
    again, name = f"apply-patches upgrade {typed(path)}", f"{waiting.upstream} {waiting.version}"
    if dry_run:
        hint = f"{again} --to {waiting.version}, which leaves them to you one by one"
        return ConflictError(f"some commits do not fit {name}", hint=hint)
    what = f"{waiting.picking[:10]} does not fit {name}: it is in {path} as git leaves a conflict"
    return ConflictError(what, hint=f"resolve it and git add, then {again} --continue; or --skip, or --abort")
