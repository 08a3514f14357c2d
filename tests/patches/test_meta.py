"""What is demanded of every patch, whoever writes it."""

from __future__ import annotations

import ast
import importlib
from typing import TYPE_CHECKING

import pytest
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from slimfork.codemods.patch import load_series
from slimfork.releases.exclusions import reason
from slimfork.terminal.content import patches_root
from slimfork.terminal.naming import UPSTREAMS
from tests.patches.cases import FRAGMENTS, all_ends, coverage, ends_of, releases, tags

if TYPE_CHECKING:
    from slimfork.codemods.patch import Patch

PATCHES = [
    pytest.param(upstream, patch, id=f"{upstream}-{patch.id}")
    for upstream in UPSTREAMS
    for patch in load_series(upstream)
]
DOCUMENTED = [param for param in PATCHES if not param.values[1].compat]

APART = {("yolov5", "no_validation")}  # upstream had mended it for a while
# Where what an edit changes came with a later release.
SINCE = {("ultralytics", "small_export"): "8.4.81", ("ultralytics", "growth_warning"): "8.0.54"}

every_patch = pytest.mark.parametrize(("upstream", "patch"), PATCHES)
every_documented_patch = pytest.mark.parametrize(("upstream", "patch"), DOCUMENTED)


def to_patch(upstream: str) -> list[str]:
    """Return the pinned releases that have a detector in them, and of YOLOv5 its training script."""
    first = {"ultralytics": Version("8"), "yolov5": Version("5")}[upstream]
    return [version for version in releases(upstream) if Version(version) >= first]


def test_ids_are_the_file_names() -> None:
    for upstream in UPSTREAMS:
        names = {path.stem for path in (patches_root() / upstream).glob("[!_]*.py")}
        assert {patch.id for patch in load_series(upstream)} == names


@every_patch
def test_title_is_an_imperative_subject_line(upstream: str, patch: Patch) -> None:
    del upstream
    first = patch.title.split()[0]
    assert first == first.capitalize()
    assert not first.endswith(("s", "ed", "ing"))
    assert not patch.title.endswith(".")
    assert len(patch.title) <= 60  # git log --oneline
    assert "\n" not in patch.title


@every_patch
def test_says_why_it_exists_and_when_it_may_go(upstream: str, patch: Patch) -> None:
    source = (patches_root() / upstream / f"{patch.id}.py").read_text(encoding="utf-8")
    assert ast.get_docstring(ast.parse(source))
    assert len(source.splitlines()) <= 80
    for text in (patch.why, patch.until):
        assert len(text.split()) > 3
        assert "\n" not in text


@every_patch
def test_ranges_are_closed_and_in_order(upstream: str, patch: Patch) -> None:
    assert patch.variants
    ranges = [variant for variant in patch.variants if variant.versions]
    for variant in ranges:
        operators = [spec.operator for spec in SpecifierSet(variant.versions)]
        assert sorted(operators) == ["<=", ">="], variant.versions
    ends = [Version(end) for variant in ranges for end in ends_of(variant)]
    named = [tag for variant in patch.variants for tag in variant.tags]
    assert named == [tag for tag in tags(upstream) if tag in named], "a tag is named twice, or out of order"
    assert ends == sorted(ends)
    assert all(last < first for last, first in zip(ends[1::2], ends[2::2], strict=False)), "two ranges meet"


@every_patch
def test_ends_of_ranges_are_pinned_releases(upstream: str, patch: Patch) -> None:
    assert set(all_ends(patch)) <= set(releases(upstream))


@every_patch
def test_at_most_one_variant_fits_each_release(upstream: str, patch: Patch) -> None:
    assert set(coverage(patch, upstream).values()) <= {0, 1}


@every_patch
def test_variants_of_an_edit_leave_no_release_out(upstream: str, patch: Patch) -> None:
    covered = [version for version, count in coverage(patch, upstream).items() if count]
    if not covered or (upstream, patch.id) in APART:
        return
    first, last = map(Version, (covered[0], covered[-1]))
    assert covered == [version for version in releases(upstream) if first <= Version(version) <= last]


@every_documented_patch
def test_exactly_one_variant_of_a_documented_edit_fits_every_release(upstream: str, patch: Patch) -> None:
    since = Version(SINCE.get((upstream, patch.id), "0"))
    wanted = [version for version in to_patch(upstream) if Version(version) >= since]
    assert [version for version, count in coverage(patch, upstream).items() if count] == wanted
    assert [tag for variant in patch.variants for tag in variant.tags] == list(tags(upstream))


def test_every_documented_edit_is_there() -> None:
    documented = {patch.id for patch in load_series("ultralytics") if not patch.compat}
    assert {"keep_architecture", "loss_device", "sparsity", "version"} <= documented
    assert {patch.id for patch in load_series("yolov5") if not patch.compat} >= {"keep_architecture", "sparsity"}
    # As many as there were when this was written:
    assert len(to_patch("ultralytics")) >= 833
    assert len(to_patch("yolov5")) + len(tags("yolov5")) >= 45 + 6


def test_releases_that_can_never_be_patched_say_why() -> None:
    reasons = {version: why for version in releases("ultralytics") if (why := reason("ultralytics", version))}
    assert set(reasons) == {version for version in releases("ultralytics") if version.startswith("0.0.")} | {"8.0.129"}
    for why in reasons.values():
        assert len(why.split()) > 3
        assert "\n" not in why


def test_newest_release_needs_no_compatibility() -> None:
    newest = releases("ultralytics")[-1]
    assert not [patch.id for patch in load_series("ultralytics") if patch.compat and patch.variant(newest)]


@every_patch
def test_every_edit_expects_a_site_and_names_its_place(upstream: str, patch: Patch) -> None:
    del upstream
    for variant in patch.variants:
        assert variant.edits
        for edit in variant.edits:
            assert edit.count >= 1
            assert edit.anchor.strip()
            assert edit.marks
            assert all(len(mark) > 3 for mark in edit.marks)
            assert not edit.file.startswith(("/", "."))


@pytest.mark.parametrize(("upstream", "patch"), [p for p in PATCHES if p.values[0] in FRAGMENTS])
def test_has_a_test_with_a_case_for_each_variant(upstream: str, patch: Patch) -> None:
    module = importlib.import_module(f"tests.patches.{upstream}.test_{patch.id}")
    for variant in patch.variants:
        cases = [case for case in module.CASES if variant.covers(case.version)]
        assert cases, f"no before and after for {variant.versions}"
        for case in cases:
            assert set(case.before) == set(case.after) == {edit.file for edit in variant.edits}


def test_no_test_without_its_patch() -> None:
    for upstream in FRAGMENTS:
        ids = {patch.id for patch in load_series(upstream)}
        folder = patches_root().parent / "tests" / "patches" / upstream
        series = {"test_releases", "test_still_fits", "test_breaks", "test_breaks_old", "test_other_trees"}
        series |= {"test_mutations_by_meaning"}
        tests = {path.stem for path in folder.glob("test_*.py")} - series
        assert tests == {f"test_{name}" for name in ids}
