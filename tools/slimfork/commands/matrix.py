"""`apply-patches matrix`: every release of an upstream × every check, in one table."""

from __future__ import annotations

import json
import os
import shlex
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from slimfork.codemods.patch import known_as, load_series
from slimfork.matrix import dynamic_run, static_run
from slimfork.matrix.matrix import Cell, Column, Row, document
from slimfork.matrix.store import Store, digest
from slimfork.matrix.table import markdown, put_in, summary, tables
from slimfork.processes.seconds import SECONDS
from slimfork.releases import pins, selection
from slimfork.releases.exclusions import reason
from slimfork.releases.fetch import cache_root
from slimfork.terminal import ui
from slimfork.terminal.content import overlay_root, patches_root
from slimfork.terminal.errors import CheckFailed, UsageError
from slimfork.terminal.naming import spec_of
from slimfork.terminal.paths import TypedPath
from slimfork.terminal.words import typed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from slimfork.releases.pins import Pin

FILE = TypedPath(dir_okay=False)


@click.command()
@click.option("--upstream", default="ultralytics", show_default=True, help="Whose releases.")
@click.option("--releases", "spec", default="representative", show_default=True, help=selection.FORMS)
@click.option("--static", is_flag=True, help="Only patch, compile and import; seconds for what has not changed.")
@click.option("--dynamic", is_flag=True, help="Only verify: train, prune and export, a minute or two each.")
@click.option(
    "--jobs", type=click.IntRange(1), default=os.cpu_count() or 1, show_default=True, help="How many at once."
)
@click.option("--shard", metavar="I/N", help="Only part I of N of the releases.")
@click.option("--timeout", type=SECONDS, default=1800.0, show_default=True, help="Seconds that one release may take.")
@click.option("--allow-unpinned", is_flag=True, help="Try releases that are newer than the patches, by structure.")
@click.option("--fresh", is_flag=True, help="Do not use the results of earlier runs.")
@click.option("--json", "json_file", type=FILE, help="Write the matrix as JSON to this file.")
@click.option("--html", "html_file", type=FILE, help="Write it as a page to this file.")
@click.option("--markdown", "markdown_file", type=FILE, help="Put it into this Markdown file, beside other upstreams'.")
def command(
    upstream: str,
    spec: str,
    static: bool,
    dynamic: bool,
    jobs: int,
    shard: str | None,
    timeout: float,
    allow_unpinned: bool,
    fresh: bool,
    json_file: Path | None,
    html_file: Path | None,
    markdown_file: Path | None,
) -> None:
    """Check releases: statically each of them, dynamically one of each line when SPEC is `all` or a sample.

    Results are kept in the cache by a hash of all that they depend on, so a run that is interrupted goes on where it
    was, and one after which nothing has changed takes seconds. Exit code 1 if a check failed.
    """
    _refuse_places([json_file, html_file, markdown_file])
    chosen = _chosen(upstream, spec, shard)
    rows = {pin.version: _row(pin) for pin in chosen}
    _refuse_unpinned(list(rows.values()), allowed=allow_unpinned)
    since = time.time() if fresh else 0.0
    Store(cache_root() / "matrix").tidy()
    columns: list[Column] = []
    if static or not dynamic:
        columns += static_run.STATIC_COLUMNS
        _static(chosen, rows, jobs=jobs, since=since)
    if dynamic or not static:
        columns += dynamic_run.DYNAMIC_COLUMNS
        _dynamic(_trained(chosen, spec, upstream), rows, jobs=jobs, timeout=timeout, since=since)
    typed = shlex.join(["apply-patches", *map(_without_folder, sys.argv[1:])])
    made = document(list(rows.values()), columns, upstream=upstream, command=typed, content=_content(upstream))
    _write(made, dict(selection.representative(upstream)), json_file, html_file, markdown_file)
    for table in tables(made):
        ui.result_table(table)
    ui.result(summary(made))
    _raise(made)


def _without_folder(word: str) -> str:
    """Return a word of the command line as others may see it: of a path of this machine, the name."""
    return Path(word).name if word.startswith("/") else word


def _chosen(upstream: str, spec: str, shard: str | None) -> list[Pin]:
    chosen = selection.select(spec, pins.load(upstream), load_series(upstream), upstream)
    return selection.shard(chosen, shard) if shard else chosen


def _row(pin: Pin) -> Row:
    known = known_as(load_series(pin.upstream), pin.version) == pin.version
    return Row(pin=pin, reason=reason(pin.upstream, pin.version), pinned=known)


def _trained(chosen: Sequence[Pin], spec: str, upstream: str) -> list[Pin]:
    """Return the releases to verify: those that were named, or of very many the representative ones."""
    if spec in {"all", "sample"} or spec.startswith("sample:"):
        lines = dict(selection.representative(upstream))
        return [pin for pin in chosen if pin.version in lines]
    return list(chosen)


def _static(chosen: Sequence[Pin], rows: dict[str, Row], *, jobs: int, since: float) -> None:
    with ui.steps("static", total=len(chosen)) as progress:

        def on_done(pin: Pin, judged: tuple[dict[str, str], dict[str, Cell]]) -> None:
            row = rows[pin.version]
            row.patches, cells = judged
            row.cells |= cells
            progress.update(progress.task_ids[0], description=f"static {pin.version}", advance=1)

        static_run.run(chosen, jobs=min(jobs, len(chosen)), since=since, on_done=on_done)


def _dynamic(chosen: Sequence[Pin], rows: dict[str, Row], *, jobs: int, timeout: float, since: float) -> None:
    with ui.steps("dynamic", total=len(chosen)) as progress:

        def on_done(pin: Pin, cells: dict[str, Cell]) -> None:
            rows[pin.version].cells |= cells
            bad = [name for name, cell in cells.items() if cell.verdict == "FAIL"]
            ui.note(f"{pin.version}: {'failed: ' + ', '.join(bad) if bad else 'ok'}")
            progress.update(progress.task_ids[0], description=f"dynamic {pin.version}", advance=1)

        dynamic_run.run(chosen, jobs=max(1, min(jobs, len(chosen))), timeout=timeout, since=since, on_done=on_done)


def _refuse_places(files: Sequence[Path | None]) -> None:
    """Refuse a place that cannot be written before hours are spent."""
    for file in files:
        if file is not None and not file.absolute().parent.is_dir():
            raise UsageError(f"{file.parent} is not a folder", hint=f"mkdir -p {typed(file.parent)}")


def _refuse_unpinned(rows: Sequence[Row], *, allowed: bool) -> None:
    newer = [row.pin.spec for row in rows if not row.pinned]
    if newer and not allowed:
        what = f"{', '.join(newer[:4])}{' …' if len(newer) > 4 else ''}"  # noqa: PLR2004
        raise UsageError(f"the patches do not know {what} yet", hint="--allow-unpinned tries them by structure")


def _content(upstream: str) -> str:
    """Return the hash of the patches of an upstream and of the overlay."""
    files = sorted([*(patches_root() / upstream).glob("*.py"), *overlay_root().rglob("*.py")])
    return digest(*map(Path.read_bytes, files))


def _write(
    made: dict[str, Any],
    lines: dict[str, str],
    json_file: Path | None,
    html_file: Path | None,
    markdown_file: Path | None,
) -> None:
    if json_file:
        json_file.write_text(json.dumps(made, indent=1) + "\n", encoding="utf-8")
    if html_file:
        from slimfork.matrix.page import render  # noqa: PLC0415 - jinja2 is for this alone

        html_file.write_text(render(made), encoding="utf-8")
    if markdown_file:
        before = markdown_file.read_text(encoding="utf-8") if markdown_file.exists() else ""
        markdown_file.write_text(put_in(before, markdown(made, lines)), encoding="utf-8")


def _raise(made: dict[str, Any]) -> None:
    failed, logs = [], []
    for release in made["releases"]:
        if release["verdict"] != "failed":
            continue
        failed.append(release)
        for cell in release["checks"].values():
            if cell["log"]:
                logs.append(cell["log"])
    if failed:
        again = f"apply-patches vendor {spec_of(made['upstream'], failed[0]['version'])} --into fork"
        hint = f"cat {typed(logs[0])}" if logs else again
        raise CheckFailed(f"{len(failed)} of {len(made['releases'])} releases failed", hint=hint)
