"""Which upstream and release a tree is: from what it says about itself, found by syntax and not by import. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from packaging.version import InvalidVersion, Version

from slimfork.codemods.stated_version import stated_version
from slimfork.terminal.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

INIT = "ultralytics/__init__.py"
INITS = {"ultralytics": INIT, "yolov5": "yolov5/__init__.py"}
ALIKE = ("models/yolo.py", "detect.py", "train.py")  # YOLOv3, YOLOv7 and YOLOR have these as YOLOv5 does
OFFICIAL_MODEL = "models/yolov5s.yaml"
OFFICIAL_FILES = (*ALIKE, OFFICIAL_MODEL)  # YOLOv5's own repository


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """One release of an upstream.

    Attributes:
        upstream: The family of releases.
        version: A published version without a local part such as `+slim1`, or a git tag.
        found: How it was found, where the tree does not say it by itself.
    """

    upstream: str
    version: str
    found: str = field(default="", compare=False)


def is_official(files: Mapping[str, bytes]) -> bool:
    """Tell whether a tree is laid out as YOLOv5's own repository is, which does not say its version."""
    return files.keys() >= {*OFFICIAL_FILES}


def detect(files: Mapping[str, bytes], path: Path) -> Release:
    """Return the release that a tree says it holds.

    Args:
        files: Path to content; only what is needed is read.
        path: Where the tree lies, for messages.

    Raises:
        UsageError: It is no upstream that there are patches for, or it does not say its version.
    """
    for upstream, init in INITS.items():
        if init in files:
            return Release(upstream=upstream, version=_stated(files[init], init, path))
    raise _unknown(files, path)


def _stated(content: bytes, init: str, path: Path) -> str:
    """Return the version that a package's `__init__.py` states, or refuse what is none."""
    version = stated_version(content)
    if version is None:
        hint = f'restore its line __version__ = "..." in {init}'
        raise UsageError(f"{path}: {init} does not say its version", hint=hint)
    try:
        return str(Version(version))
    except InvalidVersion:
        hint = f"restore upstream's version in {init}"
        raise UsageError(f"{path}: {version!r} in {init} is not a version", hint=hint) from None


def _unknown(files: Mapping[str, bytes], path: Path) -> UsageError:
    if files.keys() >= {*ALIKE}:
        message = f"{path} is a relative of YOLOv5: it has no {OFFICIAL_MODEL}"
        return UsageError(message, hint="apply-patches vendor yolov5 --into fork")
    lacks = f"it has neither {' nor '.join(INITS.values())} nor YOLOv5's train.py"
    if "setup.py" in files or "pyproject.toml" in files:
        message = f"{path} is another project: {lacks}"
    else:
        message = f"{path} holds no ultralytics package and no YOLOv5: {lacks}"
    return UsageError(message, hint="apply-patches apply PATH, with the top folder of a checkout of either")
