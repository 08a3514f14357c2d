"""`apply-patches apply PATH`: patch a checkout that the user already has, as commits on its branch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from slimfork.forks import handwork
from slimfork.forks.fork import Fork, read_fork, refuse_unpinned
from slimfork.git import commits, skipping
from slimfork.git.guards import named, ready
from slimfork.git.landing import land
from slimfork.git.recovery import recover
from slimfork.git.repo import Repository, open_repository
from slimfork.releases import pins
from slimfork.terminal import telling, ui
from slimfork.terminal.errors import ConflictError, UsageError
from slimfork.terminal.paths import PATH
from slimfork.terminal.words import typed

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


@click.command()
@click.argument("path", type=PATH)
@click.option("--compat/--no-compat", default=None, help="With or without what old releases need; default: as made.")
@click.option("--skip", metavar="ID", multiple=True, help="Leave a patch out that is none of the write-ups' edits.")
@click.option("--with", "put_in", metavar="ID", multiple=True, help="Put a patch in again that was left out.")
@click.option("--replace-handmade", is_flag=True, help="Take the write-ups' edits out that were made by hand.")
@click.option("--allow-unpinned", is_flag=True, help="Try the newest patches on a release they do not know.")
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def command(
    path: Path,
    compat: bool | None,
    skip: tuple[str, ...],
    put_in: tuple[str, ...],
    replace_handmade: bool,
    allow_unpinned: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Apply the patches and the overlay to the checkout at PATH, as commits on its branch."""
    with open_repository(path) as repository, repository.locked():
        recover(repository)
        branch = ready(repository)
        fork = read_fork(repository, compat=compat, skip=skip, put_in=put_in)
        telling.say_found(path, fork.release)
        telling.say_behind(fork.overlay.behind)
        trailer = fork.trailer or pinned_trailer(fork, f"apply-patches apply {typed(path)}", allowed=allow_unpinned)
        skipping.refuse_applied(fork.plan, skip, path)
        handwork.refuse(fork.handwork, path, replace=replace_handmade)
        refuse_misfits(fork, path, as_json=as_json)
        made = handwork.draft(fork.handwork, fork.tree, trailer, fork.when)
        made += commits.drafts(
            fork.plan,
            fork.overlay.changes,
            mode=fork.tree.mode,
            trailer=trailer,
            when=fork.when,
            update=bool(fork.history.overlays),
            left_out=fork.choices,
            chosen=fork.skipped != fork.history.skipped,
        )
        shas = commit(repository, fork, branch, made, dry_run=dry_run)
    result = telling.written(path, fork.release, made, shas, head=fork.head, dry_run=dry_run)
    ui.result_json(result) if as_json else say(path, fork, result)


def pinned_trailer(fork: Fork, command: str, *, allowed: bool) -> str:
    """Return the trailer that names the release, from its pin."""
    upstream, version = fork.release.upstream, fork.release.version
    refuse_unpinned(fork.release, command, allowed=allowed)
    proof = next((pin.proof for pin in pins.load(upstream) if pin.version == version), "")
    return commits.upstream_trailer(upstream, version, proof)


def refuse_misfits(fork: Fork, path: Path, *, as_json: bool) -> None:
    """Refuse patches that do not fit, all of them at once, and files in the overlay's way."""
    telling.refuse_broken(
        fork.plan,
        path,
        as_json=as_json,
        hint=_ignored(fork, path) or skipping.way_out(fork.plan, f"apply-patches apply {typed(path)}"),
    )
    if fork.foreign:
        names = named(fork.foreign, ", ")
        hint = f"git -C {typed(path)} mv them elsewhere and commit"
        raise ConflictError(f"{path} has files of its own where the overlay goes: {names}", hint=hint)


def _ignored(fork: Fork, path: Path) -> str | None:
    """Return what to type when a patch misses files that lie there uncommitted: YOLOv5's .gitignore hides its data/."""
    here: set[str] = set()
    for step in fork.plan.broken:
        for edit in step.patch.edits(fork.release.version):
            if edit.file not in fork.tree and (fork.repository.root / edit.file).is_file():
                here.add(edit.file)
    if not here:
        return None
    names = " ".join(map(typed, sorted(here)))
    return f"git -C {typed(path)} add -f {names}, and commit: they lie there, but git ignores them"


def commit(
    repository: Repository, fork: Fork, branch: str, made: Sequence[commits.Draft], *, dry_run: bool
) -> list[str]:
    """Write commits and make them real; return their hashes, or none when there is nothing to do."""
    if not made or dry_run:
        return []
    shas = repository.write(commits.stream(made, start=fork.head, ref="refs/heads/made"), len(made))
    ours: set[str] = set()
    for draft in made:
        ours.update(draft.files)
    for change in repository.changes(fork.head, shas[-1]):
        if change.path not in ours:
            what = f"git shows {change.path} as it is not in the commit: a replace ref or a graft"
            raise UsageError(what, hint=f"git -C {typed(repository.root)} replace --list, and --delete what is there")
    land(repository, ref=branch, old=fork.head, new=shas[-1])
    return shas


def say(path: Path, fork: Fork, result: dict[str, Any]) -> None:
    """Print the result for a person."""
    if not result["commits"]:
        ui.result(f"{path}: {fork.name}, nothing to do")
        return
    telling.say_commits(f"{path}: {fork.name}", result)
    telling.say_next(path, result)
