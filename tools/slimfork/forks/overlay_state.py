"""The overlay in a fork: which of its files are there as we left them, and which would change."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from slimfork.forks.history import overlay_base
from slimfork.forks.overlay import digest, digests, manifest_path, overlay_files, slim_folder, write_manifest
from slimfork.git.gitout import all_folders, blob_hash

if TYPE_CHECKING:
    from collections.abc import Mapping

    from slimfork.forks.detect import Release
    from slimfork.forks.fork import Tree
    from slimfork.forks.history import History
    from slimfork.git.repo import Repository

FileState = Literal["present", "missing", "outdated", "modified", "foreign", "dropped"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Overlay:
    """The overlay in a fork.

    Attributes:
        states: Path to `present`, `missing`, `outdated` (ours, from an earlier version of the toolkit), `modified`
            (by the user: it is kept), `foreign` (not ours, in the way) or `dropped` (ours, not needed any more).
        changes: Path to new content of what is missing or outdated; None for what is dropped.
        behind: The modified files of which this toolkit has another version than the one that was modified.
    """

    states: Mapping[str, FileState]
    changes: Mapping[str, bytes | None]
    behind: tuple[str, ...] = ()

    def having(self, state: FileState) -> list[str]:
        """Return the files in a state, sorted."""
        return sorted(path for path, actual in self.states.items() if actual == state)

    @property
    def state(self) -> str:
        """The one word for all of it."""
        if self.having("foreign"):
            return "foreign"
        if not self.changes:
            return "modified" if self.having("modified") else "present"
        if not self.having("missing"):
            return "outdated"
        return "missing" if set(self.states.values()) == {"missing"} else "incomplete"


def read_overlay(repository: Repository, tree: Tree, history: History, release: Release) -> Overlay:
    """Compare the overlay of a release with what a tree holds."""
    folder, manifest = slim_folder(release.upstream, release.version), manifest_path(release.upstream, release.version)
    base = overlay_base(repository, tree, history, manifest)
    wanted = overlay_files(release.upstream, release.version)
    states: dict[str, FileState] = {}
    behind: dict[str, str] = {}
    for path, new in wanted.items():
        states[path] = _file_state(tree, path, new, base.get(path))
        if states[path] == "modified" and base[path] != digest(new):
            behind[path] = base[path]
    if behind:  # they are not written: what we left there is what we once wrote
        written = digests(wanted)
        del written[manifest]
        wanted[manifest] = write_manifest(written | behind)
        states[manifest] = _file_state(tree, manifest, wanted[manifest], base.get(manifest))
    if not (base or history.had_overlay or "present" in states.values()):  # a `slim` that never was ours
        for path in tree:
            if path.startswith(f"{folder}/"):
                states[path] = "foreign"
    for path, known in base.items():
        if path not in wanted and path in tree:
            states[path] = "dropped" if digest(tree[path]) == known else "modified"
    states |= dict.fromkeys(_in_the_way(tree, wanted), "foreign")
    return Overlay(states=states, changes=_changes(states, wanted), behind=tuple(sorted(behind)))


def _changes(states: Mapping[str, FileState], wanted: Mapping[str, bytes]) -> dict[str, bytes | None]:
    """Return path to new content of what is missing or outdated; None for what is dropped."""
    changes: dict[str, bytes | None] = {}
    for path, state in states.items():
        if state in {"missing", "outdated", "dropped"}:
            changes[path] = wanted.get(path)
    return changes


def _file_state(tree: Tree, path: str, new: bytes, base: str | None) -> FileState:
    if path not in tree:
        return "missing"
    blob = tree.entries[path].blob
    if blob == blob_hash(new, blob):
        return "present"
    if base is None:
        return "foreign"
    return "outdated" if digest(tree[path]) == base else "modified"


def _in_the_way(tree: Tree, wanted: Mapping[str, bytes]) -> frozenset[str]:
    """Return what stands where a file of the overlay goes, or a folder of it: a link, a submodule, a file, a folder."""
    places, folders = set(wanted), all_folders(wanted)
    above = all_folders([*tree, *tree.others])
    return (tree.others & (places | folders)) | (tree.entries.keys() & folders) | (places & above)
