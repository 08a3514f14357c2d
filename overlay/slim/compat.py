"""Stand-ins for what today's Python and PyTorch took away and old releases still call.

The compatibility patches put these names where the old ones stood; each says there why.
"""

from __future__ import annotations

import importlib
import inspect
import shutil
import urllib.request
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from packaging.requirements import Requirement
from packaging.version import Version

from .writing.log import warn

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = [
    "DistributionNotFound",
    "VersionConflict",
    "check_requirements",
    "clip",
    "fetch_font",
    "latest_opset",
    "legacy_exporter",
    "parse_requirements",
    "parse_version",
    "report",
    "require",
]

DistributionNotFound = metadata.PackageNotFoundError
PATIENCE = 10  # seconds to wait for a server that does not answer
MATURE_OPSET = 17  # what PyTorch 2.0 to 2.8 give by upstream's own rule; every ONNX Runtime since 1.12 reads it


class VersionConflict(Exception):  # noqa: N818 - the name that pkg_resources had
    """An installed distribution does not fit a requirement."""


class _Later:
    """A module that is imported when something of it is first asked for."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> object:
        return getattr(importlib.import_module(self._name), attribute)


clip = _Later("clip")


def parse_version(text: str) -> Version:
    """As `pkg_resources.parse_version`."""
    return Version(text)


def parse_requirements(lines: str | Iterable[str]) -> Iterator[Requirement]:
    """As `pkg_resources.parse_requirements`: comments and blank lines are passed over."""
    for line in lines.splitlines() if isinstance(lines, str) else lines:
        text = line.partition("#")[0].strip()
        if text:
            yield Requirement(text)


def require(text: str) -> None:
    """As `pkg_resources.require`, but it does not follow what the distribution requires in turn.

    Raises:
        DistributionNotFound: It is not installed.
        VersionConflict: It is installed in another version.
    """
    for requirement in parse_requirements(text):
        installed = metadata.version(requirement.name)
        if not requirement.specifier.contains(installed, prereleases=True):
            raise VersionConflict(f"{requirement.name} {installed} is installed, {requirement} is needed")


def report(text: str) -> None:
    """As `require`, but what does not fit is said and not raised, so that nobody has pip change it."""
    try:
        require(text)
    except DistributionNotFound:
        warn(f"requirements: {text} is not installed; where a command needs it: pip install '{text}'")
    except VersionConflict as error:
        warn(f"requirements: {error}, says this release; left as it is")


def check_requirements(requirements: object = None, *_: object, **__: object) -> bool:
    """As ultralytics' function of this name, but nothing is installed; without arguments there is nothing to check."""
    wanted = [requirements] if isinstance(requirements, str) else requirements
    for text in wanted if isinstance(wanted, (list, tuple)) else ():
        report(text)
    return True


def fetch_font(url: str, path: str, progress: bool = False) -> None:
    """As `torch.hub.download_url_to_file`, but without a network the font of matplotlib is put there."""
    del progress
    try:
        with urllib.request.urlopen(url, timeout=PATIENCE) as answer:  # noqa: S310 - upstream's own address
            Path(path).write_bytes(answer.read())
    except OSError as error:
        from matplotlib import get_data_path  # noqa: PLC0415 - only where the download fails

        warn(f"{url} cannot be downloaded ({error}): plots use DejaVu Sans")
        shutil.copy(Path(get_data_path(), "fonts", "ttf", "DejaVuSans.ttf"), path)


def legacy_exporter() -> dict[str, bool]:
    """Arguments that make `torch.onnx.export` trace, as it did before PyTorch 2.9 made `dynamo=True` its default."""
    return {"dynamo": False} if "dynamo" in inspect.signature(torch.onnx.export).parameters else {}


def latest_opset() -> int:
    """The second newest ONNX opset that PyTorch's tracing exporter lists; newer PyTorch keeps no list."""
    opsets = [int(name[14:]) for name in vars(torch.onnx) if name.startswith("symbolic_opset")]
    return max([*opsets, MATURE_OPSET + 1]) - 1
