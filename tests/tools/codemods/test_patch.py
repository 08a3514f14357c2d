"""A patch has one variant for a release, and a series has one order."""

from __future__ import annotations

from dataclasses import FrozenInstanceError

import pytest
from packaging.version import Version

from slimfork.codemods.codemod import Import
from slimfork.codemods.patch import Patch, Variant, known_as, load_series, newest_known
from slimfork.terminal.content import patches_root
from slimfork.terminal.errors import UsageError

EDITS = (Import(file="a.py", code="import a"),)
OLD = Variant(versions=">=8.0.35,<=8.0.135", edits=EDITS)
NEW = Variant(versions=">=8.0.136,<8.5", edits=EDITS)
PATCH = Patch(id="p", title="Do it", why="it is needed", until="it is not", variants=(OLD, NEW))


@pytest.mark.parametrize("version", ["8.0.35", "8.0.100", "8.0.135", "8.0.135+slim1", "8.0.100rc1", "8.0.100.post1"])
def test_range_covers_its_ends_and_what_is_between(version: str) -> None:
    assert OLD.covers(version)


@pytest.mark.parametrize("version", ["0.0.44", "8.0.34", "8.0.35rc1", "8.0.136", "8.0.135.post1", "8.4.190", "80.0"])
def test_range_covers_nothing_else(version: str) -> None:
    assert not OLD.covers(version)


TAGGED = Variant(versions=">=6.2,<=7.0.14", tags=("v6.2", "v7.0", "master"), edits=EDITS)


@pytest.mark.parametrize("name", ["v6.2", "v7.0", "master", "6.2", "7.0.14"])
def test_variant_covers_its_tags_and_its_range(name: str) -> None:
    assert TAGGED.covers(name)


@pytest.mark.parametrize("name", ["v6.1", "v7", "v7.0.14", "main", "6.1", "7.0.15"])
def test_tag_is_covered_by_name_and_not_by_number(name: str) -> None:
    assert not TAGGED.covers(name)
    assert not Variant(versions=">=5.0,<=7.0", edits=EDITS).covers("v7.0")
    assert not Variant(tags=("v7.0",), edits=EDITS).covers("7.0")


def test_newest_known_is_a_published_version_and_never_a_tag() -> None:
    only_tags = Variant(tags=("v5.0", "v6.0"), edits=EDITS)
    series = (Patch(id="p", title="t", why="w", until="u", variants=(TAGGED, only_tags)),)
    assert only_tags.last is None
    assert newest_known(series) == Version("7.0.14")
    assert newest_known((Patch(id="p", title="t", why="w", until="u", variants=(only_tags,)),)) is None


@pytest.mark.parametrize(("name", "tried"), [("master", "master"), ("v99.0", "v99.0"), ("7.0.15", "7.0.14")])
def test_only_a_published_version_can_be_newer_than_the_patches(name: str, tried: str) -> None:
    series = (Patch(id="p", title="t", why="w", until="u", variants=(TAGGED,)),)
    assert known_as(series, name) == tried


def test_variant_says_its_releases_in_words() -> None:
    assert TAGGED.span == ">=6.2,<=7.0.14 or v6.2, v7.0, master"
    assert Variant(tags=("v5.0",), edits=EDITS).span == "v5.0"


def test_variant_is_that_of_the_release() -> None:
    assert PATCH.variant("8.0.100") is OLD
    assert PATCH.variant("8.4.190") is NEW
    assert PATCH.variant("8.4.190+slim1") is NEW
    assert PATCH.variant("8.0.34") is None
    assert PATCH.variant("8.5.0") is None


def test_patches_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        PATCH.id = "other"  # type: ignore[misc]


def test_series_is_every_file_compatibility_first_then_by_name() -> None:
    series = load_series("ultralytics")
    names = [patch.id for patch in series]
    assert sorted(names) == sorted(path.stem for path in (patches_root() / "ultralytics").glob("*.py"))
    compat = [patch.id for patch in series if patch.compat]
    assert names == sorted(compat) + sorted(set(names) - set(compat))
    assert compat


def test_series_is_loaded_once() -> None:
    assert load_series("ultralytics") is load_series("ultralytics")


def test_unknown_upstream_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match="unknown upstream 'ultralytic'") as refused:
        load_series("ultralytic")
    assert refused.value.hint == "one of: ultralytics, yolov5"
