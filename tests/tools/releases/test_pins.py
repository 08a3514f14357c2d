"""The lock files pin every published release, are parsed strictly, and specs find what they name."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from datetime import date

import pytest
from packaging.version import Version

from slimfork.releases import pins
from slimfork.releases.pins import Pin, find, format_line, load, nearest, parse, parse_line, save
from slimfork.terminal.content import patches_root
from slimfork.terminal.errors import UsageError
from slimfork.terminal.naming import UPSTREAMS

SHA256 = "c7a0ebb21d10f1de98682b6a4dc22bc0d1d0634b9398c086bd03b1e5bf40cbc3"
GOOD = format_line(next(pin for pin in load("ultralytics") if pin.version == "8.4.190"))
TAG = format_line(find("yolov5@v7.0"))


@pytest.fixture
def locks(tmp_path, monkeypatch):
    """An empty folder of locks."""
    monkeypatch.setattr(pins, "patches_root", lambda: tmp_path)
    return tmp_path


def test_every_release_of_ultralytics_is_pinned():
    versions = [Version(pin.version) for pin in load("ultralytics")]
    lines = Counter(version.release[:2] for version in versions if version <= Version("8.4.190"))
    assert lines == {(0, 0): 32, (8, 0): 240, (8, 1): 48, (8, 2): 104, (8, 3): 250, (8, 4): 191}
    assert sum(lines.values()) == 865


def test_every_release_and_tag_of_yolov5_is_pinned():
    pinned = load("yolov5")
    artifacts = [pin for pin in pinned if not pin.is_tag]
    assert [pin.version for pin in artifacts[:54][::53]] == ["4.0.3", "7.0.14"]
    assert {pin.spec: pin.commit[:7] for pin in pinned if pin.is_tag} == {
        "yolov5@v5.0": "f5b8f7d",
        "yolov5@v6.0": "956be8e",
        "yolov5@v6.1": "3752807",
        "yolov5@v6.2": "d3ea0df",
        "yolov5@v7.0": "915bbf2",
        "yolov5@master": "5081342",
    }
    assert [pin.version for pin in pinned[54:]] == ["v5.0", "v6.0", "v6.1", "v6.2", "v7.0", "master"]


def test_yanked_releases_say_why():
    yanked = {pin.version: pin.yanked for pin in load("ultralytics") if pin.yanked}
    known = "8.0.12 8.0.15 8.0.129 8.0.174 8.0.177 8.1.21 8.1.31 8.2.7 8.2.47 8.4.35 8.4.44"
    assert set(known.split()) <= set(yanked)
    assert yanked["8.4.44"] == "removes pretrained weights"


@pytest.mark.parametrize("upstream", UPSTREAMS)
def test_a_lock_is_sorted_complete_and_names_no_host(upstream):
    pinned = load(upstream)
    assert list(pinned) == sorted(pinned, key=lambda pin: pin.order)
    for pin in pinned:
        assert pin.uploaded is not None
        assert pin.is_tag or (len(pin.sha256) == 64 and pin.size > 0 and pin.version in pin.filename)
    assert not re.search(r"https?:|\.org|\.com", (patches_root() / f"{upstream}.lock").read_text())


@pytest.mark.parametrize("upstream", UPSTREAMS)
def test_saving_what_was_loaded_gives_the_same_bytes(upstream, locks):
    before = (patches_root() / f"{upstream}.lock").read_bytes()
    text = before.decode()
    save(upstream, parse(text, upstream=upstream, where="lock")[::-1])
    assert (locks / f"{upstream}.lock").read_bytes() == before
    assert [path.name for path in locks.iterdir()] == [f"{upstream}.lock"]


def test_a_pin_survives_its_line():
    pin = parse_line(GOOD, upstream="ultralytics")
    assert pin.sha256 == SHA256
    assert (pin.filename, pin.size, pin.spec) == ("ultralytics-8.4.190.tar.gz", 1283701, "ultralytics==8.4.190")
    yanked = replace(pin, yanked="why: it [broke] - badly", uploaded=None)
    assert parse_line(format_line(yanked), upstream="ultralytics") == yanked


def test_a_pin_is_plain_data_for_machines():
    tag = parse_line(TAG, upstream="yolov5").as_json()
    assert tag["spec"] == "yolov5@v7.0"
    assert tag["uploaded"] == "2022-11-22"
    assert tag["sha256"] is tag["size"] is tag["filename"] is tag["yanked"] is None


BAD_LINES = {
    "": "not a pin",
    "8.4.190": "not a pin",
    GOOD.upper(): "not a pin",
    GOOD.replace(SHA256, SHA256[:-1]): "not a pin",
    GOOD.replace("ultralytics-8", "../ultralytics-8"): "not a pin",
    GOOD + "  yanked:": "not a pin",
    GOOD.replace("8.4.190 ", "8.4.x   ", 1): "Invalid version",
    GOOD.replace(">=3.8", "=3.8>"): "Invalid specifier",
    re.sub(r"\d{4}-\d\d-\d\d", "2026-13-01", GOOD): "month",
    GOOD.replace("1283701", "      -"): "must have a size and a file",
    GOOD.replace("ultralytics-8.4.190.tar.gz", "-"): "must have a size and a file",
    TAG.replace(" - ", " 7 ", 1): "must have a size and a file",
    TAG.replace("v7.0 ", "7.0  "): "must be a version with a hash, or a git tag with a commit",
    TAG.replace("v7.0 ", "v7/0 "): "must be a version with a hash, or a git tag with a commit",
    GOOD.replace("8.4.190 ", "v8.4.190", 1): "must be a version with a hash, or a git tag with a commit",
    GOOD + " ": "not a pin",
    GOOD.replace("sha256", " sha256"): "not written as `pins refresh` writes it",
}


@pytest.mark.parametrize(("line", "why"), BAD_LINES.items())
def test_a_bad_line_is_an_error_that_names_file_and_line(line, why):
    with pytest.raises(UsageError, match=why) as caught:
        parse(f"# comment\n{line}\n", upstream="ultralytics", where="some.lock")
    assert caught.value.message.startswith("some.lock:2: ")
    assert "\n" not in caught.value.message


@pytest.mark.parametrize("second", [GOOD, GOOD.replace("8.4.190", "8.4.189")])
def test_a_release_comes_once_and_in_order(second):
    with pytest.raises(UsageError, match=r"some.lock:2: 8.4.1.. is pinned twice, or out of order"):
        parse(f"{GOOD}\n{second}\n", upstream="ultralytics", where="some.lock")


def test_a_missing_lock_says_what_to_type(locks):
    with pytest.raises(UsageError, match=re.escape(str(locks))) as caught:
        load("ultralytics")
    assert caught.value.hint == "apply-patches pins refresh ultralytics"


def test_a_lock_that_could_not_be_read_back_is_not_written(locks):
    with pytest.raises(UsageError):
        save("ultralytics", [Pin(upstream="ultralytics", version="1.0", sha256="short", filename="x.tar.gz", size=1)])
    assert list(locks.iterdir()) == []


def test_a_lock_that_cannot_be_written_is_left_as_it_was(locks):
    (locks / "ultralytics.lock").mkdir()  # also root cannot replace a folder by a file
    with pytest.raises(UsageError, match=r"cannot write .*ultralytics\.lock"):
        save("ultralytics", [parse_line(GOOD, upstream="ultralytics")])
    assert [path.name for path in locks.iterdir()] == ["ultralytics.lock"]


@pytest.mark.parametrize(
    ("spec", "found"),
    {
        "ultralytics==8.4.190": "ultralytics==8.4.190",
        "ultralytics == 8.0.100": "ultralytics==8.0.100",
        "Ultralytics==8.0.0": "ultralytics==8.0.0",
        "ultralytics==8.4": "ultralytics==8.4.0",  # PEP 440: trailing zeros do not count
        "yolov5==7.0.14": "yolov5==7.0.14",
        "yolov5==7.0": "yolov5==7.0.0",
        "yolov5@v7.0": "yolov5@v7.0",
        "yolov5@6.2": "yolov5@v6.2",
        "yolov5@7.0": "yolov5@v7.0",
        "yolov5@master": "yolov5@master",
        "yolov5": "yolov5@v7.0",  # the official repository is what people mean
    }.items(),
)
def test_a_spec_finds_its_pin(spec, found):
    assert find(spec).spec == found


@pytest.mark.usefixtures("locks")
def test_no_version_means_the_newest_that_is_not_yanked():
    good = parse_line(GOOD, upstream="ultralytics")
    yanked = replace(good, version="8.4.191", yanked="bad")
    preview = replace(good, version="8.5.0rc1")
    save("ultralytics", [good, yanked, preview])
    assert find("ultralytics") == good


def test_a_yanked_release_can_be_had_with_a_note(capsys):
    assert find("ultralytics==8.4.44").version == "8.4.44"
    assert "ultralytics==8.4.44 was yanked from the index: removes pretrained weights" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("spec", "message", "hint"),
    [
        ("8.4.190", "does not name its upstream", "ultralytics==8.4.190"),
        ("v8.4.190", "does not name its upstream", "ultralytics==8.4.190"),
        ("v7.0", "does not name its upstream", "yolov5@v7.0"),
        ("4.0.3", "does not name its upstream", "yolov5==4.0.3"),
        ("99.9", "does not name its upstream", "ultralytics==99.9"),
        ("", "is not UPSTREAM==VERSION", "ultralytics==VERSION"),
        ("ultralytics>=8", "is not UPSTREAM==VERSION", "ultralytics==VERSION"),
        ("ultralytics==", "is not UPSTREAM==VERSION", "ultralytics==VERSION"),
        ("ultralytics==8.4.*", "is not UPSTREAM==VERSION", "ultralytics==VERSION"),
        ("ultralytics==latest", "is not a version", "ultralytics alone for its newest"),
        ("yolov7==1.0", "unknown upstream 'yolov7'", "ultralytics, yolov5"),
        ("../x==1.0", "is not UPSTREAM==VERSION", "ultralytics==VERSION"),
        ("yolov5==v7.0", "mixes a version and a tag", "yolov5@v7.0"),
        ("ultralytics@v8.4.190", "has no git tags", "ultralytics==8.4.190"),
        ("ultralytics==8.4.191", "nearest: 8.4.190, 8.4.189, 8.4.188", "apply-patches pins list ultralytics"),
        ("ultralytics==8.3.999", "nearest: 8.3.253, 8.3.252, 8.4.0, 8.4.1", "apply-patches pins refresh"),
        ("ultralytics==0.0.1", "nearest: 0.0.13, 0.0.14", "apply-patches pins list ultralytics"),
        ("yolov5@v7.1", "v7.1 is not pinned; the tags are v5.0, v6.0, v6.1, v6.2, v7.0, master", "yolov5@v7.0"),
        ("yolov5@mister", "yolov5@mister is not pinned; the tags are", "yolov5@master, or to pin it: apply-patches"),
        ("yolov5==master", "mixes a version and a tag", "yolov5@master"),
        ("master", "does not name its upstream", "yolov5@master"),
        ("ultralytics@main", "has no git tags", "ultralytics==VERSION"),
    ],
)
def test_a_spec_that_finds_nothing_says_what_would(spec, message, hint):
    with pytest.raises(UsageError) as caught:
        find(spec)
    assert message in caught.value.message
    assert hint in caught.value.hint


@pytest.mark.usefixtures("locks")
def test_tags_come_last_by_date_since_a_name_has_no_order():
    good, tag = parse_line(GOOD, upstream="ultralytics"), parse_line(TAG, upstream="yolov5")
    names = {"v7.0": 22, "zeta": 23, "alpha": 24, "dateless": None}
    tags = [replace(tag, version=name, uploaded=day and date(2022, 11, day)) for name, day in names.items()]
    save("yolov5", [*tags[::-1], good])
    assert [pin.version for pin in load("yolov5")] == ["8.4.190", "dateless", "v7.0", "zeta", "alpha"]


def test_nearest_is_numeric_not_alphabetic():
    pinned = [Pin(upstream="u", version=f"1.{minor}", uploaded=date(2030, 1, 1)) for minor in (2, 9, 10, 100)]
    assert nearest("1.11", pinned) == ["1.10", "1.9", "1.2", "1.100"]
