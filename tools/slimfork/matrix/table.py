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
    from collections.abc import Mapping, Sequence

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
        failed = [f"{name}: {cell['detail']}" for name, cell in release["checks"].items() if cell["verdict"] == "FAIL"]
        return str(failed[0] if failed else release["reason"] or "")

    @property
    def seconds(self) -> float:
        """Seconds that the checks took."""
        return float(sum(cell["seconds"] for release in self.releases for cell in release["checks"].values()))


def fold(releases: Sequence[ReleaseFacts], columns: Sequence[str]) -> list[ReleaseRun]:
    """Return the runs of releases that have any of these checks, or a reason why they never will."""
    runs: list[list[ReleaseFacts]] = []
    last: object = None
    for release in releases:
        cells = {name: release["checks"][name] for name in columns if name in release["checks"]}
        if not cells and not release["reason"]:
            last = None  # a release that was not asked for parts its neighbours
            continue
        facts = [*(release[key] for key in ("verdict", "reason", "pinned")), is_tag(release["version"])]
        verdicts = {
            name: (cell["verdict"], cell["verdict"] == "FAIL" and cell["detail"]) for name, cell in cells.items()
        }
        if (facts, verdicts) == last:
            runs[-1].append({**release, "checks": cells})
        else:
            runs.append([{**release, "checks": cells}])
        last = (facts, verdicts)
    return [ReleaseRun(tuple(run)) for run in runs]


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
            release = run.releases[0]
            cells = [release["checks"].get(name, {}).get("verdict", "") for name in columns]
            marks = [Text(SYMBOLS.get(cell, ""), STYLES.get(cell, "")) for cell in cells]
            verdict = Text(release["verdict"], STYLES.get(release["verdict"], ""))
            table.add_row(
                run.name,
                str(len(run.releases)),
                verdict,
                *marks,
                f"{run.seconds:.0f}",
                Text(run.detail[:DETAIL_LENGTH]),
            )
        made.append(table)
    return made


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
    titles = {check["id"]: check["title"] for check in document["checks"]}
    for kind, columns in kinds(document):
        text.append(f"## {KIND_TITLES[kind]}\n")
        text.append("| " + " | ".join(["releases", "", "verdict", *columns, "", ""]) + " |")
        text.append("| --- " * (len(columns) + 5) + "|")
        text += [_line(run, columns, lines if kind == "dynamic" else {}) for run in runs_of(document, kind, columns)]
        text.append("\n" + "\n".join(f"- **{name}**: {titles[name]}" for name in columns) + "\n")
    return "\n".join(text)


def put_in(text: str, section: str) -> str:
    """Return a Markdown file with the matrix of one upstream in it, in place of the one it had; others stay."""
    title = section.partition("\n")[0]
    parts = [part for part in re.split(rf"(?m)^(?={HEADING})", text) if part.strip()]
    had = [part.partition("\n")[0] == title for part in parts]
    parts = [section if same else part for part, same in zip(parts, had, strict=True)]
    return "\n".join(part.rstrip("\n") + "\n" for part in (parts if any(had) else [*parts, section]))


def _line(run: ReleaseRun, columns: Sequence[str], lines: Mapping[str, str]) -> str:
    release = run.releases[0]
    marks = [SYMBOLS.get(release["checks"].get(name, {}).get("verdict", ""), "") for name in columns]
    detail = " ".join((run.detail or lines.get(release["version"], "")).replace("|", "/").split())
    count = f"{len(run.releases)}" if len(run.releases) > 1 else ""
    seconds = f"{run.seconds:.0f} s" if lines else ""
    return "| " + " | ".join([run.name, count, release["verdict"], *marks, seconds, detail]) + " |"
