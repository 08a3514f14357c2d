"""The static checks of a patched file: green on what is right, and each of them red on what it is there for."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest

from slimfork.codemods.codemod import Insert, Source
from slimfork.codemods.patch import load_series
from slimfork.codemods.settings import LocalVersion, YamlKeys
from slimfork.matrix.static import FileReport, by_file, judge
from tests.patches.cases import patch_named

PATH = "ultralytics/utils/loss.py"
OLD = b"class Loss:\n    def decode(self, x):\n        x = x.view(1)\n        return x\n\n\ny = 1\n"
RIGHT = Insert(file=PATH, within=("Loss", "decode"), anchor="x = x.view(1)", code="x = x + 0")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sloppy(Insert):
    """An edit that changes more than it says."""

    def apply(self, source: Source) -> Source:
        return Source(Insert.apply(self, source).content.replace(b"y = 1", b"y = 2"))


def report(edit, old=OLD, version="8.0.100"):
    patch = patch_named("loss_device")
    series = [replace(patch, variants=(replace(patch.variants[0], edits=(edit,)),))]
    return judge(PATH, old, series, upstream="ultralytics", version=version)


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_a_line_after_a_last_one_without_an_end_is_no_change_of_that(end):
    patch = patch_named("loss_device")
    edit = YamlKeys(file="hyp.yaml", after="b", lines=("sl: 0.0",))
    series = [replace(patch, variants=(replace(patch.variants[0], edits=(edit,)),))]
    found = judge("hyp.yaml", b"a: 1" + end + b"b: 2", series, upstream="ultralytics", version="8.0.100")
    assert (red(found), found.content) == ([], b"a: 1" + end + b"b: 2" + end + b"sl: 0.0")


def red(found):
    return [name for name in ("fits", "bytes", "compile", "again", "revert") if getattr(found, name)]


def test_a_right_edit_is_green():
    found = report(RIGHT)
    assert red(found) == []
    assert found.states == {"loss_device": "pending"}
    assert found.content == OLD.replace(b"view(1)\n", b"view(1)\n        x = x + 0\n")


@pytest.mark.parametrize(
    ("old", "words"),
    [
        (OLD.replace(b"view", b"reshape"), "expected 1 site, found none"),
        (OLD.replace(b"        x = x.view(1)\n", b"        x = x.view(1)\n" * 2), "found 2 without the edit"),
        (OLD.replace(b"decode", b"unpack"), "expected 1 site, found none"),
        (b"class Loss(:\n", "does not parse"),
        (None, "the file does not exist"),
    ],
)
def test_an_anchor_that_is_not_there_once_does_not_fit(old, words):
    found = report(RIGHT, old)
    assert found.fits.startswith(f"loss_device at {PATH} :: Loss.decode (ultralytics 8.0.100): ")
    assert words in found.fits
    assert red(found) == ["fits"]
    assert found.states == {"loss_device": "broken"}


def test_a_line_that_no_edit_names_is_found():
    found = report(Sloppy(file=PATH, within=("Loss", "decode"), anchor="x = x.view(1)", code="x = x + 0"))
    assert found.bytes == "a line that no edit names has changed: 'y = 2'"
    assert red(found) == ["bytes"]


def test_what_does_not_compile_is_found_by_the_plan():
    assert "would not compile" in report(replace(RIGHT, code="return await x")).fits


def test_a_user_line_survives_and_the_rest_is_what_it_was():
    assert report(RIGHT, OLD.removesuffix(b"\n")).revert == ""


def test_an_edit_that_upstream_has_made_is_upstreamed_and_green():
    edit = replace(RIGHT, upstream_form="x = x.to(...)")
    found = report(edit, OLD.replace(b"        return x", b"        x = x.to(0)\n        return x"))
    assert (found.states, red(found)) == ({"loss_device": "upstreamed"}, [])


def test_a_report_survives_being_kept():
    found = report(RIGHT, OLD + b"# \xff\n")
    assert FileReport.from_json(found.as_json()) == found


def test_every_edit_of_a_release_is_in_the_part_of_its_file():
    series = load_series("ultralytics")
    parts = by_file(series, "8.0.100")
    pieces = [p for part in parts.values() for p in part]
    for patch in series:
        variant = patch.variant("8.0.100")
        own = [p for p in pieces if p.id == patch.id]
        there = [e for p in own for e in p.variants[0].edits]
        assert sorted(map(repr, there)) == sorted(map(repr, variant.edits if variant else ()))
    for path, part in parts.items():
        assert all(edit.file == path for piece in part for edit in piece.variants[0].edits)


def test_a_newer_release_has_the_parts_of_the_newest():
    series = load_series("ultralytics")
    assert by_file(series, "8.9.0") == by_file(series, "8.4.190")


def test_a_version_is_marked_by_its_local_part():
    edit = LocalVersion(file="a.py", local="slim1")
    assert edit.marks == ("+slim1",)


def test_an_edit_that_upstream_wrote_as_we_do_is_upstreamed_too():
    found = report(RIGHT, report(RIGHT).content)
    assert (found.states, red(found)) == ({"loss_device": "upstreamed"}, [])
