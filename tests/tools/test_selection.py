"""`--releases` and `--shard`: which releases a matrix is about."""

from __future__ import annotations

import pytest

from slimfork import overlay, pins
from slimfork.content import overlay_root
from slimfork.errors import UsageError
from slimfork.exclusions import reason
from slimfork.patch import load_series
from slimfork.selection import representative, select, shard

PINNED = pins.load("ultralytics")
SERIES = load_series("ultralytics")


def chosen(spec):
    return [pin.version for pin in select(spec, PINNED, SERIES, "ultralytics")]


def test_all_is_every_pin_oldest_first():
    versions = chosen("all")
    assert len(versions) == len(PINNED) == 865
    assert (versions[0], versions[-1]) == ("0.0.13", "8.4.190")


@pytest.mark.parametrize(
    ("spec", "versions"),
    [
        ("8.4.190,8.0.100", ["8.0.100", "8.4.190"]),
        ("newest", ["8.4.190"]),
        (">=8.0.2,<8.0.5", ["8.0.2", "8.0.3", "8.0.4"]),
        ("==8.0.129", ["8.0.129"]),
    ],
)
def test_forms(spec, versions):
    assert chosen(spec) == versions


@pytest.mark.parametrize("count", [1, 40, 120])
def test_a_sample_has_every_variant_and_no_exclusion(count):
    versions = chosen(f"sample:{count}")
    assert count <= len(versions) <= count + sum(len(patch.variants) for patch in SERIES)
    assert not [v for v in versions if reason("ultralytics", v)]
    check_every_variant(versions)


def check_every_variant(versions, series=SERIES):
    for patch in series:
        for variant in patch.variants:
            assert any(variant.covers(version) for version in versions), (patch.id, variant.versions)


def test_the_ordinary_sample_has_about_forty():
    assert 40 <= len(chosen("sample")) <= 55


def test_representatives_are_pinned_and_have_every_variant_of_what_is_documented_and_every_line_of_the_overlay():
    versions = [version for version, _ in representative("ultralytics")]
    assert chosen("representative") == versions
    assert not [v for v in versions if reason("ultralytics", v)]
    check_every_variant(versions, [patch for patch in SERIES if not patch.compat])
    assert not [p.id for p in SERIES if not any(p.variant(version) for version in versions)]
    possible = [version for version in chosen("all") if not reason("ultralytics", version)]
    lines = {frozenset(overlay.overlay_files("ultralytics", version)) for version in possible}
    assert lines == {frozenset(overlay.overlay_files("ultralytics", version)) for version in versions}
    assert (overlay_root() / "ultralytics").is_dir()


def test_representatives_say_what_they_stand_for():
    assert all(len(why) > 4 for _, why in representative("ultralytics"))


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("8.0.999", "ultralytics 8.0.999 is not pinned; nearest: "),
        ("some", "none of its forms"),
        (">=9", "no pinned release of ultralytics is >=9"),
        ("<<3", "none of its forms"),
    ],
)
def test_anything_else_is_refused_with_the_forms(spec, words):
    with pytest.raises(UsageError, match=words) as error:
        chosen(spec)
    assert "representative" in (error.value.hint or "")


@pytest.mark.parametrize("parts", [1, 3, 7])
def test_shards_are_all_releases_once_and_keep_neighbours(parts):
    files = select("all", PINNED, SERIES, "ultralytics")
    split = [shard(files, f"{i}/{parts}") for i in range(1, parts + 1)]
    assert [pin for part in split for pin in part] == files
    assert max(map(len, split)) - min(map(len, split)) <= 1


@pytest.mark.parametrize("text", ["0/3", "4/3", "1", "a/b", "1/0"])
def test_a_wrong_shard_is_refused(text):
    with pytest.raises(UsageError, match="--shard"):
        shard([], text)
