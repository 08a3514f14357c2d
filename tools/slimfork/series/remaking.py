"""A fork made again of an export: the import by its pin, then each mail; each commit must come out with its hash."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from slimfork.forks.overlay import digest
from slimfork.git.building import MAIN, PRISTINE, build_with
from slimfork.git.guards import named
from slimfork.git.recovery import heal
from slimfork.git.repo import open_repository
from slimfork.releases import pins
from slimfork.series.fork_file import EXPORT_AGAIN, FORK_FILE, ForkFile, Listed, read_fork_file
from slimfork.series.imported import write_import
from slimfork.series.raw_commits import base_of
from slimfork.series.workbench import MisfitError, workbench, write_text
from slimfork.terminal import ui
from slimfork.terminal.errors import UsageError
from slimfork.terminal.words import typed

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from slimfork.git.repo import Repository
    from slimfork.releases.archive import File
    from slimfork.releases.pins import Pin
    from slimfork.series.workbench import Workbench


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """An export that was read.

    Attributes:
        folder: Where it lies.
        listed: What its `fork.json` lists.
        mails: Its mails by file name.
        pins: The pins of its imports by their specs.
    """

    folder: Path
    listed: ForkFile
    mails: Mapping[str, bytes]
    pins: Mapping[str, Pin]

    @property
    def pin(self) -> Pin:
        """The release that it stands on."""
        return self.pins[self.listed.spec]


def read_export(folder: Path) -> Export:
    """Read an export; every file of it must be as it was written.

    Raises:
        UsageError: It is not, or its release is not pinned, or pinned to another hash.
    """
    file = folder / FORK_FILE
    if not file.is_file():
        hint = f"apply-patches export FORK --out {typed(folder)}"
        raise UsageError(f"{folder} has no {FORK_FILE}: it is no export", hint=hint)
    listed = read_fork_file(file.read_bytes(), str(file))
    mails = {one.file: _mail(folder, one) for one in listed.commits if one.file}
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*.patch")}
    if unknown := sorted(there - mails.keys()):
        what = f"{folder} holds patches that {FORK_FILE} does not list: {named(unknown, ', ')}"
        raise UsageError(what, hint="make the fork without them, then git am them there")
    found = {one.spec: _pin(folder, one) for one in listed.commits if one.spec}
    return Export(folder=folder, listed=listed, mails=mails, pins=found)


def _pin(folder: Path, one: Listed) -> Pin:
    pin = pins.find(one.spec)
    if pin.proof != one.proof:
        what = f"{folder} is of {one.spec} with hash {one.proof[:16]}, and {pin.proof[:16]} is pinned"
        raise UsageError(what, hint=f"apply-patches pins list {pin.upstream}, and see which is right")
    return pin


def _mail(folder: Path, one: Listed) -> bytes:
    path = folder / one.file
    if not path.is_file():
        raise UsageError(f"{path} is missing: {FORK_FILE} lists it", hint=EXPORT_AGAIN)
    content = path.read_bytes()
    if digest(content) != one.sha256:
        what = f"{path} is not as it was exported: its SHA-256 is {digest(content)[:16]}, not {one.sha256[:16]}"
        raise UsageError(what, hint=f"{EXPORT_AGAIN}; or git am DIR/*.patch, for a fork of another hash")
    return content


def remake(export: Export, files: Mapping[str, Mapping[str, File]], target: Path) -> list[str]:
    """Make the fork of an export at a path, and return its commits, parents first.

    Args:
        export: The export.
        files: The files of each release that it imports, by its spec.
        target: A path at which there is nothing yet, or an empty folder.

    Raises:
        UsageError: A commit does not come out as it was; nothing is left at the path then.
    """

    def write(repository: Repository) -> list[str]:
        shas = _write(repository, export, files)
        for one in export.listed.commits:
            if one.spec:
                repository.git("update-ref", f"refs/tags/upstream/{export.pins[one.spec].version}", one.raw.sha)
            if one.spec == export.listed.spec:
                repository.git("update-ref", PRISTINE, one.raw.sha)
        repository.git("update-ref", MAIN, shas[-1])
        return shas

    return build_with(target, write)


def _write(repository: Repository, export: Export, files: Mapping[str, Mapping[str, File]]) -> list[str]:
    trees: dict[str, str] = {}
    commits = export.listed.commits
    with workbench(repository) as bench, ui.steps("commits", total=len(commits)) as progress:
        for one in commits:
            if one.spec:
                tree = write_import(repository, one.raw, files[one.spec])
            else:
                tree = _patched(bench, export, one, trees)
            if tree != one.raw.tree:
                raise _wrong(one, f"it makes tree {tree[:10]}, not {one.raw.tree[:10]}")
            trees[write_text(repository, one.raw.text)] = tree
            progress.advance(progress.task_ids[0])
    return list(trees)


def _patched(bench: Workbench, export: Export, one: Listed, trees: Mapping[str, str]) -> str:
    """Return the tree that the mail of a commit makes of the files of the parent that it is a patch on."""
    before = trees[base_of(one.raw, trees)]
    try:
        return bench.apply_mail(before, export.mails[one.file]) if one.file else before
    except MisfitError as error:
        raise _wrong(one, error.message) from None


def _wrong(one: Listed, why: str) -> UsageError:
    what = f"{one.file or one.spec or 'nothing'} does not make commit {one.raw.sha[:10]} {one.raw.subject!r}: {why}"
    return UsageError(what, hint=EXPORT_AGAIN)


def refuse_other_head(path: Path, head: str) -> None:
    """Refuse a folder that is not empty, unless it is the fork with this commit checked out."""
    elsewhere = "--into a folder that is not there yet"
    if not (path / ".git").exists():
        raise UsageError(f"{path} is not empty and not a fork", hint=elsewhere)
    with open_repository(path) as repository:
        heal(repository)
        there = repository.head()
    if there != head:
        raise UsageError(f"{path} is at commit {(there or 'none')[:10]}, not {head[:10]}", hint=elsewhere)


def described(export: Export, path: Path, *, there: bool, dry_run: bool) -> dict[str, Any]:
    """Return what was made, or would be, as plain data, as `vendor SPEC` has it."""
    made = () if there else export.listed.commits
    return {
        "path": str(path),
        "from": str(export.folder),
        "upstream": export.pin.upstream,
        "version": export.pin.version,
        "dry_run": dry_run,
        "head": None if dry_run and not there else export.listed.head,
        "sha256": export.pin.sha256 or None,
        "commit": export.pin.commit or None,
        "unpinned": False,
        "commits": [
            {"sha": one.raw.sha, "subject": one.raw.subject, "kind": one.kind, "file": one.file or None} for one in made
        ],
    }
