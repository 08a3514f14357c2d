"""A matrix as tables for a terminal and as Markdown: runs of releases with equal verdicts are one row. Pure."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.text import Text

from slimfork.terminal.naming import is_tag
from slimfork.terminal.ui import Table

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from slimfork.matrix.matrix import ReleaseFacts

SYMBOLS = {"pass": "✓", "FAIL": "✗", "not run": "–"}
STYLES = {
    "pass": "green",
    "FAIL": "bold red",
    "not run": "yellow",
    "green": "green",
    "reasoned": "cyan",
    "failed": "bold red",
}
HEADING = "# Version matrix of "
KIND_TITLES = {"static": "Static: patched, compiled and imported", "dynamic": "Dynamic: trained, pruned and exported"}
DETAIL_LENGTH = 90


@dataclass(frozen=True, slots=True)
class ReleaseRun:
    """Neighbouring releases with equal verdicts in every cell."""

    releases: tuple[ReleaseFacts, ...]

    @property
    def name(self) -> str:
        """The first and the last release."""
        first, last = self.releases[0]["version"], self.releases[-1]["version"]
        name = str(first) if first == last else f"{first} – {last}"
        return name if self.releases[0]["pinned"] else f"{name} (unpinned)"

    @property
    def detail(self) -> str:
        """What is to be said: the reason, else what failed first."""
        release = self.releases[0]
        for name, cell in release["checks"].items():
            if cell["verdict"] == "FAIL":
                return f"{name}: {cell['detail']}"
        return str(release["reason"] or "")

    @property
    def seconds(self) -> float:
        """Seconds that the checks took."""
        return float(sum(cell["seconds"] for release in self.releases for cell in release["checks"].values()))

    def verdicts(self, columns: Sequence[str]) -> Iterator[str]:
        """Yield the verdict of each of some checks, empty where it was not asked for."""
        checks = self.releases[0]["checks"]
        for name in columns:
            yield checks.get(name, {}).get("verdict", "")


def fold(releases: Sequence[ReleaseFacts], columns: Sequence[str]) -> list[ReleaseRun]:
    """Return the runs of releases that have any of these checks, or a reason why they never will."""
    runs: list[list[ReleaseFacts]] = []
    last: object = None
    for release in releases:
        cells = _asked(release, columns)
        if not cells and not release["reason"]:
            last = None  # a release that was not asked for parts its neighbours
            continue
        facts = _facts(release, cells)
        if facts != last:
            runs.append([])
        runs[-1].append({**release, "checks": cells})
        last = facts
    return [ReleaseRun(tuple(run)) for run in runs]


def _asked(release: ReleaseFacts, columns: Sequence[str]) -> dict[str, Any]:
    """Return what came of the checks of a release that are among some columns, in their order."""
    return {name: release["checks"][name] for name in columns if name in release["checks"]}


def _facts(release: ReleaseFacts, cells: Mapping[str, Any]) -> tuple[object, ...]:
    """Return what neighbouring releases must have in common to be one row."""
    verdicts: dict[str, tuple[str, object]] = {}
    for name, cell in cells.items():
        failed = cell["verdict"] == "FAIL"
        verdicts[name] = (cell["verdict"], failed and cell["detail"])
    return release["verdict"], release["reason"], release["pinned"], is_tag(release["version"]), verdicts


def kinds(document: Mapping[str, Any]) -> list[tuple[str, list[str]]]:
    """Return the kinds of checks that were asked for, each with its checks."""
    ids: defaultdict[str, list[str]] = defaultdict(list)
    for check in document["checks"]:
        ids[check["kind"]].append(check["id"])
    return [(kind, ids[kind]) for kind in KIND_TITLES if kind in ids]


def runs_of(document: Mapping[str, Any], kind: str, columns: Sequence[str]) -> list[ReleaseRun]:
    """Return the rows of one kind of checks; nothing of a release with a reason is trained."""
    folded = fold(document["releases"], columns)
    return folded if kind == "static" else [run for run in folded if run.releases[0]["checks"]]


def tables(document: Mapping[str, Any]) -> list[Table]:
    """Return one table for each kind of checks."""
    made = []
    for kind, columns in kinds(document):
        table = Table(
            "releases", "", "verdict", *columns, "seconds", "detail", title=KIND_TITLES[kind], title_justify="left"
        )
        for run in runs_of(document, kind, columns):
            verdict = run.releases[0]["verdict"]
            table.add_row(
                run.name,
                str(len(run.releases)),
                _styled(verdict, verdict),
                *map(_mark, run.verdicts(columns)),
                f"{run.seconds:.0f}",
                Text(run.detail[:DETAIL_LENGTH]),
            )
        made.append(table)
    return made


def _styled(text: str, verdict: str) -> Text:
    """Return a text in the colour of a verdict."""
    return Text(text, STYLES.get(verdict, ""))


def _symbol(verdict: str) -> str:
    return SYMBOLS.get(verdict, "")


def _mark(verdict: str) -> Text:
    return _styled(_symbol(verdict), verdict)


def summary(document: Mapping[str, Any]) -> str:
    """Return the counts in one line."""
    counts = document["summary"]
    words = [f"{count} {name}" for name, count in counts.items() if name != "releases" and count]
    number = counts["releases"]
    return f"{number} release{'' if number == 1 else 's'} of {document['upstream']}: {', '.join(words)}"


def markdown(document: Mapping[str, Any], lines: Mapping[str, str]) -> str:
    """Return the matrix as Markdown.

    Args:
        document: The matrix.
        lines: Version of each representative release to what it stands for.
    """
    made = document["made"]
    packages = ", ".join(f"{name} {version}" for name, version in made["packages"].items())
    text = [
        f"{HEADING}{document['upstream']}\n",
        f"Made by `{made['command']}` ({made['by']}, {made['at'][:10]}, Python {made['python']}, {packages}).\n",
        f"**{summary(document)}.** ✓ passed · ✗ failed · – not run, since a check that it needs failed.\n",
    ]
    for kind, columns in kinds(document):
        text.append(f"## {KIND_TITLES[kind]}\n")
        text.append("| " + " | ".join(["releases", "", "verdict", *columns, "", ""]) + " |")
        text.append("| --- " * (len(columns) + 5) + "|")
        for run in runs_of(document, kind, columns):
            text.append(_line(run, columns, lines if kind == "dynamic" else {}))
        text.append("")
        for check in document["checks"]:
            if check["kind"] == kind:
                text.append(f"- **{check['id']}**: {check['title']}")
        text.append("")
    return "\n".join(text)


def put_in(text: str, section: str) -> str:
    """Return a Markdown file with the matrix of one upstream in it, in place of the one it had; others stay."""
    title = section.partition("\n")[0]
    parts: list[str] = []
    for part in filter(str.strip, re.split(rf"(?m)^(?={HEADING})", text)):
        same = part.partition("\n")[0] == title
        parts.append(section if same else part)
    if section not in parts:
        parts.append(section)
    return "\n".join(part.rstrip("\n") + "\n" for part in parts)


def _line(run: ReleaseRun, columns: Sequence[str], lines: Mapping[str, str]) -> str:
    release = run.releases[0]
    detail = " ".join((run.detail or lines.get(release["version"], "")).replace("|", "/").split())
    count = f"{len(run.releases)}" if len(run.releases) > 1 else ""
    seconds = f"{run.seconds:.0f} s" if lines else ""
    cells = [run.name, count, release["verdict"], *map(_symbol, run.verdicts(columns)), seconds, detail]
    return "| " + " | ".join(cells) + " |"
