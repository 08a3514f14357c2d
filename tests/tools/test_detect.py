"""Which release a tree is: read by syntax, never imported, and refused when it is another thing."""

from __future__ import annotations

from pathlib import Path

import pytest

from slimfork.detect import INIT, detect
from slimfork.errors import UsageError

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


def test_a_version_must_be_one():
    with pytest.raises(UsageError, match=r"'main' in .* is not a version"):
        detect({INIT: b'__version__ = "main"\n'}, HERE)


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["models/yolo.py", "detect.py", "train.py", "setup.cfg"], "YOLOv5"),
        (["pyproject.toml", "torch/__init__.py"], "another project"),
        (["README.md"], "no ultralytics package"),
        ([], "no ultralytics package"),
    ],
)
def test_other_trees_are_named(names, words):
    with pytest.raises(UsageError, match=words) as caught:
        detect(dict.fromkeys(names, b""), HERE)
    assert caught.value.hint
