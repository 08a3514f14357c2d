"""What is demanded of every patch, whoever writes it."""

from __future__ import annotations

import ast
import importlib
from functools import cache

import pytest
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from slimfork import pins
from slimfork.content import patches_root
from slimfork.patch import UPSTREAMS, Patch, Variant, load_series

PATCHES = [
    pytest.param(upstream, patch, id=f"{upstream}-{patch.id}")
    for upstream in UPSTREAMS
    for patch in load_series(upstream)
]
JOURNEYS = ("8.0.100", "8.4.190")  # the releases that the whole journey is promised for

every_patch = pytest.mark.parametrize(("upstream", "patch"), PATCHES)


@cache
def releases(upstream: str) -> tuple[str, ...]:
    return tuple(pin.version for pin in pins.load(upstream) if not pin.is_tag)


def bounds(variant: Variant) -> tuple[list[Version], list[Version]]:
    specs = list(SpecifierSet(variant.versions))
    lower = [Version(spec.version) for spec in specs if spec.operator in {">=", ">"}]
    upper = [Version(spec.version) for spec in specs if spec.operator in {"<=", "<"}]
    return lower, upper


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
def test_ranges_are_closed_and_hold_a_pinned_release(upstream: str, patch: Patch) -> None:
    assert patch.variants
    for variant in patch.variants:
        lower, upper = bounds(variant)
        assert len(lower) == len(upper) == 1, variant.versions
        assert any(variant.covers(version) for version in releases(upstream)), variant.versions


@every_patch
def test_ends_of_ranges_are_pinned_releases(upstream: str, patch: Patch) -> None:
    for variant in patch.variants:
        ends = {str(end) for bound in bounds(variant) for end in bound}
        assert ends <= set(releases(upstream))


@every_patch
def test_at_most_one_variant_fits_each_release(upstream: str, patch: Patch) -> None:
    for version in releases(upstream):
        assert sum(variant.covers(version) for variant in patch.variants) <= 1, version


@every_patch
def test_variants_of_an_edit_leave_no_release_out(upstream: str, patch: Patch) -> None:
    covered = [version for version in releases(upstream) if patch.variant(version)]
    first, last = map(Version, (covered[0], covered[-1]))
    assert covered == [version for version in releases(upstream) if first <= Version(version) <= last]


@pytest.mark.parametrize("version", JOURNEYS)
def test_every_edit_that_is_not_for_compatibility_fits(version: str) -> None:
    documented = [patch for patch in load_series("ultralytics") if not patch.compat]
    assert {"keep_architecture", "loss_device", "sparsity", "version"} <= {patch.id for patch in documented}
    for patch in documented:
        assert sum(variant.covers(version) for variant in patch.variants) == 1, patch.id


def test_newest_release_needs_no_compatibility() -> None:
    assert not [patch.id for patch in load_series("ultralytics") if patch.compat and patch.variant("8.4.190")]


@every_patch
def test_every_edit_expects_a_site_and_names_its_place(upstream: str, patch: Patch) -> None:
    del upstream
    for variant in patch.variants:
        assert variant.edits
        for edit in variant.edits:
            assert edit.count >= 1
            assert edit.anchor.strip()
            assert not edit.file.startswith(("/", "."))


@every_patch
def test_has_a_test_with_a_case_for_each_variant(upstream: str, patch: Patch) -> None:
    module = importlib.import_module(f"tests.patches.{upstream}.test_{patch.id}")
    for variant in patch.variants:
        cases = [case for case in module.CASES if variant.covers(case.version)]
        assert cases, f"no before and after for {variant.versions}"
        for case in cases:
            assert set(case.before) == set(case.after) == {edit.file for edit in variant.edits}


def test_no_test_without_its_patch() -> None:
    for upstream in UPSTREAMS:
        ids = {patch.id for patch in load_series(upstream)}
        folder = patches_root().parent / "tests" / "patches" / upstream
        series = {"test_releases", "test_still_fits", "test_breaks"}  # they are about all of them
        tests = {path.stem for path in folder.glob("test_*.py")} - series
        assert tests == {f"test_{name}" for name in ids}
