"""What the commits of a fork say: its import, our commits by their trailers, and the user's own."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from slimfork import commits
from slimfork.naming import spec_of

if TYPE_CHECKING:
    from slimfork.gitout import Entry, LoggedCommit
    from slimfork.repo import Repository

RELEASE = re.compile(
    r"(?P<upstream>[\w.-]+)(?:==|@)(?P<version>\S+) "
    r"(?:sha256=(?P<sha256>[0-9a-f]{64})|commit=(?P<commit>[0-9a-f]{40})|unpinned)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Import:
    """The pristine import that a fork stands on; of what it imports, `sha256` or `commit`, or neither."""

    sha: str
    upstream: str
    version: str
    sha256: str
    commit: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """The commits of a fork since its import, or since the first of ours in a checkout with a past of its own.

    Attributes:
        imported: The import; None in a checkout that was not vendored.
        base: The commit before everything of ours; None when nothing of ours is there.
        commits: The commits after `base`, oldest first.
    """

    imported: Import | None
    base: str | None
    commits: tuple[LoggedCommit, ...]

    @property
    def patches(self) -> dict[str, str]:
        """Patch id to the commit that applied it last, without those that were taken out since."""
        found: dict[str, str] = {}
        for commit in self.commits:
            marks = commits.trailers(commit.message)
            for patch in marks.get(commits.NO_PATCH, ()):
                found.pop(patch, None)
            found.update(dict.fromkeys(marks.get(commits.PATCH, ()), commit.sha))
        return found

    @property
    def overlays(self) -> tuple[LoggedCommit, ...]:
        """The commits of the overlay since it was last taken out, oldest first."""
        found: list[LoggedCommit] = []
        for commit in self.commits:
            marks = commits.trailers(commit.message)
            if commits.NO_OVERLAY in marks:
                found = []
            if commits.OVERLAY_ID in marks:
                found.append(commit)
        return tuple(found)

    @property
    def choices(self) -> frozenset[str]:
        """What was left out on purpose: ids of patches, and `commits.COMPAT` for all compatibility patches."""
        marks = [commits.trailers(c.message) for c in self.commits]
        stated = [m for m in marks if commits.OVERLAY_ID in m or commits.LEFT_OUT in m]
        return frozenset(stated[-1].get(commits.LEFT_OUT, ()) if stated else ()) - {commits.NOTHING}

    @property
    def left_out(self) -> bool:
        """Whether the compatibility patches were left out on purpose."""
        return commits.COMPAT in self.choices

    @property
    def skipped(self) -> frozenset[str]:
        """The ids of the patches that were left out one by one."""
        return self.choices - {commits.COMPAT}

    @property
    def own(self) -> tuple[LoggedCommit, ...]:
        """The user's own commits, oldest first."""
        return tuple(c for c in self.commits if not any(key in commits.trailers(c.message) for key in commits.ANY))

    def release_trailer(self, upstream: str, version: str) -> str | None:
        """Return the newest trailer that names a release, or None."""
        named = [v for c in self.commits for v in commits.trailers(c.message).get(commits.UPSTREAM, ())]
        named = [v for v in named if v.startswith(f"{spec_of(upstream, version)} ")]
        if named or self.imported is None or self.imported.version != version:
            return named[-1] if named else None
        return commits.upstream_trailer(upstream, version, self.imported.sha256 or self.imported.commit)

    @property
    def named(self) -> tuple[str, str] | None:
        """Upstream and version that the newest of our commits names, or None."""
        for commit in reversed(self.commits):
            for value in commits.trailers(commit.message).get(commits.UPSTREAM, ()):
                if found := RELEASE.fullmatch(value):
                    return found["upstream"], found["version"]
        return (self.imported.upstream, self.imported.version) if self.imported else None


def read_history(repository: Repository, head: str) -> History:
    """Read the history of a fork from its trailers."""
    marked = repository.log(head, grep=f"^({'|'.join(commits.ANY)}): ")
    imported = next(filter(None, map(_import, marked)), None)
    ours = [c for c in marked if any(key in commits.trailers(c.message) for key in commits.OURS)]
    base = imported.sha if imported else _before(ours[-1]) if ours else None
    since = repository.log(head, f"^{base}") if base else []
    return History(imported=imported, base=base, commits=tuple(reversed(since)))


def _before(first: LoggedCommit) -> str | None:
    """Return the commit that stood before our patches: the first of ours itself, if it took edits by hand out."""
    if commits.REPLACED in commits.trailers(first.message):
        return first.sha
    return next(iter(first.parents), None)


def _import(commit: LoggedCommit) -> Import | None:
    marks = commits.trailers(commit.message)
    found = RELEASE.fullmatch(marks.get(commits.UPSTREAM, ("",))[0])
    if found is None or any(key in marks for key in commits.OURS):
        return None
    return Import(
        sha=commit.sha,
        upstream=found["upstream"],
        version=found["version"],
        sha256=found["sha256"] or "",
        commit=found["commit"] or "",
    )


def overlay_base(repository: Repository, history: History, folder: str) -> dict[str, Entry]:
    """Return the overlay's files as our commits left them: path to entry."""
    files: dict[str, Entry] = {}
    for commit in history.overlays:
        squashed = commits.PATCH in commits.trailers(commit.message)
        for change in repository.changes(commit.parents[0], commit.sha):
            if squashed and not change.path.startswith(f"{folder}/"):
                continue  # a patched file, in a commit that the user has put together from several of ours
            if change.new:
                files[change.path] = change.new
            else:
                files.pop(change.path, None)
    return files
