"""`apply-patches revert PATH`: take the patches out again, as a new commit that keeps the user's changes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from slimfork.commands.apply import commit
from slimfork.forks.fork import read_fork
from slimfork.forks.takeout import take_out
from slimfork.git.guards import ready
from slimfork.git.recovery import recover
from slimfork.git.repo import open_repository
from slimfork.terminal import telling, ui
from slimfork.terminal.paths import PATH
from slimfork.terminal.words import typed

if TYPE_CHECKING:
    from pathlib import Path


@click.command()
@click.argument("path", type=PATH)
@click.option("--patch", metavar="ID", help="Only this patch; the overlay stays.")
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def command(path: Path, patch: str | None, dry_run: bool, as_json: bool) -> None:
    """Take the patches and the overlay out of the fork at PATH again, or one patch, and keep your own changes."""
    with open_repository(path) as repository, repository.locked():
        recover(repository)
        branch = ready(repository)
        fork = read_fork(repository, compat=True)
        draft = take_out(fork, patch)
        made = [draft] if draft else []
        shas = commit(repository, fork, branch, made, dry_run=dry_run)
    result = telling.written(path, fork.release, made, shas, head=fork.head, dry_run=dry_run)
    if as_json:
        ui.result_json(result)
    elif not made:
        ui.result(f"{path}: {fork.name}, nothing to take out")
    else:
        telling.say_commits(f"{path}: {fork.name}", result)
        if not dry_run:
            ui.result(f"next: apply-patches apply {typed(path)}  (puts them back)")
