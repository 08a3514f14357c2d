"""What the user's commits come to stand on: the new release's import, upon the old one, and the patches made anew."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from slimfork.codemods.patch import load_series
from slimfork.codemods.patch_plan import plan_patches
from slimfork.forks.detect import Release
from slimfork.forks.fork import Tree
from slimfork.forks.history import RELEASE
from slimfork.forks.making import draft
from slimfork.forks.overlay import overlay_files
from slimfork.git import commits
from slimfork.git.gitout import REGULAR
from slimfork.series.workbench import tree_of

if TYPE_CHECKING:
    from pathlib import Path

    from slimfork.forks.fork import Fork
    from slimfork.git.repo import Repository
    from slimfork.releases.archive import File
    from slimfork.releases.pins import Pin
    from slimfork.series.raw_commits import RawCommit

BASE_REF = "refs/heads/slimfork-base"  # in the repository for the moment


def base_drafts(
    fork: Fork, imported: str, pin: Pin, files: dict[str, File], path: Path, *, as_json: bool
) -> list[commits.Draft]:
    """Return the commits of a release as a fork of it begins, to stand on the import that the fork has now.

    Raises:
        ConflictError: A patch does not fit the release.
    """
    skip = sorted(fork.skipped)
    pristine, *more = draft(pin, files, path, no_compat=fork.left_out, skip=skip, as_json=as_json)
    before = Tree(fork.repository, imported)
    gone = dict.fromkeys((*before, *before.others))
    return [replace(pristine, files={**gone, **pristine.files}), *more]


def write_base(scratch: Repository, drafts: list[commits.Draft], imported: str) -> tuple[str, str]:
    """Write the commits, and return the import and the last one."""
    made = scratch.write_refs(commits.stream(drafts, start=imported, ref=BASE_REF), len(drafts))
    scratch.git("update-ref", "-d", BASE_REF)
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
    files = {name: (tree.mode(name) if name in tree else REGULAR, content) for name, content in changes.items()}
    made = commits.Draft(message=raw.subject, when=max(raw.when, 0), files=files)
    (sha,) = scratch.write_refs(commits.stream([made], start=parent, ref=BASE_REF), 1)
    scratch.git("update-ref", "-d", BASE_REF)
    return tree_of(scratch, sha)
