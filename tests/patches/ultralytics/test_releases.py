"""The series on the sources of published releases, as they are on the package index."""

from __future__ import annotations

import difflib
import time
from functools import cache
from typing import TYPE_CHECKING

import pytest

from slimfork.calls import Argument
from slimfork.codemod import Import, Insert, Replace
from slimfork.patch import load_series
from slimfork.plan import Plan, make_plan
from slimfork.settings import LocalVersion, Members, YamlKeys

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from slimfork.codemod import Edit

    Release = Callable[[str], dict[str, bytes]]
    Planned = Callable[[str], Plan]

VERSIONS = ("8.0.100", "8.4.190")

every_release = pytest.mark.parametrize("version", VERSIONS)


@pytest.fixture(scope="module")
def planned(release: Release) -> Planned:
    """Return the plan of the whole series, made once a release."""

    @cache
    def plan(version: str) -> Plan:
        return plan_for(release(version), version)

    return plan


def plan_for(files: dict[str, bytes], version: str) -> Plan:
    return make_plan(files, upstream="ultralytics", version=version, series=load_series("ultralytics"))


def written_by(edit: Edit) -> tuple[str, ...]:
    """Return what the lines that an edit adds or changes hold."""
    if isinstance(edit, (Insert, Import, Replace)):
        return (edit.code,)
    if isinstance(edit, Argument):
        return (edit.argument,)
    if isinstance(edit, YamlKeys):
        return edit.lines
    if isinstance(edit, Members):
        return edit.members
    if isinstance(edit, LocalVersion):
        return (f"+{edit.local}",)
    raise AssertionError(f"a kind of edit that this test does not know: {edit}")


def changed_lines(old: bytes, new: bytes) -> Iterator[tuple[list[str], list[str]]]:
    """Yield the lines that went and those that came in their place."""
    before, after = (content.decode().splitlines(keepends=True) for content in (old, new))
    for tag, i, j, k, m in difflib.SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        if tag != "equal":
            yield before[i:j], after[k:m]


@every_release
def test_every_patch_fits(planned: Planned, version: str) -> None:
    plan = planned(version)
    assert not plan.broken, "\n\n".join(problem for step in plan.broken for problem in step.problems)
    states = {step.patch.id: step.state for step in plan.steps}
    expected = {p.id: "pending" if p.variant(version) else "excluded" for p in load_series("ultralytics")}
    assert states == expected


@every_release
def test_second_run_finds_everything_applied(release: Release, planned: Planned, version: str) -> None:
    again = plan_for({**release(version), **planned(version).changes}, version)

    assert {step.state for step in again.steps} <= {"applied", "excluded"}
    assert again.changes == {}


@every_release
def test_only_lines_that_a_patch_names_change(release: Release, planned: Planned, version: str) -> None:
    files = release(version)
    series = load_series("ultralytics")
    edits = [edit for patch in series if (variant := patch.variant(version)) for edit in variant.edits]
    plan = planned(version)
    assert set(plan.changes) == {edit.file for edit in edits}

    for path, content in plan.changes.items():
        named = [text for edit in edits if edit.file == path for text in written_by(edit)]
        for gone, come in changed_lines(files[path], content):
            assert len(gone) in {0, len(come)}, (path, gone, come)  # lines come, or change one by one
            assert all(any(text in line for text in named) for line in come), (path, come)


@every_release
def test_each_edit_leaves_its_lines_once_a_site(release: Release, planned: Planned, version: str) -> None:
    files, plan = release(version), planned(version)
    for patch in load_series("ultralytics"):
        variant = patch.variant(version)
        for edit in variant.edits if variant else ():
            added = [line for _, come in changed_lines(files[edit.file], plan.changes[edit.file]) for line in come]
            for text in written_by(edit):
                if isinstance(edit, (Insert, Import)):
                    assert [line.strip() for line in added].count(text) == edit.count
                elif isinstance(edit, (Replace, Argument, LocalVersion)):
                    assert sum(line.count(text) for line in added) == edit.count


@every_release
def test_edited_files_compile(planned: Planned, version: str) -> None:
    for path, content in planned(version).changes.items():
        if path.endswith(".py"):
            compile(content, path, "exec", dont_inherit=True)


@every_release
def test_any_part_of_the_series_can_be_left_out(release: Release, version: str) -> None:
    files = release(version)
    series = [patch for patch in load_series("ultralytics") if patch.variant(version)]
    for patch in series:
        (step,) = make_plan(files, upstream="ultralytics", version=version, series=[patch]).steps
        assert step.state == "pending"


def test_planning_is_fast(release: Release) -> None:
    files = release("8.4.190")
    load_series("ultralytics")
    start = time.process_time()
    plan_for(files, "8.4.190")
    assert time.process_time() - start < 3  # it takes 0.8 s; a visitor over every file takes ten times that
