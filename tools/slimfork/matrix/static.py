"""What can be said of a patched file without running it. Pure.

The edits of a file depend on that file alone, so a release is judged file by file, and what is found of a content holds
for every release that has it: 833 releases share some 1,500 of them.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from slimfork.codemods.compiling import syntax_error
from slimfork.codemods.patch import known_as
from slimfork.codemods.patch_plan import plan_patches
from slimfork.git.merge import hunks, merge

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from slimfork.codemods.codemod import Edit
    from slimfork.codemods.patch import Patch
    from slimfork.codemods.patch_plan import PatchPlan

    Planned = Callable[[Mapping[str, bytes], Sequence[Patch]], PatchPlan]

USERS = b"# a line of the user's\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class FileReport:
    """What was found of one file; each check is empty when it passed, else one line that says why not.

    Attributes:
        states: Patch id to its state in this file.
        content: The patched file.
        fits: Every site is there, at the stated number.
        bytes: Only lines that an edit names have changed.
        compile: Python compiles the result.
        again: A second run finds everything applied.
        revert: Taking out all patches, or any one, leaves what was there before, and the user's own lines.
    """

    states: dict[str, str]
    content: bytes
    fits: str = ""
    bytes: str = ""
    compile: str = ""
    again: str = ""
    revert: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return plain data."""
        return asdict(self) | {"content": self.content.decode("latin-1")}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> FileReport:
        """Read what `as_json` returned."""
        return cls(**{**data, "content": data["content"].encode("latin-1")})


def by_file(series: Sequence[Patch], version: str) -> dict[str, list[Patch]]:
    """Return path to the patches that edit it, each with its edits of that file alone."""
    parts: dict[str, list[Patch]] = defaultdict(list)
    known = known_as(series, version)
    for patch in series:
        variant = patch.variant(known)
        if variant is None:
            continue
        edits: dict[str, tuple[Edit, ...]] = {}
        for edit in variant.edits:
            edits[edit.file] = (*edits.get(edit.file, ()), edit)
        for path, here in edits.items():
            parts[path].append(replace(patch, variants=(replace(variant, edits=here),)))
    return dict(parts)


def judge(path: str, content: bytes | None, series: Sequence[Patch], *, upstream: str, version: str) -> FileReport:
    """Patch one file with its part of a series and look at the result.

    Args:
        path: Its place in the release.
        content: The pristine file, or None when the release has no such file.
        series: The patches that edit it, restricted to it.
        upstream: The family of releases, for messages.
        version: The release.
    """

    def planned(tree: Mapping[str, bytes], patches: Sequence[Patch] = series, *, pristine: bool = False) -> PatchPlan:
        return plan_patches(tree, upstream=upstream, version=version, series=patches, pristine=pristine)

    plan = planned({} if content is None else {path: content}, pristine=True)
    states: dict[str, str] = {}
    problems: list[str] = []
    for step in plan.steps:
        states[step.patch.id] = step.state
        problems += map(_short, step.problems)
    if content is None or problems:
        return FileReport(states=states, content=content or b"", fits="; ".join(problems))
    new = plan.changes.get(path, content)
    again = planned({path: new})
    settled = {step.state for step in again.steps} <= {"applied", "upstreamed"} and not again.changes
    return FileReport(
        states=states,
        content=new,
        bytes=_outside(content, new, _marks(series)),
        compile=f"{path} does not compile: {error}" if (error := syntax_error(path, new)) else "",
        again="" if settled else f"a second run would change {path} again",
        revert=_revert(path, content, new, series, planned),
    )


def _short(problem: str) -> str:
    """Return one line of an explained problem: the patch, the place and what is wrong."""
    lines = problem.splitlines()
    facts: dict[str, str] = {}
    for line in lines[1:]:
        words = line.split(maxsplit=1)
        if len(words) == 2:  # noqa: PLR2004
            facts[words[0]] = words[1]
    return f"{lines[0].partition(':')[0]} at {facts.get('at', '?')}: {facts.get('problem', problem)}"


def _marks(series: Sequence[Patch]) -> list[bytes]:
    """Return what the edits of a file name of the lines that they change."""
    marks: list[bytes] = []
    for patch in series:
        for edit in patch.variants[0].edits:
            marks += map(str.encode, edit.marks)
    return marks


def _outside(old: bytes, new: bytes, marks: Sequence[bytes]) -> str:
    """Name the first line that changed though no edit names it."""
    lines = _ended(old)
    for hunk in hunks(lines, _ended(new)):
        gone, come = lines[hunk.start : hunk.end], hunk.lines
        stray = [line for line in come if not _is_marked(line, marks)]
        if len(gone) not in {0, len(come)} or stray:  # lines come, or change one by one
            line = (stray or gone)[0].decode("utf-8", "replace").strip()
            return f"a line that no edit names has changed: {line[:80]!r}"
    return ""


def _is_marked(line: bytes, marks: Iterable[bytes]) -> bool:
    return any(mark in line for mark in marks)


def _ended(content: bytes) -> list[bytes]:
    """Return the lines of a file with their ends; the last one gets one: another may have come after it."""
    end = b"\r\n" if b"\r\n" in content else b"\n"
    return (content if content.endswith(b"\n") or not content else content + end).splitlines(keepends=True)


def _taken_out(series: Sequence[Patch]) -> Iterator[Sequence[Patch]]:
    """Yield all patches, then each by itself where there are several."""
    yield series
    if len(series) > 1:
        for patch in series:
            yield [patch]


def _revert(path: str, old: bytes, new: bytes, series: Sequence[Patch], planned: Planned) -> str:
    """Take out all patches, then each by itself where there are several, from a file that the user added a line to."""
    end = b"" if new.endswith(b"\n") else b"\n"
    for going in _taken_out(series):
        staying = [patch for patch in series if patch not in going]
        rest = planned({path: old}, staying).changes.get(path, old)
        for user in (b"", end + USERS):
            if merge(new, new + user, rest) != rest + user:
                return f"{path} without {', '.join(patch.id for patch in going)} is not what it was"
    return ""
