"""The write-ups' edits that somebody made by hand in a fork: looked for in git, told, and taken out by a commit."""

from __future__ import annotations

import os
from collections import ChainMap
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from slimfork.forks.identity import pin_of
from slimfork.git import commits
from slimfork.handmade.handmade import find, has_shape, without
from slimfork.releases.archive import contents_of
from slimfork.releases.fetch import is_cached, release_files
from slimfork.terminal import ui
from slimfork.terminal.errors import ConflictError, SlimforkError
from slimfork.terminal.words import typed

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, MutableMapping, Sequence
    from pathlib import Path

    from slimfork.codemods.patch import Patch
    from slimfork.forks.detect import Release
    from slimfork.forks.fork import Tree
    from slimfork.git.repo import Repository
    from slimfork.handmade.handmade import HandEdit, Handmade

# What a penalty is written with, and what it is about: a file that holds both may be a helper of the training.
GREP_SEED = r"\.grad|_foreach_|norm\(|abs\(|absolute\(|l1_loss|sign\(|shrink"
GREP_ABOUT = r"BatchNorm|Norm2d|[^a-z]bn|bn[^a-z]|\.weight|\.gamma"


@dataclass(frozen=True, slots=True, kw_only=True)
class Handwork:
    """What was done by hand.

    Attributes:
        findings: The edits, by file and line.
        changes: Path to content without those that can be taken out.
    """

    findings: tuple[HandEdit, ...] = ()
    changes: Mapping[str, bytes] = field(default_factory=dict)

    @property
    def refused(self) -> tuple[HandEdit, ...]:
        """Those that nobody but the user can take out."""
        return tuple(f for f in self.findings if f.refusal)

    def onto(self, tree: Mapping[str, bytes]) -> Mapping[str, bytes]:
        """Return the files of a tree without what was done by hand."""
        if not self.changes:
            return tree
        return ChainMap(dict(self.changes), cast("MutableMapping[str, bytes]", tree))


def look(
    repository: Repository,
    commit: str,
    tree: Tree,
    *,
    release: Release,
    series: Sequence[Patch],
    pristine: Tree | None,
    ours: str,
) -> Handwork:
    """Look for edits made by hand in a commit.

    Args:
        repository: Where it lies.
        commit: The commit.
        tree: Its files.
        release: The release that it is of.
        series: The patches, which know what people do in their place.
        pristine: The files of the release as published, where the repository has them.
        ours: Beginnings of the paths of the overlay, which is none of the user's.
    """
    ways: list[Handmade] = []
    for patch in series:
        ways += patch.handmade
    if not ways:
        return Handwork()
    helpers = _holding(repository, commit, GREP_SEED) & _holding(repository, commit, GREP_ABOUT)
    files: dict[str, bytes] = {}
    for path in _candidates(tree, ways, helpers):
        if not path.startswith(ours) and not _is_pristine(tree, pristine, path):
            files[path] = tree[path]
    edits = find(series, files, pristine)
    if not edits:
        return Handwork()
    published: Mapping[str, bytes] | None = pristine or _published(release, edits)
    if published is not pristine:
        edits = find(series, files, published)
    taken = [edit for edit in edits if not edit.refusal]
    return Handwork(findings=edits, changes=without(files, taken, published))


def _candidates(tree: Tree, ways: Sequence[Handmade], helpers: Collection[str]) -> Iterator[str]:
    """Yield the files of a tree that may hold edits made by hand: where people make them, and helpers."""
    shapes: list[str] = []
    for way in ways:
        shapes += way.files
    for path in tree:
        if path in helpers or has_shape(path, shapes):
            yield path


def _holding(repository: Repository, commit: str, pattern: str) -> set[str]:
    """Return the Python files of a commit that have a line of a shape."""
    status, out, _ = repository.run("grep", "-l", "-z", "-I", "-E", "-e", pattern, commit, "--", "*.py")
    if status:
        return set()
    return {os.fsdecode(name).partition(":")[2] for name in filter(None, out.split(b"\0"))}


def _is_pristine(tree: Tree, pristine: Tree | None, path: str) -> bool:
    known = pristine.entries.get(path) if pristine is not None else None
    return known is not None and known.blob == tree.entries[path].blob


def _published(release: Release, edits: Sequence[HandEdit]) -> Mapping[str, bytes] | None:
    """Return the files of the release from the cache; from the index only where nothing else tells what was there."""
    pin = pin_of(release)
    needed = any("the release's own lines are gone" in edit.refusal for edit in edits)
    if pin is None or not (needed or is_cached(pin)):
        return None
    try:
        return contents_of(release_files(pin))
    except SlimforkError as error:
        ui.note(f"note: {release.upstream} {release.version} is not at hand to restore its lines: {error.message}")
        return None


def refuse(work: Handwork, path: Path, *, replace: bool) -> None:
    """Refuse to put patches beside what was done by hand, unless that is to be replaced, and can be."""
    stands = work.refused if replace else work.findings
    if not stands:
        return
    lines = "\n  ".join(map(str, stands))
    count = f"{len(stands)} edit{'' if len(stands) == 1 else 's'}"
    if work.refused:
        them = "it" if len(work.refused) == 1 else "them"
        hint = f"take {them} out by hand, commit, and apply-patches apply {typed(path)}"
        hint += " --replace-handmade" if len(work.refused) < len(work.findings) else ""
    else:
        hint = f"apply-patches apply {typed(path)} --replace-handmade"
    message = f"{path} has {count} of the write-ups made by hand, which our patches make too; nothing was changed"
    raise ConflictError(f"{message}\n  {lines}", hint=hint)


def note(work: Handwork) -> None:
    """Say on stderr what was done by hand."""
    for finding in work.findings:
        ui.note(f"handmade: {finding}")


def facts(work: Handwork) -> list[dict[str, Any]]:
    """Return what was done by hand as plain data."""
    return [
        {"path": f.path, "line": f.line, "patch": f.patch, "what": f.what, "refusal": f.refusal or None}
        for f in work.findings
    ]


def draft(work: Handwork, tree: Tree, trailer: str, when: int) -> list[commits.Draft]:
    """Return the commit that takes out what was done by hand; none when there is nothing."""
    if not work.changes:
        return []
    text = commits.handmade_message(sorted({f.patch for f in work.findings}), list(map(str, work.findings)), trailer)
    return [commits.Draft(message=text, when=when, files=commits.with_modes(work.changes, tree.mode))]
