"""What an upgrade does to each commit of the user's, as plain data and for a person."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from slimfork.terminal import ui
from slimfork.terminal.words import one_line, typed
from slimfork.upgrade.authorship import Authorship, authorship

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from slimfork.git.repo import Repository
    from slimfork.series.raw_commits import RawCommit
    from slimfork.upgrade.replay import Replay, Stop
    from slimfork.upgrade.state import Waiting
    from slimfork.upgrade.three_way import Clash

FOLDER_MOVED = "directory rename suggested"  # git's words
FATES = {
    "kept": "",
    "dropped": "the release has it: dropped",
    "skipped": "left out",
    "conflict": "does not fit:",
    "waits": "comes after that",
}


def facts(path: Path, repository: Repository, waiting: Waiting, replay: Replay, *, dry_run: bool) -> dict[str, Any]:
    """Return what was done, or would be, as plain data.

    Args:
        path: The fork.
        repository: Where the new commits are.
        waiting: The upgrade.
        replay: What has become of each commit.
        dry_run: Whether nothing was written.
    """
    stops = {stop.raw.sha: stop for stop in replay.stops}
    causes = Causes(repository, waiting, replay.moved.guesses, here=not dry_run)
    return {
        "path": str(path),
        "upstream": waiting.upstream,
        "from": waiting.was,
        "version": waiting.version,
        "branch": waiting.branch.removeprefix("refs/heads/"),
        "whole": waiting.whole,
        "dry_run": dry_run,
        "before": waiting.old,
        "head": waiting.tip if waiting.tip and not dry_run else waiting.old,
        "import": waiting.imported,
        "conflict": bool(stops),
        "commits": [_commit(raw, waiting, replay, stops, causes) for raw in own_commits(replay, waiting.left)],
    }


def own_commits(replay: Replay, imported: str) -> Iterator[RawCommit]:
    """Yield the commits that stand on the old import and hold something of the user's, oldest first."""
    standing = {imported}
    for sha, raw in replay.raws.items():
        if standing.isdisjoint(raw.parents) or sha in standing:
            continue
        standing.add(sha)
        whose = authorship(raw)
        nothing_left = replay.became.get(sha) == replay.onto(raw) and sha not in replay.dropped
        if sha == replay.whole or whose is Authorship.USERS or (whose is Authorship.BOTH and not nothing_left):
            yield raw


def _commit(raw: RawCommit, waiting: Waiting, replay: Replay, stops: dict[str, Stop], causes: Causes) -> dict[str, Any]:
    stop = stops.get(raw.sha)
    fate = "kept" if raw.sha in replay.became else "waits"
    fate = "dropped" if raw.sha in replay.dropped else "skipped" if raw.sha in waiting.skipped else fate
    return {
        "sha": raw.sha,
        "new": replay.became[raw.sha] if fate == "kept" and not stop else None,
        "subject": raw.subject,
        "fate": "conflict" if stop else fate,
        "clashes": [
            {"path": clash.path, "kind": clash.kind, "why": causes.of(clash)}
            for clash in (stop.clashes if stop else ())
        ],
    }


class Causes:
    """Who has changed a file on the other side of a conflict.

    Args:
        repository: Where the new commits are.
        waiting: The upgrade.
        guesses: Path of a file that is gone to what is most like it.
        here: Whether they are in the user's repository, so that git can show what is different.
    """

    def __init__(self, repository: Repository, waiting: Waiting, guesses: Mapping[str, str], *, here: bool) -> None:
        self._version = waiting.version
        self._release = {change.path: change for change in repository.changes(waiting.left, waiting.imported)}
        self._ours = {change.path for change in repository.changes(waiting.imported, waiting.base)}
        self._guesses = guesses
        self._diff = f": git diff {waiting.left[:10]} {waiting.imported[:10]} --" if here else ""

    def of(self, clash: Clash) -> str:
        """Return in words what a commit meets in a file."""
        path = clash.path
        if clash.kind == FOLDER_MOVED:
            return f"{self._version} has moved the folder in which your commit adds it"
        change = self._release.get(path)
        if change is None:
            return "slimfork changes it, too" if path in self._ours else "an earlier commit of yours changes it, too"
        if change.new is None:
            like = self._guesses.get(path)
            return f"{self._version} does not have it any more" + (f"; most like it is {like}" if like else "")
        if change.old is None:
            return f"{self._version} brings one of that name"
        return f"{self._version} changes it, too" + (f"{self._diff} {typed(path)}" if self._diff else "")


def show(result: dict[str, Any]) -> None:
    """Print the result for a person."""
    verb = "would move" if result["dry_run"] else "stops on the way" if result["conflict"] else "moved"
    count = len(result["commits"])
    own = f"{count} commit{'' if count == 1 else 's'} of your own"
    own = "what the releases differ in is merged" if result["whole"] else own
    ui.result(f"{result['path']}: {result['upstream']}, {verb} from {result['from']} to {result['version']}, {own}")
    for commit in result["commits"]:
        word = FATES[commit["fate"]]
        new = (commit["new"] or "-")[:10]
        ui.result(f"  {commit['sha'][:10]} {new:<10}  {one_line(commit['subject'])}{f'  ({word})' if word else ''}")
        for clash in commit["clashes"]:
            ui.result(f"{'':25}{one_line(clash['path'])} ({clash['kind']}): {clash['why']}")
