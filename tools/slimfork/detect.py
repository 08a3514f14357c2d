"""Which upstream and release a tree is: from what it says about itself, found by syntax and not by import. Pure."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import TYPE_CHECKING

from packaging.version import InvalidVersion, Version

from slimfork.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

INIT = "ultralytics/__init__.py"
YOLOV5 = ("models/yolo.py", "detect.py", "train.py")


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """One release of an upstream; the version is without a local part such as `+slim1`."""

    upstream: str
    version: str


def detect(files: Mapping[str, bytes], path: Path) -> Release:
    """Return the release that a tree holds.

    Args:
        files: Path to content; only what is needed is read.
        path: Where the tree lies, for messages.

    Raises:
        UsageError: It is no upstream that there are patches for, or it does not say its version.
    """
    if INIT not in files:
        raise _unknown(files, path)
    version = stated_version(files[INIT])
    if version is None:
        hint = f'restore its line __version__ = "..." in {INIT}'
        raise UsageError(f"{path}: {INIT} does not say its version", hint=hint)
    try:
        return Release(upstream="ultralytics", version=str(Version(version)))
    except InvalidVersion:
        hint = f"restore upstream's version in {INIT}"
        raise UsageError(f"{path}: {version!r} in {INIT} is not a version", hint=hint) from None


def stated_version(source: bytes) -> str | None:
    """Return what a module assigns to `__version__` at its top, without a local part such as `+slim1`, or None."""
    try:
        module = ast.parse(source)
    except (SyntaxError, ValueError):
        return None
    found = None
    for node in module.body:
        targets = (
            node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        )
        named = any(isinstance(t, ast.Name) and t.id == "__version__" for t in targets)
        value = getattr(node, "value", None)
        if named and isinstance(value, ast.Constant) and isinstance(value.value, str):
            found = value.value.partition("+")[0]
    return found


def _unknown(files: Mapping[str, bytes], path: Path) -> UsageError:
    if all(name in files for name in YOLOV5):
        message = f"{path} is a YOLOv5 checkout; there are patches for ultralytics only"
        return UsageError(message, hint="apply-patches vendor ultralytics --into fork")
    if "setup.py" in files or "pyproject.toml" in files:
        message = f"{path} is another project: it has no {INIT}"
    else:
        message = f"{path} holds no ultralytics package: it has no {INIT}"
    return UsageError(message, hint="apply-patches apply PATH, with the top folder of an ultralytics checkout")
