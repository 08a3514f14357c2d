"""Releases that can never be patched, each with its reason: `patches/<upstream>.excluded`."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from packaging.specifiers import SpecifierSet
from packaging.version import Version

from slimfork.content import patches_root

if TYPE_CHECKING:
    from pathlib import Path


def reason(upstream: str, version: str) -> str | None:
    """Return in one line why a release can never be patched, or None when nothing is known against it."""
    release = Version(version)
    ranges = read_ranges(patches_root() / f"{upstream}.excluded")
    return next((why for releases, why in ranges if releases.contains(release, prereleases=True)), None)


@cache
def read_ranges(path: Path) -> tuple[tuple[SpecifierSet, str], ...]:
    """Read a file of lines `RANGE  what holds for it`; a file that is not there has none."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    rows = (line.split(maxsplit=1) for line in lines if line.strip() and not line.startswith("#"))
    return tuple((SpecifierSet(releases), why) for releases, why in rows)
