"""Releases × checks: the document that a matrix is, with a verdict in every cell. Pure.

The JSON that `apply-patches matrix --json F` writes, schema 1:

- `schema`: 1. A later schema with another meaning of a key has another number; new keys may come at any time.
- `upstream`: the family of releases.
- `made`: `by` (program and version), `at` (UTC, ISO 8601), `command`, `python`, `system`, `packages` (name to version),
  `content` (first 12 hex digits of the hash of patches and overlay).
- `checks`: those that were asked for, in order: `id`, `title`, `kind` (`static` or `dynamic`).
- `releases`, oldest first: `version`, `date` (of the upload, or null), `yanked` (why, or null), `pinned` (false: newer
  than the patches know), `verdict` (`green`, `reasoned`, `failed`, `not run`), `reason` (why it can never be patched,
  or null), `patches` (id to `pending`, `applied`, `upstreamed`, `broken`, `excluded`), and `checks`: id to `verdict`
  (`pass`, `FAIL`, `not run`), `detail` (one line), `seconds`, `log` (a path, or empty). One that was not asked for is
  not there.
- `summary`: `releases`, and the number of each verdict.
"""

from __future__ import annotations

import platform
import sys
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from importlib import metadata
from typing import TYPE_CHECKING, Any, Literal

from slimfork import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from slimfork.releases.pins import Pin
    from slimfork.verify.verify import Verdict

    ReleaseFacts = Mapping[str, Any]  # a release as plain data

SCHEMA = 1
PACKAGES = ("torch", "torchvision", "numpy", "matplotlib", "opencv-python", "pillow", "onnx", "onnxruntime", "libcst")
VERDICTS = ("green", "reasoned", "failed", "not run")

CheckKind = Literal["static", "dynamic"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A check: its name, what passes when it passes, and whether something of the release is trained for it."""

    id: str
    title: str
    kind: CheckKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """What came of a check on a release; `log` is the path of what it printed, kept when it failed."""

    verdict: Verdict
    detail: str = ""
    seconds: float = 0.0
    log: str = ""


def verdicts_of(cells: Mapping[str, Cell]) -> set[Verdict]:
    """Return the different verdicts of cells."""
    return {cell.verdict for cell in cells.values()}


def cells_as_json(cells: Mapping[str, Cell]) -> dict[str, dict[str, Any]]:
    """Return cells as plain data: check id to what came of it."""
    return {name: asdict(cell) for name, cell in cells.items()}


def cells_from_json(facts: Mapping[str, Mapping[str, Any]]) -> dict[str, Cell]:
    """Read what `cells_as_json` returned."""
    return {name: Cell(**cell) for name, cell in facts.items()}


@dataclass(slots=True, kw_only=True)
class Row:
    """A release in the matrix.

    Attributes:
        pin: The release.
        reason: Why it can never be patched, if so.
        pinned: Whether its hash is in the lock file and its patches are known to be for it.
        patches: Patch id to its state.
        cells: Check id to what came of it; a check that was not asked for is not there.
    """

    pin: Pin
    reason: str | None = None
    pinned: bool = True
    patches: dict[str, str] = field(default_factory=dict)
    cells: dict[str, Cell] = field(default_factory=dict)

    @property
    def verdict(self) -> str:
        """One of `VERDICTS`."""
        verdicts = verdicts_of(self.cells)
        if "FAIL" in verdicts:
            return "failed"
        if self.reason:
            return "reasoned"
        return "green" if verdicts == {"pass"} else "not run"

    def as_json(self) -> dict[str, Any]:
        """Return plain data."""
        return {
            "version": self.pin.version,
            "date": str(self.pin.uploaded) if self.pin.uploaded else None,
            "yanked": self.pin.yanked or None,
            "pinned": self.pinned,
            "verdict": self.verdict,
            "reason": self.reason,
            "patches": self.patches,
            "checks": cells_as_json(self.cells),
        }


def document(
    rows: Sequence[Row], columns: Sequence[Column], *, upstream: str, command: str, content: str
) -> dict[str, Any]:
    """Return the whole matrix as plain data (schema 1).

    Args:
        rows: The releases, oldest first.
        columns: The checks that were asked for, in order.
        upstream: The family of releases.
        command: What was typed.
        content: The hash of patches and overlay.
    """
    return {
        "schema": SCHEMA,
        "upstream": upstream,
        "made": {
            "by": f"slimfork {__version__}",
            "at": datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "command": command,
            "python": platform.python_version(),
            "system": f"{sys.platform} {platform.machine()}",
            "packages": _versions(PACKAGES),
            "content": content[:12],
        },
        "checks": list(map(asdict, columns)),
        "releases": [row.as_json() for row in rows],
        "summary": summary(rows),
    }


def summary(rows: Sequence[Row]) -> dict[str, int]:
    """Return how many releases there are, and how many of each verdict."""
    counts = {"releases": len(rows), **dict.fromkeys(VERDICTS, 0)}
    for row in rows:
        counts[row.verdict] += 1
    return counts


def _versions(names: Sequence[str]) -> dict[str, str]:
    """Return the versions of the packages that are installed."""
    installed: dict[str, str] = {}
    for found in metadata.distributions():
        installed[found.name.lower()] = found.version
    versions: dict[str, str] = {}
    for name in names:
        if name in installed:
            versions[name] = installed[name]
    return versions
