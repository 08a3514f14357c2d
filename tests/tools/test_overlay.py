"""A fork gets the `slim` package and the files of its release line, and nothing that Python left behind."""

from __future__ import annotations

import py_compile
from itertools import combinations
from pathlib import Path

import pytest
from packaging.version import Version

from slimfork import pins
from slimfork.content import overlay_root
from slimfork.overlay import overlay_files
from slimfork.patch import load_series

VERSIONS = ("8.0.100", "8.4.190")

every_release = pytest.mark.parametrize("version", VERSIONS)


@every_release
def test_slim_lies_inside_the_package(version: str) -> None:
    files = overlay_files("ultralytics", version)
    names = {path.name for path in (overlay_root() / "slim").iterdir() if path.is_file()}
    assert {"__init__.py", "sparsity.py", "architecture.py"} <= names
    assert {f"ultralytics/slim/{name}" for name in names} <= set(files)


@every_release
def test_release_line_brings_its_prune_script_to_the_top(version: str) -> None:
    assert b"slim" in overlay_files("ultralytics", version)["prune.py"]


@every_release
def test_content_is_that_of_the_overlay_byte_for_byte(version: str) -> None:
    for path, content in overlay_files("ultralytics", version).items():
        if path.startswith("ultralytics/slim/"):
            source = overlay_root() / "slim" / path.removeprefix("ultralytics/slim/")
            assert source.read_bytes() == content


@every_release
def test_paths_are_sorted_and_stay_in_the_fork(version: str) -> None:
    files = overlay_files("ultralytics", version)
    assert list(files) == sorted(files)
    for path in files:
        assert not Path(path).is_absolute()
        assert ".." not in Path(path).parts
        assert "\\" not in path


def test_what_python_compiled_is_left_out() -> None:
    compiled = py_compile.compile(str(overlay_root() / "slim" / "__init__.py"), doraise=True)
    assert compiled is not None
    assert "__pycache__" in Path(compiled).parts
    assert Path(compiled).is_relative_to(overlay_root())
    files = overlay_files("ultralytics", "8.4.190")
    assert not [path for path in files if "__pycache__" in path or path.endswith(".pyc")]


def test_version_of_a_fork_is_that_of_its_release() -> None:
    assert overlay_files("ultralytics", "8.4.190+slim1") == overlay_files("ultralytics", "8.4.190")


def test_release_of_no_line_gets_slim_alone() -> None:
    files = overlay_files("ultralytics", "0.0.13")
    assert files
    assert all(path.startswith("ultralytics/slim/") for path in files)


def test_yolov5_has_slim_at_the_top() -> None:
    files = overlay_files("yolov5", "v7.0")
    assert "slim/__init__.py" in files
    assert not [path for path in files if path.startswith("ultralytics/")]


def lines(upstream: str) -> list[Path]:
    folder = overlay_root() / upstream
    return sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []


@pytest.mark.parametrize("upstream", ["ultralytics", "yolov5"])
def test_lines_are_closed_ranges_with_pinned_ends(upstream: str) -> None:
    pinned = {Version(pin.version) for pin in pins.load(upstream)}
    for line in lines(upstream):
        first, dots, last = line.name.partition("..")
        assert dots
        assert Version(first) <= Version(last)
        assert {Version(first), Version(last)} <= pinned


@pytest.mark.parametrize("upstream", ["ultralytics", "yolov5"])
def test_no_release_gets_a_file_from_two_lines(upstream: str) -> None:
    for one, other in combinations(lines(upstream), 2):
        (a, b), (c, d) = ([Version(end) for end in line.name.split("..")] for line in (one, other))
        if a <= d and c <= b:
            names = [{path.name for path in line.iterdir() if path.is_file()} for line in (one, other)]
            assert not names[0] & names[1], (one.name, other.name)


def test_every_release_with_patches_has_one_prune_script() -> None:
    series = [patch for patch in load_series("ultralytics") if not patch.compat]
    for pin in pins.load("ultralytics"):
        if all(patch.variant(pin.version) for patch in series):
            scripts = [
                line for line in lines("ultralytics") if covers(line, pin.version) and (line / "prune.py").is_file()
            ]
            assert len(scripts) == 1, pin.version


def covers(line: Path, version: str) -> bool:
    first, last = (Version(end) for end in line.name.split(".."))
    return first <= Version(version) <= last
