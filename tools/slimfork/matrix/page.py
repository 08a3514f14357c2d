"""The matrix as a page: one HTML file that needs no network, and no JavaScript to show every cell.

The table in the page is the only copy of the data. The script reads it back to fold, sort and filter. A policy in the
page allows that one script, by its hash, and no request at all.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from functools import cache
from itertools import groupby, starmap
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from packaging.version import InvalidVersion, Version

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

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
    failures = _failures(releases, document["checks"])
    sets, numbered = _patch_sets(releases)
    script = "\n".join(map(_text, PAGE_SCRIPTS))
    template = _environment().get_template("page.html.j2")
    return template.render(
        document=document,
        checks=document["checks"],
        kinds=list(_runs(check["kind"] for check in document["checks"])),
        releases=numbered,
        lines=_lines(releases),
        failures=failures[:FAILURES_SHOWN],
        failures_left=max(0, len(failures) - FAILURES_SHOWN),
        patches=_patches(releases),
        patch_sets=sets,
        style=_text("page.css"),
        script=script,
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        marks=MARKS,
        letters=LETTERS,
        line_of=_line,
    )


def _text(name: str) -> str:
    return (HERE / name).read_text(encoding="utf-8")


def _runs(values: Iterable[str]) -> Iterator[tuple[str, int]]:
    """Yield each value, and how often it follows itself."""
    for value, run in groupby(values):
        yield value, len(list(run))


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
    spans: list[Span] = []
    for run in runs:
        first, last = releases[run[0]], releases[run[-1]]
        spans.append(Span(first=first["version"], last=last["version"], count=len(run)))
    return tuple(spans)


def _failures(releases: Sequence[ReleaseFacts], checks: Sequence[Mapping[str, str]]) -> list[Failure]:
    """Return what failed, equal words once, in the order of the checks."""
    where: dict[tuple[str, str], list[int]] = {}
    for check in checks:
        for index, release in enumerate(releases):
            cell = release["checks"].get(check["id"])
            if cell and cell["verdict"] == "FAIL":
                where.setdefault((check["id"], cell.get("detail") or ""), []).append(index)
    failures = []
    for (name, detail), chosen in where.items():
        failures.append(Failure(check=name, detail=detail, spans=_spans(releases, chosen)))
    return failures


def _lines(releases: Sequence[ReleaseFacts]) -> list[ReleaseLine]:
    """Return the lines, in the order of their first releases."""
    lines: dict[str, list[str]] = {}
    for release in releases:
        lines.setdefault(_line(release), []).append(release["verdict"])
    return list(starmap(_counted, lines.items()))


def _counted(name: str, verdicts: Sequence[str]) -> ReleaseLine:
    return ReleaseLine(name=name, count=len(verdicts), failed=verdicts.count("failed"), runs=tuple(_runs(verdicts)))


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
    numbered: list[tuple[ReleaseFacts, int]] = []
    for release in releases:
        states = tuple(sorted(release["patches"].items()))
        numbered.append((release, numbers.setdefault(states, len(numbers))))
    return [dict(states) for states in numbers], numbered
