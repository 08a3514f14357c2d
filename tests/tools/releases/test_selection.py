"""`--releases` and `--shard`: which releases a matrix is about."""

from __future__ import annotations

import pytest

from slimfork.codemods.patch import load_series
from slimfork.forks import overlay
from slimfork.releases import pins
from slimfork.releases.exclusions import reason
from slimfork.releases.selection import representative, select, shard
from slimfork.terminal.content import overlay_root
from slimfork.terminal.errors import UsageError
from slimfork.terminal.naming import UPSTREAMS

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


@pytest.mark.parametrize("upstream", UPSTREAMS)
def test_representatives_have_every_documented_variant_every_patch_and_every_line_of_the_overlay(upstream):
    pinned, series = pins.load(upstream), load_series(upstream)
    versions = [version for version, _ in representative(upstream)]
    assert [pin.version for pin in select("representative", pinned, series, upstream)] == versions
    assert not [v for v in versions if reason(upstream, v)]
    check_every_variant(versions, [patch for patch in series if not patch.compat])
    for patch in series:
        assert any(map(patch.variant, versions)), patch.id
    possible = [pin.version for pin in pinned if not reason(upstream, pin.version)]
    lines = {frozenset(overlay.overlay_files(upstream, version).items()) for version in possible}
    assert lines == {frozenset(overlay.overlay_files(upstream, version).items()) for version in versions}
    assert (overlay_root() / upstream).is_dir()


@pytest.mark.usefixtures("tagged")
def test_an_upstream_without_representatives_says_what_else_there_is():
    with pytest.raises(UsageError, match="no release of yolov5 is named as representative"):
        select("representative", pins.load("yolov5"), load_series("yolov5"), "yolov5")


def test_representatives_say_what_they_stand_for():
    assert all(len(why) > 4 for upstream in UPSTREAMS for _, why in representative(upstream))


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


def chosen_of_yolov5(spec):
    return [pin.version for pin in select(spec, pins.load("yolov5"), load_series("yolov5"), "yolov5")]


def test_the_releases_of_yolov5_are_those_of_the_index_then_the_tags():
    versions = chosen_of_yolov5("all")
    assert len(versions) == 60
    assert versions[52:] == ["7.0.13", "7.0.14", "v5.0", "v6.0", "v6.1", "v6.2", "v7.0", "master"]


@pytest.mark.parametrize(
    ("spec", "versions"),
    [
        ("v7.0,7.0.14", ["7.0.14", "v7.0"]),
        ("7.0", ["7.0.0"]),
        ("master", ["master"]),
        ("master, v5.0", ["v5.0", "master"]),
        ("newest", ["v7.0"]),
        (">=7.0.13", ["7.0.13", "7.0.14"]),
    ],
)
def test_a_tag_is_meant_by_its_name_and_a_range_is_of_versions(spec, versions):
    assert chosen_of_yolov5(spec) == versions


@pytest.mark.parametrize("count", [5, 40])
def test_a_sample_of_yolov5_has_every_variant_tags_among_them(count):
    versions = chosen_of_yolov5(f"sample:{count}")
    assert not [v for v in versions if reason("yolov5", v)]
    assert {version[0] for version in versions} >= set("567v")
    check_every_variant(versions, load_series("yolov5"))


@pytest.mark.parametrize("spec", ["v7.1", "mister", "v7.0,v7.1"])
def test_a_tag_that_is_not_pinned_is_refused_with_all_tags(spec):
    with pytest.raises(UsageError, match=r"is not pinned; nearest: v5.0, v6.0, v6.1, v6.2, v7.0, master"):
        chosen_of_yolov5(spec)


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
