"""`apply-patches export PATH --out DIR`: a fork as patches, of which `vendor --from` makes the same commit again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from slimfork.forks.fork import read_fork
from slimfork.git.guards import named
from slimfork.git.recovery import heal
from slimfork.git.repo import open_repository
from slimfork.series.exporting import KEEP_BYTES, KEEP_BYTES_CONTENT, is_there, put, refuse_out, tidy_out
from slimfork.series.fork_file import FORK_FILE, fork_file
from slimfork.series.reading import MERGED, read_series
from slimfork.series.workbench import beside
from slimfork.terminal import telling, ui
from slimfork.terminal.paths import PATH
from slimfork.terminal.words import one_line, typed

if TYPE_CHECKING:
    from pathlib import Path

    from slimfork.series.reading import Series, SeriesCommit


@click.command()
@click.argument("path", type=PATH)
@click.option("--out", required=True, type=PATH, help="A new or empty folder, or one with an earlier export.")
@click.option("--dry-run", is_flag=True, help="Say what would be written, and write nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def command(path: Path, out: Path, dry_run: bool, as_json: bool) -> None:
    """Write the fork at PATH as patches for `git am`, with a fork.json that lists them: the same bytes every time.

    What is committed is exported, but for the release itself: that is named by its hash, and fetched again.
    """
    refuse_out(out)
    with open_repository(path) as repository:
        heal(repository)
        fork = read_fork(repository)
        telling.say_found(path, fork.release)
        dirty = repository.dirty()
        with beside(repository) as scratch:
            series = read_series(fork, scratch)
        content = fork_file(fork, series)
    files = {entry.file: entry.content for entry in series.mailed}
    files |= {FORK_FILE: content, KEEP_BYTES: KEEP_BYTES_CONTENT}
    changed = not is_there(out, files)
    if not dry_run:
        put(out, files) if changed else tidy_out(out)
    if dirty:
        ui.note(f"note: not committed, and so not in the export: {named(dirty, ', ')}")
    result = describe(path, out, series, changed=changed, dry_run=dry_run) | {"dirty": dirty, "files": sorted(files)}
    ui.result_json(result) if as_json else show(result)


def describe(path: Path, out: Path, series: Series, *, changed: bool, dry_run: bool) -> dict[str, Any]:
    """Return what was exported as plain data."""
    return {
        "path": str(path),
        "out": str(out),
        "upstream": series.pin.upstream,
        "version": series.pin.version,
        "head": series.head.sha,
        "tree": series.head.tree,
        "dry_run": dry_run,
        "changed": changed,
        "commits": list(map(_commit, series.entries)),
    }


def _commit(entry: SeriesCommit) -> dict[str, Any]:
    return {
        "sha": entry.raw.sha,
        "subject": entry.raw.subject,
        "kind": entry.kind,
        "patches": list(entry.patches),
        "file": entry.file or None,
    }


def show(result: dict[str, Any]) -> None:
    """Print the result for a person."""
    out, name = typed(result["out"]), f"{result['upstream']} {result['version']}"
    commits = [commit for commit in result["commits"] if commit["kind"] != "import"]
    own = sum(commit["kind"] == "own" for commit in commits)
    whose = f"{len(commits)} commit{'' if len(commits) == 1 else 's'} beside the import, {own} of your own"
    verb = "would write" if result["dry_run"] else "wrote"
    verb = verb if result["changed"] else "nothing to do,"
    ui.result(f"{result['path']}: {name}, {verb} {result['out']}: {whose}")
    merged = False
    for commit in commits:
        ui.result(f"  {commit['sha'][:10]}  {commit['file'] or '- (changes no file)'}  {one_line(commit['subject'])}")
        merged = merged or str(commit["file"]).startswith(f"{MERGED}/")
    if merged:
        ui.result(f"{MERGED}/ has what you merged, commit by commit; for git am, a merge is one patch")
    if not result["dry_run"]:
        ui.result(f"next: apply-patches vendor --from {out} --into again  (commit {result['head'][:10]} again)")
        ui.result(f"      git am {out}/*.patch, in a checkout of {name} as published")
