"""Which release a checkout is: what it says itself, else what our commits, its history or the patches say of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slimfork.codemods.patch import load_series
from slimfork.codemods.patch_plan import plan_patches
from slimfork.codemods.stated_version import stated_version
from slimfork.forks.detect import INITS, Release, detect, is_official
from slimfork.releases import pins
from slimfork.terminal import ui

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from slimfork.forks.history import History
    from slimfork.git.repo import Repository
    from slimfork.releases.pins import Pin

    Files = Mapping[str, bytes]

YOLOV5 = "yolov5"


def release_of(repository: Repository, tree: Files, history: History, imported: Files | None) -> Release:
    """Return the release of a checkout.

    Args:
        repository: Where it lies.
        tree: The files of its head.
        history: Its commits, as their trailers tell them apart.
        imported: The files of the import that it stands on, when it was vendored.

    Raises:
        UsageError: It is no upstream that there are patches for, or does not say its version as it should.
    """
    if is_official(tree):
        return _official(repository, tree, history)
    release = detect(tree, repository.root)
    if history.imported is None or imported is None:
        return release
    init = INITS[release.upstream]
    if stated_version(imported.get(init, b"")) == stated_version(tree[init]):
        return Release(upstream=history.imported.upstream, version=history.imported.version)
    return release  # the tree has moved on from its import


def pin_of(release: Release) -> Pin | None:
    """Return the pin of a release, or None where the lock file does not have it."""
    for pin in pins.load(release.upstream):
        if pin.version == release.version:
            return pin
    return None


def _official(repository: Repository, tree: Files, history: History) -> Release:
    """Return the tag of a checkout of YOLOv5's own repository, which has no version.

    Our own commits name it, unless the checkout has moved on to a later tag since. Else it is the newest tag in its
    history, or the one after that if that one fits better, for a checkout between two tags. A shallow clone or an
    unpacked archive has no tag in its history: then the patches tell.
    """
    tags = [pin for pin in pins.load(YOLOV5) if pin.is_tag]
    versions = [pin.version for pin in tags]
    if history.imported is not None and history.imported.version in versions:
        return Release(upstream=YOLOV5, version=history.imported.version)
    past = _newest_past(repository, tags)
    named = versions.index(history.named[1]) if history.named and history.named[1] in versions else None
    if named is not None and (past is None or past <= named):
        return Release(upstream=YOLOV5, version=versions[named])
    if past is None:
        tag, broken = best_fit(tree, versions[::-1])
        words = "more of its patches fit than of any other tag's" if broken else "all its patches fit"
        return Release(upstream=YOLOV5, version=tag, found=f"{words}, and the history holds no pinned tag")
    tag, words = versions[past], f"commit {tags[past].commit[:12]} ({versions[past]}) is "
    if repository.head() == tags[past].commit:
        return Release(upstream=YOLOV5, version=tag, found=words + "checked out")
    tag, _ = best_fit(tree, versions[past : past + 2])
    words += "in its history" + ("" if tag == versions[past] else f", but the patches of {tag} fit better")
    return Release(upstream=YOLOV5, version=tag, found=words)


def _newest_past(repository: Repository, tags: Sequence[Pin]) -> int | None:
    """Return the index of the newest tag whose commit is an ancestor of the head, or None."""
    for at in reversed(range(len(tags))):
        if repository.is_ancestor(tags[at].commit):
            return at
    return None


def best_fit(tree: Files, versions: Sequence[str]) -> tuple[str, int]:
    """Return the tag that fits a tree best and how many of its patches do not fit; of equals, the first.

    That is the one with the fewest patches that do not fit, and of these the one that makes the most edits: patches
    of a later tag can fit by not caring for what an earlier one needs.
    """
    fits: list[tuple[int, int, int]] = []
    with ui.steps("which tag fits", total=len(versions)) as progress:
        for at, version in enumerate(versions):
            plan = plan_patches(tree, upstream=YOLOV5, version=version, series=load_series(YOLOV5))
            edits = 0
            for step in plan.steps:
                if step.state in {"pending", "applied"}:
                    edits += len(step.patch.edits(version))
            fits.append((len(plan.broken), -edits, at))
            progress.advance(progress.task_ids[0])
    broken, _, at = min(fits)
    return versions[at], broken
