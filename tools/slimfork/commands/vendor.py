"""`apply-patches vendor SPEC --into PATH`: a pinned release as a patched git repository."""

from __future__ import annotations

import shlex
from datetime import datetime, time, timezone
from pathlib import Path
from typing import TYPE_CHECKING

import click

from slimfork import commits, pins, report, skipping, ui
from slimfork.building import build, refuse_place, tidy
from slimfork.detect import Release
from slimfork.errors import ConflictError, UsageError
from slimfork.exclusions import reason
from slimfork.fetch import release_files
from slimfork.fork import plan_series, read_fork, refuse_unpinned
from slimfork.gitprogram import check_git
from slimfork.overlay import overlay_files
from slimfork.patch import load_series
from slimfork.paths import PATH
from slimfork.recovery import heal
from slimfork.repo import open_repository
from slimfork.words import typed

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from slimfork.archive import File
    from slimfork.pins import Pin

EXECUTABLE, REGULAR = "100755", "100644"


@click.command()
@click.argument("spec")
@click.option("--into", "path", required=True, type=PATH, help="A new or empty folder.")
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
    """
    check_git()
    pin = find(spec, index_url, allow_unpinned=allow_unpinned)
    if git and not pin.is_tag:
        raise UsageError(f"{pin.spec} is on the package index, not in a git repository", hint=f"{pin.upstream}@TAG")
    release = Release(upstream=pin.upstream, version=pin.version)
    again = f"apply-patches vendor {shlex.quote(spec)} --into {typed(path)}"
    unpinned = not reason(pin.upstream, pin.version) and refuse_unpinned(release, again, allowed=allow_unpinned)
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
    result = report.written(path, release, made, shas, head=head, dry_run=dry_run)
    result |= {"sha256": pin.sha256 or None, "commit": pin.commit or None, "unpinned": unpinned}
    if as_json:
        ui.result_json(result)
    elif not made:
        ui.result(f"{path}: {pin.upstream} {pin.version}, nothing to do")
    else:
        word = " (unpinned)" if unpinned else ""
        report.say_commits(f"{path}: {pin.upstream} {pin.version}{word}, {pin.proof_in_words}", result)
        report.say_next(path, result)


def find(spec: str, index_url: str | None, *, allow_unpinned: bool) -> pins.Pin:
    """Return the pin of a release, or what the index offers where that is allowed."""
    try:
        return pins.find(spec)
    except pins.NotPinnedError:
        if not allow_unpinned:
            raise
    from slimfork.index import offered  # noqa: PLC0415 - the index client is slow to import, and rarely needed

    upstream, _, version = pins.split_spec(spec)
    return offered(upstream, version, index_url)


def _place(path: Path) -> Path:
    """Return where a fork is made: a link to an empty folder stands for that folder."""
    return path.resolve() if path.is_symlink() else path.absolute()


def is_free(path: Path) -> bool:
    """Tell whether a fork can be made at a path, or refuse a path that cannot be one."""
    refuse_place(path.absolute())
    if path.exists() and not path.is_dir():
        raise UsageError(f"{path} is a file", hint="--into a folder that is not there yet")
    if not path.exists():
        return True
    if any(path.iterdir()):
        return False
    if path.resolve() in (Path.cwd(), *Path.cwd().parents):
        # The new fork is renamed onto the folder; whoever stands in it would stand in one that is gone.
        raise UsageError(f"{path.resolve()} is the folder you are in", hint="--into fork")
    return True


def draft(
    pin: Pin, files: dict[str, File], path: Path, *, no_compat: bool, skip: Sequence[str] = (), as_json: bool
) -> list[commits.Draft]:
    """Return the commits of a fork: the import, the patches, the overlay."""
    modes = {name: EXECUTABLE if file.executable else REGULAR for name, file in files.items()}
    contents = {name: file.content for name, file in files.items()}
    release = Release(upstream=pin.upstream, version=pin.version)
    skipped = skipping.chosen(load_series(pin.upstream), (), skip=skip)
    plan = plan_series(contents, release, left_out=no_compat, skipped=skipped, pristine=True)
    others = f"apply-patches pins list {pin.upstream}, for another release"
    again = skipping.way_out(plan, f"apply-patches vendor {pin.spec} --into {path}")
    report.refuse_broken(plan, path, as_json=as_json, hint=again or others)
    overlay = overlay_files(pin.upstream, pin.version)
    taken = sorted(overlay.keys() & contents.keys())
    if taken:
        names = ", ".join(taken)
        raise ConflictError(f"{pin.upstream} {pin.version} has files where the overlay goes: {names}", hint=others)
    known = pin in pins.load(pin.upstream)
    trailer = commits.upstream_trailer(pin.upstream, pin.version, pin.proof if known else "")
    when = _midnight(pin.uploaded) if pin.uploaded else commits.NO_DATE
    pristine = commits.Draft(
        message=commits.import_message(pin, trailer),
        when=when,
        files={name: (modes[name], content) for name, content in contents.items()},
    )
    left_out = (*([commits.COMPAT] if no_compat else []), *sorted(skipped))
    more = commits.drafts(
        plan, overlay, mode=lambda name: modes.get(name, REGULAR), trailer=trailer, when=when, left_out=left_out
    )
    return [pristine, *more]


def _midnight(day: date) -> int:
    """Return the first second of a day (UTC) in seconds since 1970."""
    return int(datetime.combine(day, time(), timezone.utc).timestamp())


def refuse_other(path: Path, pin: Pin, *, no_compat: bool, skip: Sequence[str] = ()) -> str:
    """Return the head of a fork that is already as it should be; refuse anything else."""
    other = "--into a folder that is not there yet"
    if not (path / ".git").exists():
        raise UsageError(f"{path} is not empty and not a fork", hint=other)
    with open_repository(path) as repository:
        heal(repository)
        fork = read_fork(repository, compat=not no_compat, skip=skip)
        imported = fork.history.imported
    if imported is None:
        raise UsageError(f"{path} has a history of its own", hint=f"apply-patches apply {typed(path)}, or {other}")
    if (fork.release.upstream, fork.release.version) != (pin.upstream, pin.version):
        hint = f"{other} (moving a fork to another release, `apply-patches upgrade`, is still to come)"
        raise UsageError(f"{path} holds {fork.name}, not {pin.upstream} {pin.version}", hint=hint)
    if not fork.complete:
        hint = f"apply-patches apply {typed(path)}" + (" --compat" if fork.history.left_out and not no_compat else "")
        raise UsageError(f"{path} holds {fork.name} already, but not all patches", hint=hint)
    return fork.head
