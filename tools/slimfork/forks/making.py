"""How a fork is made of a release: its commits, and whether there is room for it."""

from __future__ import annotations

from datetime import datetime, time, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from slimfork.codemods.patch import load_series
from slimfork.forks.detect import Release
from slimfork.forks.fork import plan_series, read_fork
from slimfork.forks.overlay import overlay_files
from slimfork.git import commits, skipping
from slimfork.git.building import refuse_place
from slimfork.git.gitout import EXECUTABLE, REGULAR
from slimfork.git.recovery import heal
from slimfork.git.repo import open_repository
from slimfork.releases import pins
from slimfork.releases.archive import contents_of
from slimfork.terminal import telling
from slimfork.terminal.errors import ConflictError, UsageError
from slimfork.terminal.words import typed

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from slimfork.releases.archive import File
    from slimfork.releases.pins import Pin


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
    contents = contents_of(files)

    def mode(name: str) -> str:
        return EXECUTABLE if name in files and files[name].executable else REGULAR

    release = Release(upstream=pin.upstream, version=pin.version)
    skipped = skipping.chosen(load_series(pin.upstream), (), skip=skip)
    plan = plan_series(contents, release, left_out=no_compat, skipped=skipped, pristine=True)
    others = f"apply-patches pins list {pin.upstream}, for another release"
    again = skipping.way_out(plan, f"apply-patches vendor {pin.spec} --into {path}")
    telling.refuse_broken(plan, path, as_json=as_json, hint=again or others)
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
        files=commits.with_modes(contents, mode),
    )
    left_out = (*([commits.COMPAT] if no_compat else []), *sorted(skipped))
    more = commits.drafts(plan, overlay, mode=mode, trailer=trailer, when=when, left_out=left_out)
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
        hint = f"apply-patches upgrade {typed(path)} --to {pin.version}, which moves it; or {other}"
        raise UsageError(f"{path} holds {fork.name}, not {pin.upstream} {pin.version}", hint=hint)
    if not fork.complete:
        hint = f"apply-patches apply {typed(path)}" + (" --compat" if fork.history.left_out and not no_compat else "")
        raise UsageError(f"{path} holds {fork.name} already, but not all patches", hint=hint)
    return fork.head
