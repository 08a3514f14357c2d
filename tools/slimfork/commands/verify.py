"""`apply-patches verify PATH`: does this fork train, sparsify, prune, fine-tune, resume, export?"""

from __future__ import annotations

import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import click
from rich.text import Text

from slimfork.processes.seconds import SECONDS
from slimfork.terminal import ui
from slimfork.terminal.errors import CheckFailed, UsageError
from slimfork.terminal.paths import PATH
from slimfork.terminal.ui import Table
from slimfork.terminal.words import typed
from slimfork.verify.upstream_tests import TestVerdict, run_upstream_tests
from slimfork.verify.verify import CHECKS, verify

if TYPE_CHECKING:
    from collections.abc import Iterator

    from slimfork.verify.upstream_tests import Compared
    from slimfork.verify.verify import Check, CheckOutcome, Role

VERDICT_COLOURS = {"pass": "green", "FAIL": "bold red", "not run": "yellow"}
CHECK_TIME, TEST_TIME = 600.0, 300.0  # seconds
MEANINGS: dict[TestVerdict, str] = {
    "regressed": "passed before, not on the fork",
    "flaky": "failed once on the fork, then passed",
    "mended": "not on pristine, passed on the fork",
    "passed": "passed on all",
    "failed": "failed on all",
    "skipped": "skipped",
}


@click.command()
@click.argument("path", type=PATH)
@click.option("--work", type=PATH, help="Do the work in this new folder, and keep it.")
@click.option("--timeout", type=SECONDS, help="Seconds that one check (600 if not given) or test (300) may take.")
@click.option("--upstream-tests", is_flag=True, help="Run upstream's own tests instead, on the fork and without it.")
@click.option("-k", "expression", metavar="EXPR", help="With --upstream-tests: only those that match, as pytest's -k.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def command(
    path: Path, work: Path | None, timeout: float | None, upstream_tests: bool, expression: str | None, as_json: bool
) -> None:
    """Train, sparsify, prune, fine-tune, resume and export with the fork at PATH, on pictures drawn for it.

    A few minutes on two cores. The logs are kept when a check fails.

    With --upstream-tests, the tests that the release carries are run on the release as it was published, on the same
    with the compatibility patches where it has any, and on the fork; nothing that passed may fail. There is no network
    for them: data sets and checkpoints that they would download are drawn and made of random weights.
    """
    if expression is not None and not upstream_tests:
        raise UsageError(
            "-k chooses among upstream's tests", hint=f"apply-patches verify {typed(path)} --upstream-tests -k ..."
        )
    if upstream_tests:
        _compare(path, work, timeout or TEST_TIME, expression, as_json=as_json)
    else:
        _check(path, work, timeout or CHECK_TIME, as_json=as_json)


class _Work:
    """The folder that the work is done in; it goes when the work is done, unless it is to be kept."""

    def __init__(self, folder: Path, *, keep: bool) -> None:
        self.folder, self.keep = folder, keep


@contextmanager
def _worked_in(work: Path | None) -> Iterator[_Work]:
    if work is not None and work.exists() and any(work.iterdir()):
        raise UsageError(f"{work} is not empty", hint="--work into a folder that is not there yet")
    folder = work or Path(tempfile.mkdtemp(prefix="slimfork-verify-"))
    folder.mkdir(parents=True, exist_ok=True)
    place = _Work(folder.resolve(), keep=work is not None)
    try:
        yield place
    finally:
        if not place.keep:
            shutil.rmtree(folder, ignore_errors=True)


def _check(path: Path, work: Path | None, timeout: float, *, as_json: bool) -> None:
    with _worked_in(work) as place:
        outcomes = _run(path, place.folder, timeout)
        bad = [o for o in outcomes if o.verdict == "FAIL"]
        place.keep = place.keep or bool(bad)
    _say(path, outcomes, place, as_json=as_json)
    if bad:
        raise CheckFailed(
            f"{len(bad)} of {len(outcomes)} checks failed: {', '.join(o.id for o in bad)}",
            hint=f"cat {typed(bad[0].log)}",
        )


def _run(path: Path, work: Path, timeout: float) -> list[CheckOutcome]:
    with ui.steps("verify", total=len(CHECKS)) as progress:
        started = 0

        def on_start(check: Check) -> None:
            nonlocal started
            progress.update(progress.task_ids[0], description=check.title, completed=started)
            started += 1

        return verify(path, work, timeout=timeout, on_start=on_start)


def _say(path: Path, outcomes: list[CheckOutcome], place: _Work, *, as_json: bool) -> None:
    if as_json:
        ui.result_json(
            {
                "path": str(path),
                "ok": all(o.verdict == "pass" for o in outcomes),
                "work": str(place.folder) if place.keep else None,
                "checks": [o.as_json() for o in outcomes],
            }
        )
        return
    table = Table("check", "verdict", "seconds", "detail", title=f"verify {path}")
    for o in outcomes:
        table.add_row(o.title, Text(o.verdict, VERDICT_COLOURS[o.verdict]), f"{o.seconds:.1f}", o.detail)
    ui.result_table(table)
    if place.keep:
        ui.note(f"all logs and files: {place.folder}")


def _compare(path: Path, work: Path | None, timeout: float, expression: str | None, *, as_json: bool) -> None:
    with _worked_in(work) as place:
        tests = _run_tests(path, place.folder, timeout, expression)
        counts: dict[TestVerdict, int] = dict.fromkeys(get_args(TestVerdict), 0)
        for test in tests:
            counts[test.verdict] += 1
        problem = _problem(counts) if tests else None
        place.keep = place.keep or problem is not None
    _say_tests(path, tests, counts, place, ok=problem is None, as_json=as_json)
    if problem:
        raise CheckFailed(problem, hint=f"less {typed(place.folder / 'fork' / 'log.txt')}")


def _run_tests(path: Path, work: Path, timeout: float, expression: str | None) -> list[Compared]:
    with ui.steps("upstream's tests") as progress:

        def on_test(role: str, done: int, total: int) -> None:
            progress.update(
                progress.task_ids[0], description=f"upstream's tests: {role}", completed=done, total=total or None
            )

        return run_upstream_tests(path, work, timeout=timeout, expression=expression, on_test=on_test)


def _problem(counts: dict[TestVerdict, int]) -> str | None:
    if counts["regressed"]:
        return f"{counts['regressed']} of upstream's tests passed before and not on the fork"
    if not counts["passed"] + counts["mended"] + counts["flaky"]:
        return "none of upstream's tests passes even without the fork: this says nothing about it"
    return None


def _say_tests(
    path: Path, tests: list[Compared], counts: dict[TestVerdict, int], place: _Work, *, ok: bool, as_json: bool
) -> None:
    if as_json:
        ui.result_json(
            {
                "path": str(path),
                "ok": ok,
                "work": str(place.folder) if place.keep else None,
                "counts": counts,
                "tests": {test.id: test.as_json() for test in tests},
            }
        )
        return
    if not tests:
        ui.result(f"{path}: this release carries no tests")
        return
    roles = list(tests[0].results)
    ui.result_table(_counts_table(path, counts, " and ".join(roles[:-1])))
    different = [test for test in tests if test.differs]
    if different:
        ui.result_table(_differences_table(different, roles))
    if place.keep:
        ui.note(f"all logs and files: {place.folder}")


def _counts_table(path: Path, counts: dict[TestVerdict, int], before: str) -> Table:
    table = Table("upstream's tests", "", "number", title=f"verify --upstream-tests {path}: fork against {before}")
    for verdict, count in counts.items():
        colour = "bold red" if verdict == "regressed" and count else ""
        table.add_row(verdict, MEANINGS[verdict], str(count), style=colour)
    return table


def _differences_table(tests: list[Compared], roles: list[Role]) -> Table:
    table = Table("test", *roles, "verdict", "why", title="where the trees differ")
    for test in tests:
        colour = "bold red" if test.verdict == "regressed" else ""
        table.add_row(test.id, *test.statuses.values(), test.verdict, test.reason, style=colour)
    return table
