"""A fork gets the `slim` package and the files of its release line, and nothing that Python left behind.

Also of: `slimfork.forks.overlay_state`.
"""

from __future__ import annotations

import py_compile
import subprocess
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from slimfork.codemods.patch import load_series
from slimfork.forks.overlay import manifest_path, overlay_files, read_manifest, slim_folder, write_manifest
from slimfork.releases import pins
from slimfork.terminal.content import overlay_root
from slimfork.terminal.naming import is_tag
from tests.tools.conftest import write

if TYPE_CHECKING:
    from collections.abc import Sequence

    from slimfork.codemods.patch import Patch
    from tests.tools.conftest import Upstream

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
        if path.startswith("ultralytics/slim/") and path != manifest_path("ultralytics", version):
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


@every_release
def test_manifest_is_what_sha256sum_checks(version: str, tmp_path: Path) -> None:
    write(tmp_path, overlay_files("ultralytics", version))
    manifest = manifest_path("ultralytics", version)
    done = subprocess.run(["sha256sum", "--check", "--strict", "--quiet", manifest], cwd=tmp_path, check=False)
    assert done.returncode == 0
    listed = read_manifest((tmp_path / manifest).read_bytes())
    assert {*listed, manifest} == set(overlay_files("ultralytics", version))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<<<<<<< HEAD\n",
        b"\xff\xfe",
        b"abc  path\n",
        b"0" * 64 + b" path\n",
        write_manifest({"a": "0" * 64}) + b"# mine\n",
    ],
)
def test_damaged_manifest_says_where(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"line [12] is not"):
        read_manifest(content)


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


@pytest.mark.parametrize(
    ("upstream", "version", "folder"),
    [
        ("ultralytics", "8.4.190", "ultralytics/slim"),
        ("yolov5", "7.0.14", "yolov5/slim"),
        ("yolov5", "v7.0", "slim"),
        ("yolov5", "master", "slim"),
    ],
)
def test_slim_lies_in_the_package_where_there_is_one(upstream: str, version: str, folder: str) -> None:
    assert slim_folder(upstream, version) == folder
    files = overlay_files(upstream, version)
    slim = {path.removeprefix(f"{folder}/") for path in files if path.startswith(f"{folder}/")}
    assert slim == {path.removeprefix("ultralytics/slim/") for path in overlay_files("ultralytics", "0.0.13")}


def lines(upstream: str) -> list[Path]:
    folder = overlay_root() / upstream
    return sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []


def releases(upstream: str) -> list[str]:
    """Every pinned release, in order."""
    return [pin.version for pin in pins.load(upstream)]


def inside(line: Path, upstream: str) -> list[str]:
    """The releases of a line, of its kind alone: published versions, or tags."""
    first, last = map(releases(upstream).index, line.name.split(".."))
    return releases(upstream)[first : last + 1]


def file_names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if path.is_file()}


def is_patched(version: str, series: Sequence[Patch]) -> bool:
    return any(patch.variant(version) for patch in series)


@pytest.mark.parametrize("upstream", ["ultralytics", "yolov5"])
def test_lines_are_closed_ranges_with_pinned_ends_of_one_kind(upstream: str) -> None:
    for line in lines(upstream):
        found = inside(line, upstream)
        assert found
        assert len({is_tag(version) for version in found}) == 1


@pytest.mark.parametrize("upstream", ["ultralytics", "yolov5"])
def test_no_release_gets_a_file_from_two_lines(upstream: str) -> None:
    for one, other in combinations(lines(upstream), 2):
        if set(inside(one, upstream)) & set(inside(other, upstream)):
            assert not file_names(one) & file_names(other), (one.name, other.name)


@pytest.mark.parametrize("upstream", ["ultralytics", "yolov5"])
def test_every_release_with_patches_has_one_prune_script(upstream: str) -> None:
    series = [patch for patch in load_series(upstream) if not patch.compat]
    scripts = {line: inside(line, upstream) for line in lines(upstream) if (line / "prune.py").is_file()}
    patched = [version for version in releases(upstream) if is_patched(version, series)]
    assert patched
    for version in patched:
        having = [line for line, found in scripts.items() if version in found]
        assert len(having) == 1, version
        assert overlay_files(upstream, version)["prune.py"] == (having[0] / "prune.py").read_bytes()


def test_a_tag_gets_the_line_of_the_tags_and_a_version_that_of_the_versions(tagged: Upstream) -> None:
    assert tagged.path.is_dir()
    assert b"prune" in overlay_files("yolov5", "v1.0")["prune.py"]
    assert overlay_files("yolov5", "trunk") == overlay_files("yolov5", "v1.0")
    assert overlay_files("yolov5", "newly-pinned") == overlay_files("yolov5", "trunk")
    assert b"another layout" in overlay_files("yolov5", "1.5.0")["prune.py"]
    assert b"another layout" in overlay_files("yolov5", "99.0")["prune.py"]
    assert "prune.py" not in overlay_files("yolov5", "0.9.0")
