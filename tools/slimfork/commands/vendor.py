"""`apply-patches vendor SPEC --into PATH`: a pinned release as a patched git repository."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import click

from slimfork import __version__
from slimfork.forks.detect import Release
from slimfork.forks.fork import refuse_unpinned
from slimfork.forks.making import draft, is_free, refuse_other
from slimfork.git.building import build, tidy
from slimfork.git.gitprogram import check_git
from slimfork.releases import pins
from slimfork.releases.exclusions import reason
from slimfork.releases.fetch import release_files
from slimfork.series.remaking import described, read_export, refuse_other_head, remake
from slimfork.terminal import telling, ui
from slimfork.terminal.errors import UsageError
from slimfork.terminal.paths import PATH
from slimfork.terminal.words import typed

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from slimfork.git import commits


@click.command()
@click.argument("spec", required=False, default="")
@click.option("--into", "path", required=True, type=PATH, help="A new or empty folder.")
@click.option("--from", "folder", metavar="DIR", type=PATH, help="What `export` wrote, instead of SPEC.")
@click.option("--index-url", metavar="URL", help="The package index to fetch from.")
@click.option("--git", metavar="URL|PATH", help="The git repository to fetch a tag from.")
@click.option("--allow-unpinned", is_flag=True, help="Try the newest patches on a release they do not know.")
@click.option("--no-compat", is_flag=True, help="Leave out what old releases need to run on today's stack.")
@click.option("--skip", metavar="ID", multiple=True, help="Leave a patch out that is none of the write-ups' edits.")
@click.option("--dry-run", is_flag=True, help="Say what would be done, and write nothing but the download cache.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def command(
    spec: str,
    path: Path,
    folder: Path | None,
    index_url: str | None,
    git: str | None,
    allow_unpinned: bool,
    no_compat: bool,
    skip: tuple[str, ...],
    dry_run: bool,
    as_json: bool,
) -> None:
    """Fetch the release SPEC, check its hash, and make it a patched git repository at PATH.

    SPEC is `ultralytics==8.4.190`, or `ultralytics` for the newest pinned release; `yolov5@v7.0` is a tag of the
    official repository, `yolov5` the last of them, and `yolov5==7.0.14` what the package index has under that name.
    With --from, the fork that was exported is made again, to the same commit.
    """
    check_git()
    if folder is not None or not spec:
        choices = {"SPEC": spec, "--no-compat": no_compat, "--skip": skip, "--allow-unpinned": allow_unpinned}
        again(_only(folder, choices), path, index_url=index_url, git=git, dry_run=dry_run, as_json=as_json)
        return
    pin = find(spec, index_url, allow_unpinned=allow_unpinned)
    refuse_git(pin, git)
    release = Release(upstream=pin.upstream, version=pin.version)
    retry = f"apply-patches vendor {shlex.quote(spec)} --into {typed(path)}"
    unpinned = not reason(pin.upstream, pin.version) and refuse_unpinned(release, retry, allowed=allow_unpinned)
    made: list[commits.Draft] = []
    shas: list[str] = []
    head = None
    if is_free(path):
        files = release_files(pin, index_url=index_url, git=git)
        made = draft(pin, files, path, no_compat=no_compat, skip=skip, as_json=as_json)
        shas = [] if dry_run else build(_place(path), made, version=pin.version)
    else:
        tidy(_place(path))
        head = refuse_other(path, pin, no_compat=no_compat, skip=skip)
    result = telling.written(path, release, made, shas, head=head, dry_run=dry_run)
    result |= {"sha256": pin.sha256 or None, "commit": pin.commit or None, "unpinned": unpinned}
    if as_json:
        ui.result_json(result)
    elif not made:
        ui.result(f"{path}: {pin.upstream} {pin.version}, nothing to do")
    else:
        word = " (unpinned)" if unpinned else ""
        telling.say_commits(f"{path}: {pin.upstream} {pin.version}{word}, {pin.proof_in_words}", result)
        telling.say_next(path, result)


def refuse_git(pin: pins.Pin, git: str | None) -> None:
    """Refuse a git repository for what is on the package index."""
    if git and not pin.is_tag:
        raise UsageError(f"{pin.spec} is on the package index, not in a git repository", hint=f"{pin.upstream}@TAG")


def _only(folder: Path | None, choices: Mapping[str, object]) -> Path:
    """Return the folder of an export; what else the command line names is in it already."""
    if folder is None:
        raise UsageError(
            "nothing is named to vendor", hint="apply-patches vendor ultralytics --into fork, or --from DIR"
        )
    given = [name for name, value in choices.items() if value]
    if given:
        raise UsageError(f"--from DIR says it all: not with {', '.join(given)}", hint="leave one of them out")
    return folder


def again(folder: Path, path: Path, *, index_url: str | None, git: str | None, dry_run: bool, as_json: bool) -> None:
    """Make the fork of an export at a path, and tell."""
    export = read_export(folder)
    refuse_git(export.pin, git)
    tool, head = export.listed.tool, export.listed.head
    if tool != __version__:
        ui.note(
            f"note: {folder} was written by slimfork {tool}, and this is {__version__}: each commit's hash is checked"
        )
    there = not is_free(path)
    if there:
        tidy(_place(path))
        refuse_other_head(path, head)
    else:
        files = {spec: release_files(pin, index_url=index_url, git=git) for spec, pin in export.pins.items()}
        if not dry_run:
            remake(export, files, _place(path))
    result = described(export, path, there=there, dry_run=dry_run)
    if as_json:
        ui.result_json(result)
    elif there:
        ui.result(f"{path}: commit {head[:10]}, nothing to do")
    else:
        telling.say_commits(f"{path}: {export.pin.upstream} {export.pin.version}, {export.pin.proof_in_words}", result)
        telling.say_next(path, result)


def find(spec: str, index_url: str | None, *, allow_unpinned: bool) -> pins.Pin:
    """Return the pin of a release, or what the index offers where that is allowed."""
    try:
        return pins.find(spec)
    except pins.NotPinnedError:
        if not allow_unpinned:
            raise
    from slimfork.releases.index import offered  # noqa: PLC0415 - the index client is slow to import, and rarely needed

    upstream, _, version = pins.split_spec(spec)
    return offered(upstream, version, index_url)


def _place(path: Path) -> Path:
    """Return where a fork is made: a link to an empty folder stands for that folder."""
    return path.resolve() if path.is_symlink() else path.absolute()
