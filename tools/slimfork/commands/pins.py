"""`apply-patches pins`: list, add and refresh the lock files."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import click
from packaging.version import Version

from slimfork.releases import pins
from slimfork.releases.fetch import fetch, release_files
from slimfork.releases.index import as_pin, open_index
from slimfork.releases.objects import commit_date
from slimfork.releases.origin import REPOSITORIES
from slimfork.releases.pins import Pin
from slimfork.releases.refresh import Changes, compare
from slimfork.terminal import ui
from slimfork.terminal.errors import CheckFailed, UsageError
from slimfork.terminal.naming import UPSTREAMS, is_tag
from slimfork.terminal.ui import Table

LOCK_WRITTEN = "written"

as_json = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
dry_run = click.option("--dry-run", is_flag=True, help="Say what would change, and write nothing.")
index_url = click.option("--index-url", metavar="URL", help="The package index to ask, instead of pip's.")


@click.group()
def command() -> None:
    """List, add and refresh the pinned releases."""


@command.command("list")
@click.argument("upstream", required=False)
@as_json
def list_(upstream: str | None, as_json: bool) -> None:
    """List the pinned releases, the newest last."""
    chosen = [upstream] if upstream else list(UPSTREAMS)
    pinned: list[Pin] = []
    for name in chosen:
        pinned += pins.load(name)
    if as_json:
        ui.result_json([pin.as_json() for pin in pinned])
    else:
        ui.result_table(_table(pinned))


def _table(pinned: list[Pin]) -> Table:
    table = Table("release", "date", "bytes", "python", "hash", "yanked", box=None, pad_edge=False)
    table.columns[2].justify = "right"
    for pin in pinned:
        size = f"{pin.size:,}" if pin.size else ""
        source = f"git {pin.commit[:12]}" if pin.is_tag else f"sha256 {pin.sha256[:12]}"
        style = "dim" if pin.yanked else None
        table.add_row(pin.spec, str(pin.uploaded or ""), size, pin.requires_python, source, pin.yanked, style=style)
    return table


@command.command()
@click.argument("spec")
@index_url
@click.option("--git", metavar="URL|PATH", help="The git repository to ask for a tag, instead of the official one.")
@click.option("--move", is_flag=True, help="Pin a tag that is pinned already to where it stands now.")
@dry_run
@as_json
def add(spec: str, index_url: str | None, git: str | None, move: bool, dry_run: bool, as_json: bool) -> None:
    """Pin one release that is on the index, or a tag or branch of the official repository: `yolov5@v7.0`.

    The hash of a release is the one the index gives; the file is downloaded, checked against it, and read.
    """
    upstream, operator, version = pins.split_spec(spec)
    if not operator or (operator == "@" and upstream not in REPOSITORIES):
        raise UsageError(f"{spec!r} names no release on the index", hint=f"apply-patches pins add {upstream}==VERSION")
    if operator == "@" and not is_tag(version):
        version = f"v{version}"
    pinned = pins.load(upstream)
    before = _pinned(pinned, version)
    if operator == "@":
        pin = _in_repository(upstream, version, git, before, move=move)
    else:
        pin = before or _on_index(upstream, version, index_url)
    if pin == before:
        ui.note(f"{pin.spec} is pinned already; nothing to do")
    else:
        if not dry_run:
            release_files(pin, index_url=index_url, git=git)
            pins.save(upstream, [*(other for other in pinned if other != before), pin])
        ui.note(f"{'would pin' if dry_run else 'pinned'} {pin.spec} in {pins.lock_path(upstream)}")
    if as_json:
        ui.result_json(pin.as_json())
    else:
        ui.result(pins.format_line(pin))


def _pinned(pinned: tuple[Pin, ...], version: str) -> Pin | None:
    for pin in pinned:
        if is_tag(version):
            same = pin.version == version
        else:
            same = not pin.is_tag and Version(pin.version) == Version(version)
        if same:
            return pin
    return None


def _in_repository(upstream: str, tag: str, git: str | None, before: Pin | None, *, move: bool) -> Pin:
    """Return the pin of a tag as it stands now; a pinned one is not moved unasked, for a tag should not."""
    from slimfork.releases import clone  # noqa: PLC0415 - GitPython is slow to import

    pin = Pin(upstream=upstream, version=tag, commit=clone.commit_of(upstream, tag, git))
    if before is not None and before.commit == pin.commit:
        return before
    if before is not None and not move:
        message = f"{pin.spec} is pinned to {before.commit[:12]}, and stands at {pin.commit[:12]} now"
        raise CheckFailed(message, hint=f"apply-patches pins add {pin.spec} --move, when that is meant to be")
    return replace(pin, uploaded=commit_date(fetch(pin, git=git), pin.commit))


def _on_index(upstream: str, version: str, index_url: str | None) -> Pin:
    offered = _offered(upstream, index_url)
    pin = _pinned(offered, version)
    if pin is None:
        near = ", ".join(pins.nearest(version, offered))
        hint = f"apply-patches pins refresh {upstream}, or another index: --index-url URL"
        raise UsageError(f"{upstream}=={version} is not on the index; nearest: {near}", hint=hint)
    return pin


def _offered(upstream: str, index_url: str | None) -> tuple[Pin, ...]:
    with ui.steps(f"asking the index for {upstream}"), open_index(index_url) as index:
        published = [as_pin(upstream, package) for package in index.sdists(upstream)]
    return tuple(sorted(published, key=lambda pin: pin.order))


@command.command()
@click.argument("upstream", required=False)
@index_url
@dry_run
@as_json
def refresh(upstream: str | None, index_url: str | None, dry_run: bool, as_json: bool) -> None:
    """Bring the lock to what the index offers now. A changed hash is refused (exit code 1)."""
    chosen = [upstream] if upstream else list(UPSTREAMS)
    results: dict[str, Any] = {}
    refused = []
    for name in chosen:
        pinned = pins.load(name) if pins.lock_path(name).exists() else ()
        changes = compare(pinned, _offered(name, index_url))
        state = _state(changes, pinned, dry_run=dry_run)
        if state == LOCK_WRITTEN:
            pins.save(name, changes.pinned)
        results[name] = {**changes.as_json(), "lock": state}
        if not as_json:
            _report(name, changes, state=state)
        if changes.changed:
            refused.append(name)
    if as_json:
        ui.result_json(results)
    if refused:
        message = f"the index offers other files than those pinned; left as it was: {', '.join(refused)}"
        raise CheckFailed(message, hint="compare the two files, and trust neither until you know why they differ")


def _state(changes: Changes, pinned: tuple[Pin, ...], *, dry_run: bool) -> str:
    if changes.changed:
        return "refused"
    if changes.pinned == pinned:
        return "up to date"
    return "not written (dry run)" if dry_run else LOCK_WRITTEN


def _report(name: str, changes: Changes, *, state: str) -> None:
    for kind in ("added", "yanked", "restored", "gone"):
        for pin in getattr(changes, kind):
            ui.result(f"{kind:<9} {pin.spec}{f': {pin.yanked}' if pin.yanked else ''}")
    for old, new in changes.changed:
        ui.result(f"CHANGED   {old.spec}: pinned sha256:{old.sha256}, offered sha256:{new.sha256}")
    ui.result(f"{name}: {len(changes.pinned)} pins; {state}")
