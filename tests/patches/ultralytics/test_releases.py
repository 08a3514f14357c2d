"""The series on the sources of published releases, as they are on the package index."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from slimfork.codemods.codemod import Import
from slimfork.codemods.patch import load_series
from slimfork.codemods.patch_plan import plan_patches
from slimfork.codemods.settings import Members
from slimfork.releases.exclusions import reason
from tests.patches.cases import all_ends, check_only_marked_lines, step, variant_of
from tests.sampling import sampled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from slimfork.codemods.codemod import Edit
    from slimfork.codemods.patch import Patch
    from slimfork.codemods.patch_plan import PatchPlan

    Release = Callable[[str], dict[str, bytes]]

SERIES = load_series("ultralytics")
JOURNEYS = ("8.0.100", "8.4.190")  # the releases that the whole journey was first promised for


def sample() -> list[str]:
    """Return the journeys, and first or last releases of ranges until every variant of every patch has one."""
    candidates = list(dict.fromkeys(end for patch in SERIES for end in all_ends(patch)))
    of = {version: variants(version) for version in (*candidates, *JOURNEYS)}
    chosen = list(JOURNEYS)
    while missing := set[tuple[str, str]]().union(*of.values()).difference(*(of[version] for version in chosen)):
        chosen.append(max(candidates, key=lambda end: len(of[end] & missing)))
    return chosen


def variants(version: str) -> set[tuple[str, str]]:
    """Return the patches of a release, each with the range of its variant."""
    return {(patch.id, variant.versions) for patch in SERIES if (variant := patch.variant(version))}


SAMPLE = sample()


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """A release, and what the whole series would do to it."""

    version: str
    files: Mapping[str, bytes]
    plan: PatchPlan

    @property
    def edits(self) -> Iterator[Edit]:
        return (edit for patch in SERIES for edit in patch.edits(self.version))


@pytest.fixture(scope="module", params=sampled(SAMPLE, by_default=JOURNEYS))
def planned(release: Release, request: pytest.FixtureRequest) -> Planned:
    """Return a release of the sample; pytest runs all tests of one before it makes the next."""
    files = release(request.param)
    return Planned(version=request.param, files=files, plan=plan_for(files, request.param))


def plan_for(files: Mapping[str, bytes], version: str) -> PatchPlan:
    return plan_patches(files, upstream="ultralytics", version=version, series=SERIES)


def test_sample_has_every_variant_of_every_patch() -> None:
    assert set(JOURNEYS) < set(SAMPLE)
    for patch in SERIES:
        for variant in patch.variants:
            assert any(variant.covers(version) for version in SAMPLE), (patch.id, variant.versions)


def test_every_patch_fits(planned: Planned) -> None:
    plan = planned.plan
    assert not plan.broken, "\n\n".join(problem for step in plan.broken for problem in step.problems)
    states = {step.patch.id: step.state for step in plan.steps}
    assert states == {patch.id: "pending" if patch.variant(planned.version) else "excluded" for patch in SERIES}


def test_second_run_finds_everything_applied(planned: Planned) -> None:
    again = plan_for({**planned.files, **planned.plan.changes}, planned.version)

    assert {step.state for step in again.steps} <= {"applied", "excluded"}
    assert again.changes == {}


def test_only_lines_that_a_patch_names_change(planned: Planned) -> None:
    assert set(planned.plan.changes) == {edit.file for edit in planned.edits}

    for path, content in planned.plan.changes.items():
        here = [edit for edit in planned.edits if edit.file == path]
        named = [mark for edit in here for mark in edit.marks]
        check_only_marked_lines(planned.files[path], content, named)


def test_each_edit_leaves_its_mark_once_a_site(planned: Planned) -> None:
    for edit in planned.edits:
        before, after = (files[edit.file].decode() for files in (planned.files, planned.plan.changes))
        for mark in edit.marks:
            pattern = rf"(['\"]){mark}\1" if isinstance(edit, Members) else re.escape(mark)
            assert len(re.findall(pattern, after)) - len(re.findall(pattern, before)) == edit.count, mark


def test_imports_stand_before_the_code(planned: Planned) -> None:
    for edit in planned.edits:
        if isinstance(edit, Import):
            above = planned.plan.changes[edit.file].decode().partition(f"\n{edit.code}")[0]
            assert not re.search(r"^(?:class|def|if|try)\b", above, re.MULTILINE)


def test_edited_files_compile(planned: Planned) -> None:
    for path, content in planned.plan.changes.items():
        if path.endswith(".py"):
            compile(content, path, "exec", dont_inherit=True)


ENDS = [(patch, end) for patch in SERIES for end in all_ends(patch)]
OTHER_ENDS = [
    pytest.param(patch, end, id=f"{patch.id}-{end}") for patch, end in ENDS if end not in SAMPLE or end in JOURNEYS
]


@pytest.mark.slow  # the matrix has them as well
@pytest.mark.parametrize(("patch", "version"), OTHER_ENDS)
def test_other_ends_of_ranges_take_the_patch_alone(release: Release, patch: Patch, version: str) -> None:
    done = step(patch, release(version), version)
    assert done.state == "pending", "\n".join(done.problems)
    assert set(done.changes) == {edit.file for edit in variant_of(patch, version).edits}


def test_releases_that_are_excluded_have_nothing_to_patch(release: Release) -> None:
    for version in ("0.0.44", "8.0.129"):
        assert reason("ultralytics", version)
        assert "ultralytics/__init__.py" not in release(version)


def test_planning_is_fast(release: Release) -> None:
    files = release("8.4.190")
    start = time.process_time()
    plan_for(files, "8.4.190")
    assert time.process_time() - start < 3  # it takes 0.8 s; a visitor over every file takes ten times that
