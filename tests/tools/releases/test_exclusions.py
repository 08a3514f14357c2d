"""Releases that can never be patched are refused with their reason, by every command that would make a fork of one."""

from __future__ import annotations

import pytest

from slimfork.releases import pins
from slimfork.releases.exclusions import reason
from slimfork.releases.fetch import release_files


def test_the_exclusions_are_these_and_no_others():
    excluded = [pin.version for pin in pins.load("ultralytics") if reason("ultralytics", pin.version)]
    placeholders = [pin.version for pin in pins.load("ultralytics") if pin.version.startswith("0.")]
    assert excluded == [*placeholders, "8.0.129"]
    assert len(placeholders) == 32


def test_the_exclusions_of_yolov5_are_its_first_releases_on_the_index():
    excluded = [pin.version for pin in pins.load("yolov5") if reason("yolov5", pin.version)]
    assert excluded == [pin.version for pin in pins.load("yolov5") if pin.version.startswith("4.")]
    assert len(excluded) == 9


@pytest.mark.parametrize("version", [pin.version for pin in pins.load("yolov5") if reason("yolov5", pin.version)])
def test_their_trainer_has_no_options_as_the_reason_says(version):
    files = release_files(pins.find(f"yolov5=={version}"))
    sources = {name: file.content for name, file in files.items() if name.endswith(".py")}
    assert b"def train(hyp, opt, device" in sources["yolov5/train.py"]
    assert not [name for name, source in sources.items() if b'"--hyp"' in source or b"'--hyp'" in source]


def test_an_upstream_without_such_a_file_has_none(tagged):
    assert tagged.path.is_dir()
    assert reason("yolov5", "7.0.14") is None


@pytest.mark.parametrize(("version", "words"), [("0.0.44", "no detector in it"), ("8.0.129", "__init__.py")])
def test_vendor_refuses_with_the_reason(call, tmp_path, version, words):
    refused = call("vendor", f"ultralytics=={version}", "--into", tmp_path / "fork")
    assert refused.code == 2
    assert f"error: ultralytics {version} can never be patched: " in refused.err
    assert words in refused.err
    assert not (tmp_path / "fork").exists()
