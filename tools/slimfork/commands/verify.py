"""`apply-patches verify PATH`: does this fork train, sparsify, prune, fine-tune, resume, export?"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.table import Table

from slimfork import ui
from slimfork.errors import CheckFailed, UsageError
from slimfork.verify import CHECKS, verify

if TYPE_CHECKING:
    from slimfork.verify import Check, Outcome

COLOURS = {"pass": "green", "FAIL": "bold red", "not run": "yellow"}


@click.command()
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--work", type=click.Path(path_type=Path), help="Do the work in this new folder, and keep it.")
@click.option("--timeout", default=600.0, show_default=True, help="Seconds that one check may take.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def command(path: Path, work: Path | None, timeout: float, as_json: bool) -> None:
    """Train, sparsify, prune, fine-tune, resume and export with the fork at PATH, on pictures drawn for it.

    A few minutes on two cores. The logs are kept when a check fails.
    """
    if work is not None and work.exists() and any(work.iterdir()):
        raise UsageError(f"{work} is not empty", hint="--work into a folder that is not there yet")
    folder = work or Path(tempfile.mkdtemp(prefix="slimfork-verify-"))
    folder.mkdir(parents=True, exist_ok=True)
    keep = work is not None
    try:
        outcomes = _run(path, folder.resolve(), timeout)
        bad = [o for o in outcomes if o.verdict == "FAIL"]
        keep = keep or bool(bad)
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)
    _say(path, outcomes, folder, keep=keep, as_json=as_json)
    if bad:
        raise CheckFailed(
            f"{len(bad)} of {len(outcomes)} checks failed: {', '.join(o.id for o in bad)}", hint=f"cat {bad[0].log}"
        )


def _run(path: Path, work: Path, timeout: float) -> list[Outcome]:
    with ui.steps("verify", total=len(CHECKS)) as progress:
        started = 0

        def on_start(check: Check) -> None:
            nonlocal started
            progress.update(progress.task_ids[0], description=check.title, completed=started)
            started += 1

        return verify(path, work, timeout=timeout, on_start=on_start)


def _say(path: Path, outcomes: list[Outcome], work: Path, *, keep: bool, as_json: bool) -> None:
    if as_json:
        ui.result_json(
            {
                "path": str(path),
                "ok": all(o.verdict == "pass" for o in outcomes),
                "work": str(work) if keep else None,
                "checks": [o.as_json() for o in outcomes],
            }
        )
        return
    table = Table("check", "verdict", "seconds", "detail", title=f"verify {path}")
    for o in outcomes:
        table.add_row(o.title, f"[{COLOURS[o.verdict]}]{o.verdict}[/]", f"{o.seconds:.1f}", o.detail)
    ui.result_table(table)
    if keep:
        ui.note(f"all logs and files: {work}")
