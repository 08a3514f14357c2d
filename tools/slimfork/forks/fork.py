"""A fork as it is: its release, what the patches would do to it, the overlay, and whose commits it holds."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from slimfork.codemods.patch import known_as, load_series
from slimfork.codemods.patch_plan import PatchPlan, Step, plan_patches
from slimfork.forks.handwork import Handwork, look
from slimfork.forks.history import History, read_history
from slimfork.forks.identity import pin_of, release_of
from slimfork.forks.overlay import slim_folder
from slimfork.forks.overlay_state import Overlay, read_overlay
from slimfork.git import commits, skipping
from slimfork.git.gitout import REGULAR
from slimfork.releases import pins
from slimfork.releases.exclusions import reason
from slimfork.terminal.errors import UsageError
from slimfork.terminal.naming import is_tag, spec_of
from slimfork.terminal.words import typed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from slimfork.codemods.patch import Patch
    from slimfork.forks.detect import Release
    from slimfork.git.repo import Repository


class Tree(Mapping[str, bytes]):
    """The files of a commit, path to content; a blob is read when it is asked for."""

    def __init__(self, repository: Repository, commit: str) -> None:
        self._repository = repository
        self.entries = repository.entries(commit)
        self.others = repository.others(commit)  # links and submodules
        self._read: dict[str, bytes] = {}

    def __getitem__(self, path: str) -> bytes:
        """Return the content of a file."""
        entry = self.entries[path]
        if path not in self._read:
            self._read[path] = self._repository.blob(entry.blob)
        return self._read[path]

    def __contains__(self, path: object) -> bool:
        """Tell whether there is such a file, without reading it."""
        return path in self.entries

    def __iter__(self) -> Iterator[str]:
        """Iterate over the paths, sorted."""
        return iter(self.entries)

    def __len__(self) -> int:
        """Return the number of files."""
        return len(self.entries)

    def mode(self, path: str) -> str:
        """Return the mode of a file, or that of a new one."""
        entry = self.entries.get(path)
        return entry.mode if entry else REGULAR


@dataclass(frozen=True, slots=True, kw_only=True)
class Fork:
    """A fork, or a checkout that can become one."""

    repository: Repository
    head: str
    when: int
    tree: Tree
    release: Release
    history: History
    plan: PatchPlan
    overlay: Overlay
    left_out: bool
    skipped: frozenset[str] = frozenset()
    handwork: Handwork = field(default_factory=Handwork)

    @property
    def choices(self) -> tuple[str, ...]:
        """What is left out of it, as its commits say it."""
        return (*([commits.COMPAT] if self.left_out else []), *sorted(self.skipped))

    @property
    def name(self) -> str:
        """The release in words."""
        return f"{self.release.upstream} {self.release.version}"

    @property
    def trailer(self) -> str | None:
        """What the newest of our commits calls this release: `ultralytics==8.4.190 sha256=...`."""
        return self.history.release_trailer(self.release.upstream, self.release.version)

    @property
    def foreign(self) -> list[str]:
        """The files that are in the overlay's way."""
        return self.overlay.having("foreign")

    @property
    def complete(self) -> bool:
        """Whether everything is in place."""
        waiting = any(s.state in {"pending", "broken"} for s in self.plan.steps)
        return not (waiting or self.overlay.changes or self.foreign or self.handwork.findings)


def read_fork(
    repository: Repository, *, compat: bool | None = None, skip: Sequence[str] = (), put_in: Sequence[str] = ()
) -> Fork:
    """Read a fork from git; the work tree is not looked at.

    Args:
        repository: An open repository.
        compat: Whether compatibility patches belong to it; None: as it was made.
        skip: The ids of patches that are left out from now on.
        put_in: The ids of patches that were left out, and are not any more.
    """
    head = repository.head()
    if head is None:
        hint = f"git -C {typed(repository.root)} add -A && git -C {typed(repository.root)} commit -m 'upstream'"
        raise UsageError(f"{repository.root} has no commits yet", hint=hint)
    tree = Tree(repository, head)
    history = read_history(repository, head)
    imported = Tree(repository, history.imported.sha) if history.imported else None
    release = release_of(repository, tree, history, imported)
    left_out = history.left_out if compat is None else not compat
    skipped = skipping.chosen(load_series(release.upstream), history.skipped, skip=skip, put_in=put_in)
    work = _handwork(repository, head, tree, release, history, imported)
    return Fork(
        repository=repository,
        head=head,
        when=repository.log("--max-count=1", head)[0].when,
        tree=tree,
        release=release,
        history=history,
        plan=plan_series(work.onto(tree), release, left_out=left_out, skipped=skipped),
        overlay=read_overlay(repository, tree, history, release),
        left_out=left_out,
        skipped=skipped,
        handwork=work,
    )


def _handwork(
    repository: Repository, head: str, tree: Tree, release: Release, history: History, imported: Tree | None
) -> Handwork:
    """Look for what was done by hand, with the release as published where the repository has it."""
    moved = history.imported is not None and history.imported.version != release.version
    pristine = None if moved else imported
    pin = pin_of(release)
    commit = pin.commit if pin else ""
    if pristine is None and commit and repository.ask("cat-file", "-t", commit) == "commit":
        pristine = Tree(repository, commit)
    series, ours = load_series(release.upstream), f"{slim_folder(release.upstream, release.version)}/"
    return look(repository, head, tree, release=release, series=series, pristine=pristine, ours=ours)


def plan_series(
    files: Mapping[str, bytes],
    release: Release,
    *,
    left_out: bool,
    skipped: Collection[str] = (),
    pristine: bool = False,
) -> PatchPlan:
    """Plan every patch of an upstream; compatibility patches that are left out and not there are `excluded`."""
    series = load_series(release.upstream)
    if not series:
        hint = "apply-patches vendor ultralytics --into fork"
        raise UsageError(f"there are no patches for {release.upstream} yet", hint=hint)
    _refuse_excluded(series, release)

    def plan(patches: Sequence[Patch]) -> PatchPlan:
        return plan_patches(
            files, upstream=release.upstream, version=release.version, series=patches, pristine=pristine
        )

    out: list[Patch] = []
    staying: list[Patch] = []
    for patch in series:
        goes = patch.id in skipped or (left_out and patch.compat)
        (out if goes else staying).append(patch)
    if not out:
        return plan(series)
    steps: dict[str, Step] = {}
    for step in plan(out).steps:
        steps[step.patch.id] = _left_out(step, skipped)
    main = plan(staying)
    for step in main.steps:
        steps[step.patch.id] = step
    return replace(main, steps=tuple(steps[patch.id] for patch in series))


def _refuse_excluded(series: Sequence[Patch], release: Release) -> None:
    """Refuse a release that can never be patched, and one that no edit is for: its fork would be the bare release."""
    name, hint = f"{release.upstream} {release.version}", f"apply-patches pins list {release.upstream}"
    why = reason(release.upstream, release.version)
    if why:
        raise UsageError(f"{name} can never be patched: {why}", hint=hint)
    known, spans = known_as(series, release.version), ["none"]
    for patch in series:
        if patch.compat:
            continue
        if patch.variant(known):
            return
        spans = [variant.span for variant in patch.variants]
    ranges = " or ".join(dict.fromkeys(spans))
    raise UsageError(f"no patch is for {name}; they are for {ranges}", hint=hint)


def refuse_unpinned(release: Release, command: str, *, allowed: bool) -> bool:
    """Tell whether a release is unpinned: not in the lock file, or newer than all that the patches were tried on.

    Raises:
        UsageError: It is, and that was not allowed.
    """
    upstream, version = release.upstream, release.version
    newest, pinned = known_as(load_series(upstream), version), pin_of(release) is not None
    if pinned and newest == version:
        return False
    if not allowed:
        newest_pin = pins.newest if is_tag(version) else pins.newest_artifact
        last = newest if pinned else newest_pin(pins.load(upstream), upstream).version
        what = f"newer than the patches, which know {last}" if pinned else f"not pinned; the newest pin is {last}"
        hint = f"{command} --allow-unpinned, to try the newest patches by structure"
        raise UsageError(f"{upstream} {version} is {what}", hint=f"{hint}; or vendor {spec_of(upstream, last)}")
    return True


def _left_out(step: Step, skipped: Collection[str]) -> Step:
    if step.state in {"applied", "upstreamed", "excluded"}:
        return step
    reason = "left out; `apply --compat` would add it"
    if step.patch.id in skipped:
        reason = f"left out by --skip; `apply --with {step.patch.id}` would add it"
    return Step(patch=step.patch, state="excluded", changes={}, reason=reason)
