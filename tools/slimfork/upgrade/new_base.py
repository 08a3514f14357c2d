"""What the user's commits come to stand on: the new release's import, upon the old one, and the patches made anew."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from slimfork.codemods.patch import load_series
from slimfork.codemods.patch_plan import plan_patches
from slimfork.forks.detect import Release
from slimfork.forks.fork import Tree, plan_series
from slimfork.forks.history import RELEASE
from slimfork.forks.making import draft
from slimfork.forks.overlay import overlay_files
from slimfork.git import commits
from slimfork.releases.archive import contents_of
from slimfork.series.workbench import tree_of, write_drafts
from slimfork.terminal import telling
from slimfork.terminal.errors import UsageError
from slimfork.terminal.words import typed

if TYPE_CHECKING:
    from pathlib import Path

    from slimfork.forks.fork import Fork
    from slimfork.git.repo import Repository
    from slimfork.releases.archive import File
    from slimfork.releases.pins import Pin
    from slimfork.series.raw_commits import RawCommit


def base_drafts(
    fork: Fork, imported: str, pin: Pin, files: dict[str, File], path: Path, *, as_json: bool
) -> list[commits.Draft]:
    """Return the commits of a release as a fork of it begins, to stand on the import that the fork has now.

    Raises:
        ConflictError: A patch does not fit the release.
        UsageError: All has been taken out of the fork.
    """
    if fork.history.had_overlay and not fork.history.overlays:
        hint = f"apply-patches apply {typed(path)}, which puts them back"
        raise UsageError(f"{path} has no patches any more: they were taken out", hint=hint)
    skip = sorted(fork.skipped)
    pristine, *more = draft(pin, files, path, no_compat=fork.left_out, skip=skip, as_json=as_json)
    before = Tree(fork.repository, imported)
    more += _taken_out(fork, pin, files, [pristine, *more], path, as_json=as_json)
    gone = dict.fromkeys((*before, *before.others))
    return [replace(pristine, files={**gone, **pristine.files}), *more]


def _taken_out(
    fork: Fork, pin: Pin, files: dict[str, File], made: list[commits.Draft], path: Path, *, as_json: bool
) -> list[commits.Draft]:
    """Return the commit that takes out again what `revert` has taken out of the fork; none when there is nothing."""
    ids = fork.history.taken_out.intersection(one.patch for one in made)
    out = [patch for patch in load_series(pin.upstream) if patch.id in ids]
    if not out:
        return []
    release, contents = Release(upstream=pin.upstream, version=pin.version), contents_of(files)
    skipped = fork.skipped | ids
    rest = plan_series(contents, release, left_out=fork.left_out, skipped=skipped, pristine=True)
    hint = f"apply-patches apply {typed(path)}, which puts back {', '.join(sorted(ids))}"
    telling.refuse_broken(rest, path, as_json=as_json, hint=hint)
    full: dict[str, tuple[str, bytes] | None] = {}
    for one in made:
        full.update(one.files if one.patch else {})
    changes: dict[str, tuple[str, bytes] | None] = {}
    for name, file in full.items():
        content = rest.changes.get(name, contents.get(name))
        if file and content != file[1]:
            changes[name] = (file[0], content) if content is not None else None
    trailer = commits.trailers(made[0].message)[commits.UPSTREAM][-1]
    text = commits.revert_message(out, trailer, overlay=False)
    return [commits.Draft(message=text, when=made[0].when, files=changes)]


def write_base(scratch: Repository, drafts: list[commits.Draft], imported: str) -> tuple[str, str]:
    """Write the commits, and return the import and the last one."""
    made = write_drafts(scratch, drafts, imported)
    return made[0], made[-1]


def part_of_ours(scratch: Repository, raw: RawCommit, parent: str) -> str:
    """Return the tree that a commit would have if it held only what its trailers say: the patches, the overlay.

    Where these do not fit its parent any more, that is the tree of the parent: then git sees what is ours, too.
    """
    marks = commits.trailers(raw.message)
    named = RELEASE.fullmatch(marks.get(commits.UPSTREAM, ("",))[-1])
    if named is None or not (commits.PATCH in marks or commits.OVERLAY_ID in marks):
        return tree_of(scratch, parent)
    release = Release(upstream=named["upstream"], version=named["version"])
    tree = Tree(scratch, parent)
    series = [patch for patch in load_series(release.upstream) if patch.id in marks.get(commits.PATCH, ())]
    plan = plan_patches(tree, upstream=release.upstream, version=release.version, series=series)
    changes = dict(plan.changes)
    if commits.OVERLAY_ID in marks:
        changes |= overlay_files(release.upstream, release.version)
    files = commits.with_modes(changes, tree.mode)
    (made,) = write_drafts(scratch, [commits.Draft(message=raw.subject, when=max(raw.when, 0), files=files)], parent)
    return tree_of(scratch, made)
