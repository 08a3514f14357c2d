"""The static checks on whole releases: real ones are green and kept, and what is wrong is named in its cell.

Also of: `slimfork.inside.import_steps`, `slimfork.processes.processes`.
"""

from __future__ import annotations

import os
import time

import pytest

from slimfork.codemods.patch import load_series
from slimfork.forks.overlay import overlay_files
from slimfork.matrix.imports import importing
from slimfork.matrix.static import by_file
from slimfork.matrix.static_run import OFFICIAL_MODULES, STATIC_COLUMNS, Worker
from slimfork.matrix.store import Store
from slimfork.releases import pins
from slimfork.releases.fetch import release_files
from tests.tools import small_repository

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork a process")

VERSION = "8.0.100"
PIN = pins.find(f"ultralytics=={VERSION}")
CHECKS = "ultralytics/yolo/utils/checks.py"


@pytest.fixture(scope="module")
def importer(tmp_path_factory):
    folder = tmp_path_factory.mktemp("importer")
    with importing(folder / "work", folder / "code") as process:
        yield process


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return Store(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def worker(store, importer):
    return Worker(store, importer)


@pytest.fixture
def look(worker):
    """Look at the release with some files changed."""

    def run(changes):
        files = {name: file.content for name, file in release_files(PIN).items()}
        for name, (old, new) in changes.items():
            assert old in files[name]
            files[name] = files[name].replace(old, new)
        series = by_file(load_series("ultralytics"), VERSION)
        return worker._look(PIN, files, series, overlay_files("ultralytics", VERSION))

    return run


def red(cells):
    return {name: cell.detail for name, cell in cells.items() if cell.verdict != "pass"}


def test_a_release_is_green_and_has_every_check(worker):
    patches, cells = worker(PIN)
    assert red(cells) == {}
    assert list(cells) == [column.id for column in STATIC_COLUMNS]
    assert patches["sparsity"] == patches["np_trapz"] == "pending"
    assert patches["clip_import"] == "excluded"


def test_what_is_known_is_not_looked_at_again(worker, store, monkeypatch):
    first = worker(PIN)
    monkeypatch.setattr("slimfork.matrix.static_run.unpack", None)
    monkeypatch.setattr("slimfork.matrix.static_run.judge", None)
    again = Worker(store, worker._importer)(PIN)
    assert again[0] == first[0]
    assert {name: cell.verdict for name, cell in again[1].items()} == {n: c.verdict for n, c in first[1].items()}


def test_what_was_known_before_a_time_can_be_passed_over(worker, store, monkeypatch):
    worker(PIN)
    monkeypatch.setattr("slimfork.matrix.static_run.unpack", lambda *_: {})
    _, cells = Worker(Store(store.folder, since=time.time() + 1), worker._importer)(PIN)
    assert "the file does not exist" in cells["fits"].detail


@pytest.mark.parametrize("tag", small_repository.TAGS)
def test_a_tag_is_green_with_the_modules_that_it_has_instead_of_a_package(worker, tagged, tag):
    patches, cells = worker(pins.find(f"yolov5@{tag}"))
    assert red(cells) == {}
    assert patches == {"penalty": "pending", "trapz": "pending" if tag == "v1.0" else "excluded"}
    assert cells["fetch"].detail == f"commit {tagged.commits[tag][:12]}"
    assert cells["import"].detail == f"{len(OFFICIAL_MODULES) + {'v1.0': 3, 'v2.0': 1, 'trunk': 2}[tag] + 2} modules"


def test_a_tag_whose_repository_cannot_be_reached_fails_in_fetch_with_the_reason(worker, tagged, monkeypatch, tmp_path):
    assert tagged.path.is_dir()
    monkeypatch.setenv("SLIMFORK_YOLOV5_GIT", str(tmp_path / "nowhere"))
    patches, cells = worker(pins.find("yolov5@v2.0"))
    assert (patches, list(cells)) == ({}, ["fetch"])
    assert (cells["fetch"].verdict, cells["fetch"].detail) == ("FAIL", f"{tmp_path / 'nowhere'} does not exist")


@pytest.mark.slow
def test_a_release_of_yolov5_on_the_index_is_imported_as_a_package(worker):
    patches, cells = worker(pins.find("yolov5==7.0.10"))
    assert red(cells) == {}
    assert patches["sparsity"] == patches["keep_architecture"] == "pending"


def test_an_excluded_release_is_fetched_and_no_more(worker):
    patches, cells = worker(pins.find("ultralytics==8.0.129"))
    assert (patches, list(cells), red(cells)) == ({}, ["fetch"], {})


def test_a_broken_anchor_is_named_and_nothing_else_is(look):
    patches, cells = look({CHECKS: (b"import pkg_resources as pkg", b"import pkg_resources as pr")})
    assert patches["pkg_resources"] == "broken"
    assert red(cells)["fits"] == (
        f"pkg_resources at {CHECKS} :: module (ultralytics {VERSION}): expected 1 site, found none"
    )


def test_an_import_that_fails_is_named_with_its_module(look):
    _, cells = look({"ultralytics/yolo/utils/__init__.py": (b"import sys\n", b"import sys\nimport no_such_thing\n")})
    problem = "import ultralytics: ModuleNotFoundError: No module named 'no_such_thing'"
    assert red(cells) == {"import": problem}


def test_a_release_that_exits_while_it_is_imported_takes_nothing_with_it(look):
    _, cells = look({"ultralytics/__init__.py": (b"\n__version__ = ", b"\nimport os; os._exit(3)\n__version__ = ")})
    assert "the process died" in red(cells)["import"]
    assert red(look({})[1]) == {}


def test_a_file_that_cannot_be_fetched_is_a_failure_of_its_own(worker, tmp_path, monkeypatch):
    monkeypatch.setenv("SLIMFORK_CACHE", str(tmp_path))
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setattr("slimfork.releases.index.WAITS", ())
    _, cells = worker(PIN)
    assert list(cells) == ["fetch"]
    assert "127.0.0.1" in cells["fetch"].detail
