"""The static part of a matrix: every release is fetched, patched in memory, looked at and imported."""

from __future__ import annotations

import gc
import multiprocessing
import tempfile
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from multiprocessing.util import Finalize
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

from slimfork.codemods.patch import load_series
from slimfork.forks.overlay import overlay_files, package
from slimfork.matrix.imports import CAN_FORK, Importer, importing
from slimfork.matrix.matrix import Cell, Column, cells_as_json, cells_from_json, verdicts_of
from slimfork.matrix.static import FileReport, by_file, judge
from slimfork.matrix.store import Store, digest, engine, installed
from slimfork.releases.archive import contents_of
from slimfork.releases.exclusions import reason
from slimfork.releases.fetch import cache_root, fetch, unpack
from slimfork.terminal.errors import SlimforkError, explain_system

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from slimfork.codemods.patch import Patch
    from slimfork.releases.pins import Pin

    Judged = tuple[dict[str, str], dict[str, Cell]]

STATIC_COLUMNS = tuple(
    Column(id=name, title=title, kind="static")
    for name, title in (
        ("fetch", "the source distribution, or the commit, has the pinned hash"),
        ("fits", "every patch finds its sites, at the stated number"),
        ("bytes", "no line changes but those that an edit names"),
        ("compile", "the patched files compile"),
        ("again", "a second run has nothing to do"),
        ("revert", "taken out, all or one, patches leave what was there"),
        ("import", "the patched package imports, in a process of its own"),
    )
)
OFFICIAL_MODULES = ("models.yolo", "utils.general", "detect", "train")  # what a tag of YOLOv5 has instead of a package
OF_FILES = ("fits", "bytes", "compile", "again", "revert")


class Worker:
    """Looks at releases one by one: holds the results that are kept, and the process that imports."""

    def __init__(self, store: Store, importer: Importer | None) -> None:
        self._store, self._importer = store, importer
        self._engine = engine()

    def __call__(self, pin: Pin) -> Judged:
        """Return the state of each patch and the cell of each check."""
        start = perf_counter()
        try:
            path = fetch(pin, show=False)
            fetched = Cell(verdict="pass", detail=pin.proof_in_words, seconds=round(perf_counter() - start, 2))
            if reason(pin.upstream, pin.version):
                return {}, {"fetch": fetched}
            series = load_series(pin.upstream)
            parts = by_file(series, pin.version)
            overlay = overlay_files(pin.upstream, pin.version)
            key = digest("release", self._engine, installed(), pin, parts, overlay, bool(self._importer))
            kept = self._store.get(key)
            if kept is None:
                patches, cells = self._look(pin, contents_of(unpack(path, pin)), parts, overlay)
                kept = {"patches": patches, "cells": cells_as_json(cells)}
                if verdicts_of(cells) <= {"pass"}:
                    self._store.put(key, kept)
        except SlimforkError as error:
            return {}, {"fetch": Cell(verdict="FAIL", detail=error.message.splitlines()[0])}
        return kept["patches"], {"fetch": fetched, **cells_from_json(kept["cells"])}

    def _look(
        self, pin: Pin, files: Mapping[str, bytes], parts: Mapping[str, Sequence[Patch]], overlay: Mapping[str, bytes]
    ) -> Judged:
        start = perf_counter()
        reports: dict[str, FileReport] = {}
        patches: dict[str, str] = {}
        patched = dict(files)
        for patch in load_series(pin.upstream):
            patches[patch.id] = "excluded"
        for path, series in parts.items():
            reports[path] = report = self._judge(pin, path, files.get(path), series)
            patched[path] = report.content
            for name, state in report.states.items():
                if patches[name] != "broken":
                    patches[name] = state
        spent = round(perf_counter() - start, 2)
        cells: dict[str, Cell] = {}
        for name in OF_FILES:
            cells[name] = _cell(name, reports, spent if name == OF_FILES[0] else 0.0)
        cells["import"] = self._import(pin, patched | dict(overlay), [*parts, *overlay])
        return patches, cells

    def _judge(self, pin: Pin, path: str, content: bytes | None, series: Sequence[Patch]) -> FileReport:
        key = digest("file", self._engine, path, content, series)
        kept = self._store.get(key)
        if kept is not None:
            return FileReport.from_json(kept)
        report = judge(path, content, series, upstream=pin.upstream, version=pin.version)
        if not report.fits:  # its message names the release
            self._store.put(key, report.as_json())
        return report

    def _import(self, pin: Pin, files: Mapping[str, bytes], changed: Sequence[str]) -> Cell:
        if self._importer is None:
            return Cell(verdict="not run", detail="this system cannot fork a process")
        start = perf_counter()
        top = package(pin.upstream, pin.version)
        inside = {name: content for name, content in files.items() if name.startswith(f"{top}/" if top else "")}
        modules = [top] if top else [*OFFICIAL_MODULES]
        for name in changed:
            if name in inside and _is_module(name, top):
                modules.append(_module(name))
        modules = list(dict.fromkeys(modules))
        problem = self._importer(inside, modules)
        seconds = round(perf_counter() - start, 2)
        return Cell(verdict="FAIL" if problem else "pass", detail=problem or f"{len(modules)} modules", seconds=seconds)


def _cell(name: str, reports: Mapping[str, FileReport], seconds: float) -> Cell:
    problems = [problem for report in reports.values() if (problem := getattr(report, name))]
    detail = "; ".join(problems) or (f"{len(reports)} files" if name == OF_FILES[0] else "")
    return Cell(verdict="FAIL" if problems else "pass", detail=detail, seconds=seconds)


def _is_module(path: str, top: str) -> bool:
    # torch.hub runs a hubconf.py with its own folder on the path; as part of a package, some cannot be imported.
    return path.endswith(".py") and not (top and path.endswith("/hubconf.py"))


def _module(path: str) -> str:
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


_worker: Worker | None = None
_why = "the process was not started"
_open = ExitStack()


def _start(folder: str, since: float) -> None:
    """Make the worker of a process; the process that imports for it ends with it."""
    global _worker, _why  # noqa: PLW0603 - what a pool's processes have for state
    Finalize(None, _open.close, exitpriority=1)  # a pool's processes run nothing that `atexit` knows
    gc.set_threshold(1_000_000)  # syntax trees are many objects in few cycles
    try:
        work = Path(tempfile.mkdtemp(dir=folder))
        importer = _open.enter_context(importing(work, Path(folder) / "code")) if CAN_FORK else None
    except OSError as error:  # raised here, it would be a traceback and a broken pool
        _why = explain_system(error).message
        return
    _worker = Worker(Store(cache_root() / "matrix", since), importer)


def _look(pin: Pin) -> Judged:
    if _worker is None:
        raise SlimforkError(_why)
    return _worker(pin)


def run(releases: Sequence[Pin], *, jobs: int, since: float, on_done: Callable[[Pin, Judged], None]) -> None:
    """Look at releases in several processes, and say of each when it is done.

    Args:
        releases: The pins; neighbours share most of their files, so they are best kept in order.
        jobs: How many processes.
        since: Results from before this time (seconds, Unix) are passed over.
        on_done: Called with each release and what was found, in the order in which they end.
    """
    with tempfile.TemporaryDirectory(prefix="slimfork-matrix-") as folder:
        context = multiprocessing.get_context("spawn")
        pool = ProcessPoolExecutor(jobs, mp_context=context, initializer=_start, initargs=(folder, since))
        try:
            waiting = {pool.submit(_look, pin): pin for pin in releases}
            for future in as_completed(waiting):
                on_done(waiting[future], future.result())
        except BrokenProcessPool:
            hint = "fewer at once: --jobs 1; the system ends processes when memory is short"
            raise SlimforkError("a process that looked at releases was ended from outside", hint=hint) from None
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
