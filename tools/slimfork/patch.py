"""What a patch is: one documented edit of upstream, with a variant for each range of releases."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from packaging.specifiers import SpecifierSet
from packaging.version import Version

from slimfork.content import patches_root
from slimfork.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from slimfork.codemod import Edit

UPSTREAMS = ("ultralytics", "yolov5")


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """The form that a patch takes for one range of releases.

    Attributes:
        versions: A closed range, such as ">=8.3.0,<=8.4.190".
        edits: What is changed, each at the stated number of sites.
    """

    versions: str
    edits: tuple[Edit, ...]

    def covers(self, version: str) -> bool:
        """Tell whether a release lies in the range."""
        return SpecifierSet(self.versions).contains(Version(version).public, prereleases=True)

    @property
    def last(self) -> Version:
        """The upper end of the range."""
        return max(Version(part.version) for part in SpecifierSet(self.versions))


@dataclass(frozen=True, slots=True, kw_only=True)
class Patch:
    """One documented edit.

    Attributes:
        id: The name of its file, such as "loss_device".
        title: What it does, in the imperative; the subject of its commit.
        why: Why the edit exists, with its source.
        until: When it may go.
        compat: Whether it only lets an old release run on today's Python, NumPy and PyTorch.
        variants: Exactly one covers each release that the patch is for.
    """

    id: str
    title: str
    why: str
    until: str
    variants: tuple[Variant, ...]
    compat: bool = False

    def variant(self, version: str) -> Variant | None:
        """Return the variant for a release, or None when the patch is not for it."""
        return next((v for v in self.variants if v.covers(version)), None)


def newest_known(series: Sequence[Patch]) -> Version | None:
    """Return the newest release that documented patches of a series are for, or None when there are none."""
    return max((v.last for patch in series if not patch.compat for v in patch.variants), default=None)


def known_as(series: Sequence[Patch], version: str) -> str:
    """Return the release whose variants are tried: the version itself, or, when it is newer, the newest known."""
    newest = newest_known(series)
    return str(newest) if newest is not None and Version(Version(version).public) > newest else version


@cache
def load_series(upstream: str) -> tuple[Patch, ...]:
    """Load every patch of an upstream in series order: compatibility first, then by name.

    Raises:
        UsageError: The upstream is not known.
    """
    if upstream not in UPSTREAMS:
        raise UsageError(f"unknown upstream {upstream!r}", hint=f"one of: {', '.join(UPSTREAMS)}")
    files = sorted((patches_root() / upstream).glob("[!_]*.py"))
    patches = []
    for file in files:
        spec = importlib.util.spec_from_file_location(f"slimfork_patches.{upstream}.{file.stem}", file)
        if spec is None or spec.loader is None:  # pragma: no cover - a .py file always has a loader
            raise UsageError(f"{file} cannot be imported")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        patches.append(module.PATCH)
    return tuple(sorted(patches, key=lambda p: (not p.compat, p.id)))
