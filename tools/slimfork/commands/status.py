"""`apply-patches status PATH`: which patches are in a fork, what the user added, and what is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
from rich.text import Text

from slimfork.codemods.patch import known_as, load_series
from slimfork.forks import handwork
from slimfork.forks.fork import Fork, read_fork, refuse_unpinned
from slimfork.git.guards import UPGRADE
from slimfork.git.recovery import heal
from slimfork.git.repo import open_repository
from slimfork.series import tell_proof
from slimfork.series.proving import prove
from slimfork.terminal import ui
from slimfork.terminal.errors import CheckFailed
from slimfork.terminal.paths import PATH
from slimfork.terminal.ui import Table
from slimfork.terminal.words import one_line, typed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from slimfork.codemods.patch_plan import Step
    from slimfork.git.repo import Repository

LISTED_LINES = 10
STATE_COLOURS = {"applied": "green", "pending": "yellow", "upstreamed": "cyan", "broken": "red"}


@click.command()
@click.argument("path", type=PATH)
@click.option("--verify-tree", is_flag=True, help="Make import, patches and overlay anew, and compare every file.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def command(path: Path, verify_tree: bool, as_json: bool) -> None:
    """Show the patches of the fork at PATH; exit with 1 if something is pending or broken, or not as its lock."""
    with open_repository(path) as repository:
        heal(repository)
        if upgrading := (repository.git_dir / UPGRADE).exists():
            ui.note(f"note: an upgrade is under way: apply-patches upgrade {typed(path)} --continue, --skip or --abort")
        fork = read_fork(repository)
        facts = {**describe(repository, fork, path), "upgrading": upgrading}
        proof = prove(fork, path) if verify_tree else None
    if proof:
        facts["proof"] = tell_proof.facts(proof)
    ui.result_json(facts) if as_json else show(facts)
    if proof and not as_json:
        tell_proof.show(proof)
    if not facts["complete"]:
        lacks = ", ".join(_lacks(fork, facts))
        raise CheckFailed(f"{path} is not complete ({lacks})", hint=next_command(fork, path))
    if proof and not proof.exact:
        raise CheckFailed(f"{path} is not exactly its lock", hint=tell_proof.hint(proof, path))


def _lacks(fork: Fork, facts: dict[str, Any]) -> Iterator[str]:
    """Yield what a fork lacks that is not complete."""
    states = [patch["state"] for patch in facts["patches"]]
    for state in ("pending", "broken"):
        if state in states:
            yield f"patches: {states.count(state)} {state}"
    if facts["handmade"]:
        yield f"handmade: {len(facts['handmade'])}"
    if fork.overlay.changes or fork.foreign:
        yield f"overlay: {fork.overlay.state}"


def next_command(fork: Fork, path: Path) -> str:
    """Return what to type when a fork is not complete."""
    command = f"apply-patches apply {typed(path)}" + (" --replace-handmade" if fork.handwork.findings else "")
    return f"take out by hand what is of no documented form, then {command}" if fork.handwork.refused else command


def describe(repository: Repository, fork: Fork, path: Path) -> dict[str, Any]:
    """Return the state of a fork as plain data."""
    history, overlay = fork.history, fork.overlay
    tag = f"upstream/{fork.release.version}"
    return {
        "path": str(path),
        "upstream": fork.release.upstream,
        "version": fork.release.version,
        "unpinned": refuse_unpinned(fork.release, "", allowed=True),
        "import": history.imported.sha if history.imported else None,
        "sha256": history.imported.sha256 or None if history.imported else None,
        "upstream_commit": history.imported.commit or None if history.imported else None,
        "found": fork.release.found or None,
        "tag": tag if repository.resolve(f"refs/tags/{tag}") else None,
        "branch": (repository.branch() or "").removeprefix("refs/heads/") or None,
        "head": fork.head,
        "dirty": repository.dirty(),
        "complete": fork.complete,
        "patches": [_patch(step, fork) for step in fork.plan.steps],
        "overlay": {
            "state": overlay.state,
            "commit": history.overlays[-1].sha if history.overlays else None,
            "files": dict(sorted(overlay.states.items())),
        },
        "handmade": handwork.facts(fork.handwork),
        "own": [{"sha": c.sha, "subject": c.subject} for c in history.own],
    }


def _patch(step: Step, fork: Fork) -> dict[str, Any]:
    version = known_as(load_series(fork.release.upstream), fork.release.version)
    return {
        "id": step.patch.id,
        "title": step.patch.title,
        "state": step.state,
        "reason": step.reason,
        "former": step.former,
        "problems": list(step.problems),
        "commit": fork.history.patches.get(step.patch.id) if step.state == "applied" else None,
        "files": sorted({edit.file for edit in step.patch.edits(version)}),
    }


def show(facts: dict[str, Any]) -> None:
    """Print the state for a person."""
    origin = f"import {facts['import'][:10]}" if facts["import"] else "a checkout with a history of its own"
    tag = f", tag {facts['tag']}" if facts["tag"] else ""
    name = f"{facts['upstream']} {facts['version']}{' (unpinned)' if facts['unpinned'] else ''}"
    ui.result(f"{facts['path']}: {name} on {facts['branch'] or 'no branch'} ({origin}{tag})")
    table = Table("patch", "state", "commit", "files", "what it does", box=None, pad_edge=False)
    for patch in facts["patches"]:
        if patch["state"] == "excluded":
            continue
        state = Text(patch["state"], STATE_COLOURS[patch["state"]])
        title = f"{patch['title']} ({patch['reason']})" if patch["former"] else patch["title"]
        table.add_row(patch["id"], state, (patch["commit"] or "-")[:10], "\n".join(patch["files"]), title)
    if facts["found"]:
        ui.result(f"it is {facts['upstream']} {facts['version']}, since {facts['found']}")
    ui.result_table(table)
    _show_excluded(facts["patches"])
    _show_overlay(facts["overlay"])
    _show_list("your own commits", [f"{c['sha'][:10]}  {c['subject']}" for c in facts["own"]])
    _show_list("handmade", list(map(_by_hand, facts["handmade"])))
    _show_list("not committed", facts["dirty"])
    for patch in facts["patches"]:
        for problem in patch["problems"]:
            ui.result(f"\n{problem}")


def _show_excluded(patches: list[dict[str, Any]]) -> None:
    """Print what has no part in this fork, a line for each reason."""
    excluded: dict[str, list[str]] = {}
    for patch in patches:
        if patch["state"] == "excluded":
            excluded.setdefault(patch["reason"], []).append(patch["id"])
    for reason, ids in excluded.items():
        ui.result(f"{reason}: {', '.join(ids)}")


def _by_hand(one: dict[str, Any]) -> str:
    why = f"; take it out by hand: {one['refusal']}" if one["refusal"] else ""
    return f"{one['path']}:{one['line']}  {one['what']}{why}"


def _show_overlay(overlay: dict[str, Any]) -> None:
    files = overlay["files"]
    commit = f", commit {overlay['commit'][:10]}" if overlay["commit"] else ""
    ui.result(f"overlay: {overlay['state']} ({len(files)} files{commit})")
    for path, state in files.items():
        if state != "present" and overlay["state"] != "missing":
            ui.result(f"  {state}  {path}")


def _show_list(title: str, lines: list[str]) -> None:
    if lines:
        ui.result(f"{title}: {len(lines)}")
        for line in lines[:LISTED_LINES]:
            ui.result(f"  {one_line(line)}")
        if len(lines) > LISTED_LINES:
            ui.result(f"  and {len(lines) - LISTED_LINES} more")
