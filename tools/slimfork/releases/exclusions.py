"""Releases that can never be patched, each with its reason: `patches/<upstream>.excluded`."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from packaging.specifiers import SpecifierSet
from packaging.version import Version

from slimfork.terminal.content import patches_root
from slimfork.terminal.naming import is_tag

if TYPE_CHECKING:
    from pathlib import Path


def reason(upstream: str, version: str) -> str | None:
    """Return in one line why a release can never be patched, or None when nothing is known against it."""
    if is_tag(version):
        return None  # a tag that could not be patched would not be pinned
    release = Version(version)
    for releases, why in read_rows(patches_root() / f"{upstream}.excluded"):
        if SpecifierSet(releases).contains(release, prereleases=True):
            return why
    return None


@cache
def read_rows(path: Path) -> tuple[tuple[str, str], ...]:
    """Read a file of lines `RELEASES  what holds for them`; a file that is not there has none."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    rows = []
    for line in lines:
        if line.strip() and not line.startswith("#"):
            releases, why = line.split(maxsplit=1)
            rows.append((releases, why))
    return tuple(rows)
