"""The dynamic part of a matrix: each release is vendored and verified in processes of its own, with a time limit."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from threading import Event
from time import perf_counter
from typing import TYPE_CHECKING, Any

from slimfork.codemods.patch import load_series
from slimfork.forks.overlay import overlay_files
from slimfork.matrix.matrix import Cell, Column, cells_as_json, cells_from_json, verdicts_of
from slimfork.matrix.static import by_file
from slimfork.matrix.store import TRAINING, Store, digest, engine, installed
from slimfork.processes.processes import end_group, last_line
from slimfork.releases.exclusions import reason
from slimfork.releases.fetch import cache_root
from slimfork.verify.verify import CHECKS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from slimfork.releases.pins import Pin

DYNAMIC_COLUMNS = tuple(Column(id=check.id, title=check.title, kind="dynamic") for check in CHECKS)


def run(
    releases: Sequence[Pin],
    *,
    jobs: int,
    timeout: float,
    since: float,
    on_done: Callable[[Pin, dict[str, Cell]], None],
) -> None:
    """Verify releases; what fails on one never stops the others.

    Args:
        releases: The pins.
        jobs: How many at a time; each trains on one thread.
        timeout: Seconds that one release may take.
        since: Results from before this time (seconds, Unix) are passed over.
        on_done: Called with each release and its cells, in the order in which they end.
    """
    stop = Event()
    store = Store(cache_root() / "matrix", since)
    pool = ThreadPoolExecutor(jobs)
    try:
        waiting = {pool.submit(_verified, pin, store, timeout, stop): pin for pin in releases}
        for future in as_completed(waiting):
            on_done(waiting[future], future.result())
    finally:
        stop.set()
        pool.shutdown(wait=True, cancel_futures=True)


def _verified(pin: Pin, store: Store, timeout: float, stop: Event) -> dict[str, Cell]:
    if reason(pin.upstream, pin.version):
        return {}
    parts = by_file(load_series(pin.upstream), pin.version)
    key = digest("verify", engine(*TRAINING), installed(), pin, parts, overlay_files(pin.upstream, pin.version))
    kept = store.get(key)
    if kept is not None:
        return cells_from_json(kept)
    cells = _verify(pin, timeout, stop)
    if verdicts_of(cells) <= {"pass"}:
        store.put(key, cells_as_json(cells))
    return cells


def _verify(pin: Pin, timeout: float, stop: Event) -> dict[str, Cell]:
    """Make a fork in a folder of its own and verify it; keep the logs of what failed."""
    start = perf_counter()
    with tempfile.TemporaryDirectory(prefix=f"slimfork-{pin.version}-") as name:
        folder = Path(name)
        fork, work = folder / "fork", folder / "work"
        code, out = _call(["vendor", pin.spec, "--into", str(fork), "--allow-unpinned"], folder, timeout, stop)
        if code == 0:
            left = timeout - (perf_counter() - start)
            code, out = _call(["verify", str(fork), "--work", str(work), "--json"], folder, left, stop)
        try:
            checks = json.loads(out)["checks"]
        except (ValueError, KeyError, TypeError):
            errors = (folder / "stderr").read_text("utf-8", "replace")
            why = f"took longer than {timeout:g} s" if code is None else last_line(errors, ("error:", "bug:"))
            cells = _none_verified(why, round(perf_counter() - start, 1))
        else:
            cells = _outcomes(checks)
        failed = "FAIL" in verdicts_of(cells)
        logs = _keep(pin, work / "logs", folder / "stderr") if failed else None
    return _with_kept_logs(cells, logs)


def _none_verified(why: str, seconds: float) -> dict[str, Cell]:
    """Return the cells of a release that came to no verdict: the first says why."""
    cells: dict[str, Cell] = {}
    for column in DYNAMIC_COLUMNS:
        cells[column.id] = Cell(verdict="not run")
    cells[DYNAMIC_COLUMNS[0].id] = Cell(verdict="FAIL", detail=why, seconds=seconds)
    return cells


def _outcomes(checks: Sequence[Mapping[str, Any]]) -> dict[str, Cell]:
    """Return check id to what came of it, from what `verify --json` printed."""
    cells: dict[str, Cell] = {}
    for check in checks:
        verdict, detail, seconds = check["verdict"], check["detail"], check["seconds"]
        cells[check["id"]] = Cell(verdict=verdict, detail=detail, seconds=seconds, log=check["log"])
    return cells


def _with_kept_logs(cells: Mapping[str, Cell], logs: Path | None) -> dict[str, Cell]:
    """Return cells in which a failed check names its log where that is kept, or the folder, and no other names any."""
    kept: dict[str, Cell] = {}
    for name, cell in cells.items():
        log = logs / Path(cell.log).name if logs and cell.verdict == "FAIL" else ""
        kept[name] = replace(cell, log=str(log))
    return kept


def _call(arguments: Sequence[str], folder: Path, timeout: float, stop: Event) -> tuple[int | None, str]:
    """Run one of our own commands; return its exit code, None when its time was up, and what it printed."""
    with (folder / "stdout").open("w") as out, (folder / "stderr").open("a") as err:
        process = subprocess.Popen(
            [sys.executable, "-m", "slimfork", *arguments], stdout=out, stderr=err, start_new_session=True
        )
        end = perf_counter() + timeout
        code = None
        while code is None and perf_counter() < end and not stop.is_set():
            with suppress(subprocess.TimeoutExpired):
                code = process.wait(timeout=1)
        if code is None:
            end_group(process)
    return code, (folder / "stdout").read_text(encoding="utf-8", errors="replace")


def _keep(pin: Pin, logs: Path, errors: Path) -> Path:
    """Move the logs of a failed release to the cache, where they stay until it is verified again."""
    kept = cache_root() / "matrix" / "logs" / f"{pin.upstream}-{pin.version}"
    shutil.rmtree(kept, ignore_errors=True)
    if logs.is_dir():
        shutil.copytree(logs, kept)
    kept.mkdir(parents=True, exist_ok=True)
    shutil.copy(errors, kept / "stderr.log")
    return kept
