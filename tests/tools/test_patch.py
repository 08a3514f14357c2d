"""A patch has one variant for a release, and a series has one order."""

from __future__ import annotations

from dataclasses import FrozenInstanceError

import pytest

from slimfork.codemod import Import
from slimfork.content import patches_root
from slimfork.errors import UsageError
from slimfork.patch import Patch, Variant, load_series

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


@pytest.mark.parametrize("version", ["v7.0", "7.0"])
def test_tags_are_versions(version: str) -> None:
    assert Variant(versions=">=5.0,<=7.0", edits=EDITS).covers(version)


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
