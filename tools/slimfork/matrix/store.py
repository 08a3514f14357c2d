"""Results kept between runs, by a hash of all that they depend on: a folder of JSON files in the cache."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from slimfork.processes.parts import clear_parts, part_of

# Folders and files below the package: what patches and imports a release, and what trains and prunes one.
ENGINE = (
    *("codemods", "handmade", "inside", "syntax"),
    *("git/merge.py", "matrix/imports.py", "matrix/static.py", "releases/archive.py", "terminal/naming.py"),
)
TRAINING = ("qr", "verify/verify.py")


def digest(*parts: object) -> str:
    """Return the hash of the printed forms of values."""
    return hashlib.sha256("\0".join(map(repr, parts)).encode()).hexdigest()


def engine(*more: str) -> str:
    """Return the hash of the program's own modules that results depend on: those that patch, and more."""
    package = Path(__file__).parents[1]
    contents: list[bytes] = []
    for name in (*ENGINE, *more):
        place = package / name
        files = [place] if place.is_file() else sorted(place.glob("*.py"))
        contents += map(Path.read_bytes, files)
    return digest(*contents)


@cache
def installed() -> str:
    """Return the hash of the packages beside us: what is imported and trained depends on them."""
    return digest(*sorted(f"{d.name} {d.version}" for d in metadata.distributions()))


@dataclass(frozen=True, slots=True)
class Store:
    """A folder of results. A damaged one counts as not there, and so does one from before `since` (seconds, Unix)."""

    folder: Path
    since: float = 0.0

    def get(self, key: str) -> dict[str, Any] | None:
        """Return what was kept under a key."""
        path = self._path(key)
        try:
            value = json.loads(path.read_bytes()) if path.stat().st_mtime >= self.since else None
        except (OSError, ValueError):
            return None
        return value if isinstance(value, dict) else None

    def put(self, key: str, value: dict[str, Any]) -> None:
        """Keep a value under a key; another run may do the same at the same time."""
        path = self._path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        part = part_of(path)
        part.write_text(json.dumps(value, separators=(",", ":")), encoding="utf-8")
        part.replace(path)

    def tidy(self) -> None:
        """Clear away what runs left that were killed while they kept something."""
        for folder in self.folder.glob("*/"):
            clear_parts(folder)

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key[2:]}.json"
