"""The matrix as a page: one HTML file that needs no network, and no JavaScript to show every cell.

The table in the page is the only copy of the data. The script reads it back to fold, sort and filter. A policy in the
page allows that one script, by its hash, and no request at all.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from packaging.version import InvalidVersion, Version

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from slimfork.matrix.matrix import ReleaseFacts

HERE = Path(__file__).parent
MARKS = {"green": "✓", "reasoned": "–", "failed": "✗", "not run": "○"}  # colour is never the only signal
LETTERS = {"pass": "p", "FAIL": "f", "not run": "n"}  # classes of the cells: there are thousands of them
PAGE_SCRIPTS = ("page.js", "page_rows.js")
FAILURES_SHOWN = 30  # the table has them all
STATES = ("broken", "pending", "applied", "upstreamed", "excluded")


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Neighbouring releases: from the first to the last, and how many."""

    first: str
    last: str
    count: int

    def __str__(self) -> str:
        return self.first if self.count == 1 else f"{self.first} .. {self.last} ({self.count})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A check that failed with the same words on these releases."""

    check: str
    detail: str
    spans: tuple[Span, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseLine:
    """A line of releases (8.0, say): how many, how many of them failed, and runs of (verdict, count), oldest first."""

    name: str
    count: int
    failed: int
    runs: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PatchStates:
    """A patch, and the releases where it is in each state."""

    id: str
    states: tuple[tuple[str, tuple[Span, ...]], ...]


def render(document: Mapping[str, Any]) -> str:
    """Return the page of a matrix: one HTML file, whatever text the details hold.

    Args:
        document: What `apply-patches matrix --json` writes, schema 1.
    """
    releases = sorted(document["releases"], key=_order)
    failures = _failures(releases, [check["id"] for check in document["checks"]])
    sets, numbered = _patch_sets(releases)
    script = "\n".join((HERE / name).read_text(encoding="utf-8") for name in PAGE_SCRIPTS)
    template = _environment().get_template("page.html.j2")
    return template.render(
        document=document,
        checks=document["checks"],
        kinds=[(kind, len(list(group))) for kind, group in groupby(document["checks"], lambda check: check["kind"])],
        releases=numbered,
        lines=_lines(releases),
        failures=failures[:FAILURES_SHOWN],
        failures_left=max(0, len(failures) - FAILURES_SHOWN),
        patches=_patches(releases),
        patch_sets=sets,
        style=(HERE / "page.css").read_text(encoding="utf-8"),
        script=script,
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        marks=MARKS,
        letters=LETTERS,
        line_of=_line,
    )


@cache
def _environment() -> Environment:
    """Return a template environment that escapes whatever the template does not call safe."""
    return Environment(
        loader=FileSystemLoader(HERE), autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined
    )


def _order(release: ReleaseFacts) -> tuple[int, Version]:
    """Return the sort key of a release, as in the lock: artifacts by version, tags by version, branches."""
    try:
        version = Version(release["version"])
    except InvalidVersion:
        return 2, Version("0")
    return int(release["version"].startswith("v")), version


def _line(release: ReleaseFacts) -> str:
    """Return the line of a release: its first two numbers, or that it is a tag or branch of git."""
    kind, version = _order(release)
    return f"{version.major}.{version.minor}" if kind == 0 else "git"


def _spans(releases: Sequence[ReleaseFacts], chosen: Iterable[int]) -> tuple[Span, ...]:
    """Return the chosen releases, by ascending index, as runs of neighbours."""
    runs: list[list[int]] = []
    for index in chosen:
        if runs and index == runs[-1][-1] + 1:
            runs[-1].append(index)
        else:
            runs.append([index])
    name = [release["version"] for release in releases]
    return tuple(Span(first=name[run[0]], last=name[run[-1]], count=len(run)) for run in runs)


def _failures(releases: Sequence[ReleaseFacts], checks: Sequence[str]) -> list[Failure]:
    """Return what failed, equal words once, in the order of the checks."""
    where: dict[tuple[str, str], list[int]] = {}
    for check in checks:
        for index, release in enumerate(releases):
            cell = release["checks"].get(check)
            if cell and cell["verdict"] == "FAIL":
                where.setdefault((check, cell.get("detail") or ""), []).append(index)
    return [
        Failure(check=check, detail=detail, spans=_spans(releases, chosen)) for (check, detail), chosen in where.items()
    ]


def _lines(releases: Sequence[ReleaseFacts]) -> list[ReleaseLine]:
    """Return the lines, in the order of their first releases."""
    lines: dict[str, list[str]] = {}
    for release in releases:
        lines.setdefault(_line(release), []).append(release["verdict"])
    return [_counted(name, verdicts) for name, verdicts in lines.items()]


def _counted(name: str, verdicts: Sequence[str]) -> ReleaseLine:
    runs = tuple((verdict, len(list(run))) for verdict, run in groupby(verdicts))
    return ReleaseLine(name=name, count=len(verdicts), failed=verdicts.count("failed"), runs=runs)


def _patches(releases: Sequence[ReleaseFacts]) -> list[PatchStates]:
    """Return every patch by name, with the releases of each of its states."""
    where: dict[str, dict[str, list[int]]] = {}
    for index, release in enumerate(releases):
        for patch, state in release["patches"].items():
            where.setdefault(patch, {}).setdefault(state, []).append(index)
    return [_states(patch, by, releases) for patch, by in sorted(where.items())]


def _states(patch: str, where: Mapping[str, Sequence[int]], releases: Sequence[ReleaseFacts]) -> PatchStates:
    spans = tuple((state, _spans(releases, where[state])) for state in STATES if state in where)
    return PatchStates(id=patch, states=spans)


def _patch_sets(releases: Sequence[ReleaseFacts]) -> tuple[list[dict[str, str]], list[tuple[ReleaseFacts, int]]]:
    """Return the few different sets of patch states, and every release with the number of its set."""
    numbers: dict[tuple[tuple[str, str], ...], int] = {}
    numbered = [
        (release, numbers.setdefault(tuple(sorted(release["patches"].items())), len(numbers))) for release in releases
    ]
    return [dict(states) for states in numbers], numbered
