"""What a series of patches would do to a tree: everything is planned, nothing is written."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from slimfork.codemods.codemod import EditError, Sites, Source
from slimfork.codemods.compiling import syntax_error
from slimfork.codemods.explain import explain, explain_flaw, explain_half, explain_standing
from slimfork.codemods.patch import known_as
from slimfork.syntax.standing import StandingPieces

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from slimfork.codemods.codemod import Edit
    from slimfork.codemods.patch import Patch
    from slimfork.syntax.standing import Piece

State = Literal["applied", "pending", "upstreamed", "broken", "excluded"]
EditState = Literal[State, "former"]  # of one edit


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What one patch finds and would do.

    Attributes:
        patch: The patch.
        state: `applied`, `pending`, `upstreamed` (the release has it), `broken`, or `excluded` (not for this
            release).
        changes: Path to whole new content, on top of the earlier steps; empty unless pending.
        reason: One line on why it is in this state.
        problems: One explained message per edit that does not fit.
        former: Whether it is pending because an earlier version of this toolkit applied it in another form.
    """

    patch: Patch
    state: State
    changes: Mapping[str, bytes]
    reason: str = ""
    problems: tuple[str, ...] = ()
    former: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PatchPlan:
    """The steps of a series on one release."""

    upstream: str
    version: str
    steps: tuple[Step, ...]

    @property
    def broken(self) -> tuple[Step, ...]:
        """The steps that do not fit."""
        return tuple(s for s in self.steps if s.state == "broken")

    @property
    def changes(self) -> dict[str, bytes]:
        """Path to content after the whole series, for the files that change."""
        changes: dict[str, bytes] = {}
        for step in self.steps:
            changes.update(step.changes)
        return changes


def plan_patches(
    files: Mapping[str, bytes], *, upstream: str, version: str, series: Sequence[Patch], pristine: bool = False
) -> PatchPlan:
    """Plan a series of patches.

    Args:
        files: Path to content for the upstream tree; only what patches ask for is read.
        upstream: The family of releases, for messages.
        version: The release; it decides the variant of each patch. One that is newer than all that the series
            knows is tried with the variants of the newest.
        series: The patches, in order.
        pristine: Whether the tree is a release as it was published: an edit that it holds is upstream's own.
    """
    sources: dict[str, Source] = {}
    steps = []
    tried = known_as(series, version)
    for patch in series:
        worked = _step(patch, files, sources, f"{upstream} {version}", tried)
        if worked.step.changes:
            sources.update(worked.sources)
        steps.append(_as_upstreams(worked.step) if pristine else worked.step)
    return PatchPlan(upstream=upstream, version=version, steps=tuple(steps))


def _as_upstreams(step: Step) -> Step:
    return replace(step, state="upstreamed", reason=_REASONS["upstreamed"]) if step.state == "applied" else step


@dataclass(frozen=True, slots=True)
class _Worked:
    step: Step
    sources: dict[str, Source]


def _step(patch: Patch, files: Mapping[str, bytes], known: dict[str, Source], release: str, version: str) -> _Worked:
    variant = patch.variant(version)
    if variant is None:
        return _Worked(Step(patch=patch, state="excluded", changes={}, reason=f"not for {release}"), {})
    sources: dict[str, Source] = {}
    states: list[EditState] = []
    problems: list[str] = []
    for edit in variant.edits:
        source = sources.get(edit.file) or known.get(edit.file) or _read(files, edit.file)
        state, problem, source = _edit(edit, source)
        states.append(state)
        if problem:
            problems.append(explain(patch, edit, release, files.get(edit.file), problem))
        if source is not None:
            sources[edit.file] = source
    missing = _in_state(variant.edits, states, "pending", "former")
    if not problems and (half := _halves(variant.edits, states)):
        problems.append(explain_half(patch, release, *half))
    changes: dict[str, bytes] = {}
    if not problems and missing:
        changes = _changed(files, known, sources)
        for flaw in _flaws(missing, sources, changes):
            problems.append(explain_flaw(patch, release, flaw))
    if not problems:
        for path, fault in _standing(variant.edits, states, sources):
            problems.append(explain_standing(patch, release, path, fault))
    state = _fold(states, problems)
    former = state == "pending" and "former" in states
    step = Step(
        patch=patch,
        state=state,
        changes=changes if state == "pending" else {},
        reason=FORMER if former else _REASONS[state],
        problems=tuple(problems),
        former=former,
    )
    return _Worked(step, sources)


def _halves(edits: Sequence[Edit], states: Sequence[EditState]) -> tuple[Sequence[Edit], Sequence[Edit]] | None:
    """Return the edits that are done and those that are not, where a patch is there in part."""
    done = _in_state(edits, states, "applied")
    missing = _in_state(edits, states, "pending")
    former = _in_state(edits, states, "former")
    if former and not missing:  # all of it in the earlier form; what had no other form then is applied as it is now
        changed = [edit for edit in done if getattr(edit, "former", None)]
        return (changed, former) if changed else None
    return ([*done, *former], missing) if missing and (done or former) else None


def _standing(
    edits: Sequence[Edit], states: Sequence[EditState], sources: Mapping[str, Source]
) -> Iterator[tuple[str, str]]:
    """Yield path and fault of what stands, or would stand, where it does not do what it is for."""
    by_path: defaultdict[str, list[Piece]] = defaultdict(list)
    for edit in _in_state(edits, states, "applied", "pending", "former"):
        by_path[edit.file] += edit.pieces
    for path, pieces in by_path.items():
        if not pieces:
            continue
        for fault in StandingPieces(sources[path].content, pieces).faults():
            yield path, fault


FORMER = "an earlier form of the edit stands at its sites"
_REASONS: dict[State, str] = {
    "applied": "every site holds the edit",
    "pending": "every site waits for the edit",
    "upstreamed": "the release has made this edit itself",
    "broken": "a site is not as it should be",
}


def _fold(states: Sequence[EditState], problems: Sequence[str]) -> State:
    if problems:
        return "broken"
    if "pending" in states or "former" in states:
        return "pending"
    return "applied" if "applied" in states else "upstreamed"


def _edit(edit: Edit, source: Source | None) -> tuple[EditState, str, Source | None]:
    if source is None:
        return "broken", "the file does not exist", None
    try:
        sites = edit.sites(source)
        state = _state(sites, edit.count)
        if state != "broken":
            return state, "", edit.apply(source) if state in {"pending", "former"} else source
    except EditError as error:
        return "broken", str(error), source
    counts = {
        "without the edit": sites.pending,
        "with it": sites.applied,
        "in upstream's form": sites.upstreamed,
        "in an earlier form": sites.former,
    }
    counted = ", ".join(f"{count} {what}" for what, count in counts.items() if count) or "none"
    return "broken", f"expected {edit.count} site{'s' if edit.count > 1 else ''}, found {counted}", source


def _state(sites: Sites, count: int) -> EditState:
    """Return the one state that all sites of an edit are in; `broken` where they are not, or too many or few."""
    if sites.upstreamed and not (sites.pending or sites.applied or sites.former):
        return "upstreamed"
    every: dict[EditState, int] = {"applied": sites.applied, "pending": sites.pending, "former": sites.former}
    there = [state for state, number in every.items() if number]
    return there[0] if len(there) == 1 and every[there[0]] == count else "broken"


def _flaws(edits: Sequence[Edit], sources: Mapping[str, Source], changes: Mapping[str, bytes]) -> Iterator[str]:
    """Yield what is wrong with edited files."""
    for edit in edits:
        if edit.sites(sources[edit.file]) != Sites(applied=edit.count):
            yield f"a second run would not find its edit of {edit.file} applied"
    for path, content in changes.items():
        if error := syntax_error(path, content):
            yield f"the edited {path} would not compile: {error}"


def _in_state(edits: Sequence[Edit], states: Sequence[EditState], *wanted: str) -> list[Edit]:
    return [edit for edit, state in zip(edits, states, strict=True) if state in wanted]


def _read(files: Mapping[str, bytes], path: str) -> Source | None:
    content = files.get(path)
    return None if content is None else Source(content)


def _changed(
    files: Mapping[str, bytes], known: Mapping[str, Source], sources: Mapping[str, Source]
) -> dict[str, bytes]:
    """Return the content of the sources that are no longer what the earlier steps have left."""
    changes = {}
    for path, source in sources.items():
        earlier = known.get(path)
        before = earlier.content if earlier else files.get(path)
        if source.content != before:
            changes[path] = source.content
    return changes
