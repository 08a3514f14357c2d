"""Which release a tree is: read by syntax, never imported, and refused when it is another thing."""

from __future__ import annotations

from pathlib import Path

import pytest

from slimfork.forks.detect import INIT, OFFICIAL_FILES, detect, is_official
from slimfork.releases import pins
from slimfork.releases.fetch import release_files
from slimfork.terminal.errors import UsageError
from tests.sampling import sampled

HERE = Path("fork")


@pytest.mark.parametrize(
    ("source", "version"),
    [
        (b'__version__ = "8.4.190"\n', "8.4.190"),
        (b"# Ultralytics\r\n\r\n__version__ = '8.0.100'\r\n", "8.0.100"),
        (b'__version__ = "8.4.190+slim1"\n', "8.4.190"),
        (b'\xef\xbb\xbf__version__: str = "8.1.0"\n', "8.1.0"),
        (b'import os\n__version__ = "8.3.0"\nraise SystemExit\n', "8.3.0"),
        (b'__version__ = "8.0.0"\n__version__ = "8.0.1"\n', "8.0.1"),
    ],
)
def test_the_version_is_what_the_package_says(source, version):
    found = detect({INIT: source}, HERE)
    assert (found.upstream, found.version) == ("ultralytics", version)


@pytest.mark.parametrize(
    "source",
    [
        b"",
        b"__version__ = version()\n",
        b"__version__ = 8\n",
        b"def (\n",
        b"x = 1\0",
        b"if True:\n    __version__ = '8.0.0'\n",
    ],
)
def test_no_version_is_an_error_of_its_own(source):
    with pytest.raises(UsageError, match="does not say its version"):
        detect({INIT: source}, HERE)


ON_THE_INDEX = [pin.version for pin in pins.load("yolov5") if not pin.is_tag]


@pytest.mark.parametrize("version", sampled(ON_THE_INDEX, by_default=[*ON_THE_INDEX[::9], ON_THE_INDEX[-1]]))
def test_every_release_of_yolov5_on_the_index_says_its_version_and_is_not_taken_for_a_tag(version):
    files = {path: file.content for path, file in release_files(pins.find(f"yolov5=={version}")).items()}
    found = detect(files, HERE)
    assert (found.upstream, found.version) == ("yolov5", version)
    assert not is_official(files)


def test_the_layout_of_yolov5s_own_repository_is_told_by_its_files():
    assert is_official(dict.fromkeys(OFFICIAL_FILES, b""))
    assert not any(is_official(dict.fromkeys(set(OFFICIAL_FILES) - {name}, b"")) for name in OFFICIAL_FILES)


def test_a_version_must_be_one():
    with pytest.raises(UsageError, match=r"'main' in .* is not a version"):
        detect({INIT: b'__version__ = "main"\n'}, HERE)


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["models/yolo.py", "detect.py", "train.py", "setup.cfg"], "is a relative of YOLOv5: it has no models/yolov5s"),
        (["pyproject.toml", "torch/__init__.py"], "another project"),
        (["README.md"], "no ultralytics package and no YOLOv5"),
        ([], "no ultralytics package and no YOLOv5"),
    ],
)
def test_other_trees_are_named(names, words):
    with pytest.raises(UsageError, match=words) as caught:
        detect(dict.fromkeys(names, b""), HERE)
    assert caught.value.hint
