"""What the commits of a fork say: its import, our commits by their trailers, and the user's own."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import filterfalse
from typing import TYPE_CHECKING

from slimfork.forks.overlay import digest, read_manifest
from slimfork.git import commits
from slimfork.terminal.errors import UsageError
from slimfork.terminal.naming import spec_of
from slimfork.terminal.words import typed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from slimfork.git.gitout import LoggedCommit
    from slimfork.git.repo import Repository

RELEASE = re.compile(
    r"(?P<upstream>[\w.-]+)(?:==|@)(?P<version>\S+) "
    r"(?:sha256=(?P<sha256>[0-9a-f]{64})|commit=(?P<commit>[0-9a-f]{40})|unpinned)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PristineImport:
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

    imported: PristineImport | None
    base: str | None
    commits: tuple[LoggedCommit, ...]

    @property
    def patches(self) -> dict[str, str]:
        """Patch id to the commit that applied it last, without those that were taken out since."""
        commit_of: dict[str, str] = {}
        for commit in self.commits:
            marks = _marks(commit)
            for patch in marks.get(commits.NO_PATCH, ()):
                commit_of.pop(patch, None)
            commit_of.update(dict.fromkeys(marks.get(commits.PATCH, ()), commit.sha))
        return commit_of

    @property
    def taken_out(self) -> frozenset[str]:
        """The ids of the patches that `revert` took out and that were not put back since."""
        out, before = frozenset[str](), frozenset[str]()
        for marks in map(_marks, self.commits):
            if commits.UPGRADED in marks and self.imported is None:
                out = before  # it stands on a commit that takes all out for a moment
            if commits.NO_PATCH in marks:
                before, out = out, out.union(marks[commits.NO_PATCH])
            out = out.difference(marks.get(commits.PATCH, ()))
        return out

    @property
    def overlays(self) -> tuple[LoggedCommit, ...]:
        """The commits of the overlay since it was last taken out, oldest first."""
        standing: list[LoggedCommit] = []
        for commit in self.commits:
            marks = _marks(commit)
            if commits.NO_OVERLAY in marks:
                standing = []
            if commits.OVERLAY_ID in marks:
                standing.append(commit)
        return tuple(standing)

    @property
    def had_overlay(self) -> bool:
        """Whether the overlay is there or has been there."""
        return any(commits.OVERLAY_ID in marks or commits.NO_OVERLAY in marks for marks in map(_marks, self.commits))

    @property
    def choices(self) -> frozenset[str]:
        """What was left out on purpose: ids of patches, and `commits.COMPAT` for all compatibility patches."""
        stated: tuple[str, ...] = ()
        for marks in map(_marks, self.commits):
            if commits.OVERLAY_ID in marks or commits.LEFT_OUT in marks:  # the newest of them has the last word
                stated = marks.get(commits.LEFT_OUT, ())
        return frozenset(stated) - {commits.NOTHING}

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
        return tuple(filterfalse(_is_ours, self.commits))

    def release_trailer(self, upstream: str, version: str) -> str | None:
        """Return the newest trailer that names a release, or None."""
        start = f"{spec_of(upstream, version)} "
        newest: str | None = None
        for commit in filter(_is_ours, self.commits):
            for value in _marks(commit).get(commits.UPSTREAM, ()):
                if value.startswith(start):
                    newest = value
        if newest or self.imported is None or self.imported.version != version:
            return newest
        return commits.upstream_trailer(upstream, version, self.imported.sha256 or self.imported.commit)

    @property
    def named(self) -> tuple[str, str] | None:
        """Upstream and version that the newest of our commits names, or None."""
        for commit in filter(_is_ours, reversed(self.commits)):
            for value in _marks(commit).get(commits.UPSTREAM, ()):
                if match := RELEASE.fullmatch(value):
                    return match["upstream"], match["version"]
        return (self.imported.upstream, self.imported.version) if self.imported else None


def read_history(repository: Repository, head: str) -> History:
    """Read the history of a fork from its trailers."""
    marked = _marked(repository, head)
    imported = next(filter(None, map(_import, marked)), None)
    ours = list(filter(_is_ours, marked))
    first = imported.sha if imported else _before(ours[-1]) if ours else None
    since = repository.log(head, f"^{first}", *(f"^{old}" for old in _left_behind(marked))) if first else []
    base = imported.sha if imported else _base(ours[::-1])
    return History(imported=imported, base=base, commits=tuple(reversed(since)))


def read_imports(repository: Repository, head: str) -> list[PristineImport]:
    """Return all imports in a history, newest first: a fork that moved to another release stands on the newest."""
    return list(filter(None, map(_import, _marked(repository, head))))


def _marked(repository: Repository, head: str) -> list[LoggedCommit]:
    return repository.log(head, grep=f"^({'|'.join(commits.ANY)}): ")


def _left_behind(marked: Iterable[LoggedCommit]) -> Iterator[str]:
    """Yield the commits that upgrades have moved away from: they are the past of the fork, and no part of it."""
    for commit in marked:
        if commits.UPGRADED in commits.trailers(commit.message):
            yield from commit.parents[1:]


def _base(ours: Sequence[LoggedCommit]) -> str | None:
    """Return the commit before the first of ours, oldest first, since all was last taken out, or moved elsewhere."""
    base: str | None = None
    there: set[str] = set()
    for commit in ours:
        marks = _marks(commit)
        if commits.UPGRADED in marks:  # what it stands on since; a fork with an import is told by that
            base, there = commit.sha, {commits.UPGRADED}
        elif not there:
            base = _before(commit)
        there |= {*marks.get(commits.PATCH, ()), *marks.get(commits.OVERLAY_ID, ())}
        there -= {*marks.get(commits.NO_PATCH, ()), *marks.get(commits.NO_OVERLAY, ())}
    return base


def _marks(commit: LoggedCommit) -> dict[str, tuple[str, ...]]:
    """Return our trailers in a commit's message, key to values."""
    return commits.trailers(commit.message)


def _is_ours(commit: LoggedCommit) -> bool:
    return not _marks(commit).keys().isdisjoint(commits.OURS)


def _before(first: LoggedCommit) -> str | None:
    """Return the commit that stood before our patches: the first of ours itself, if it took edits by hand out."""
    if commits.REPLACED in _marks(first):
        return first.sha
    return next(iter(first.parents), None)


def _import(commit: LoggedCommit) -> PristineImport | None:
    """Return what a commit imports, or None: a user's line may look like our trailer, but not its author."""
    match = RELEASE.fullmatch(_marks(commit).get(commits.UPSTREAM, ("",))[0])
    if match is None or _is_ours(commit) or commit.author != commits.MAIL:
        return None
    return PristineImport(
        sha=commit.sha,
        upstream=match["upstream"],
        version=match["version"],
        sha256=match["sha256"] or "",
        commit=match["commit"] or "",
    )


def overlay_base(repository: Repository, tree: Mapping[str, bytes], history: History, manifest: str) -> dict[str, str]:
    """Return what of the overlay is ours and how we left it: path to SHA-256 of the content.

    The manifest in the tree tells. A fork that was made before there was one is told by its commits of the overlay, but
    only by those that are as we wrote them: what came in with an amended one may be the user's.

    Args:
        repository: Where the fork lies.
        tree: Its files.
        history: Its commits.
        manifest: Path of the manifest.

    Raises:
        UsageError: The manifest is damaged.
    """
    if manifest in tree:
        try:
            return read_manifest(tree[manifest]) | {manifest: digest(tree[manifest])}
        except ValueError as error:
            hint = f"git -C {typed(repository.root)} checkout COMMIT -- {manifest}, with one in which it is whole"
            raise UsageError(f"{manifest} does not say which files are ours: {error}", hint=hint) from None
    files: dict[str, str] = {}
    for commit in history.overlays:
        if commit.author == commit.committer == commits.MAIL:
            for change in repository.changes(commit.parents[0], commit.sha):
                files.pop(change.path, None)
                if change.new:
                    files[change.path] = digest(repository.blob(change.new.blob))
    return files
