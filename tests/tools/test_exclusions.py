"""Releases that can never be patched are refused with their reason, by every command that would make a fork of one."""

from __future__ import annotations

import pytest

from slimfork import pins
from slimfork.exclusions import reason


def test_the_exclusions_are_these_and_no_others():
    excluded = [pin.version for pin in pins.load("ultralytics") if reason("ultralytics", pin.version)]
    placeholders = [pin.version for pin in pins.load("ultralytics") if pin.version.startswith("0.")]
    assert excluded == [*placeholders, "8.0.129"]
    assert len(placeholders) == 32


def test_an_upstream_without_such_a_file_has_none():
    assert reason("yolov5", "7.0.14") is None


@pytest.mark.parametrize(("version", "words"), [("0.0.44", "no detector in it"), ("8.0.129", "__init__.py")])
def test_vendor_refuses_with_the_reason(call, tmp_path, version, words):
    refused = call("vendor", f"ultralytics=={version}", "--into", tmp_path / "fork")
    assert refused.code == 2
    assert f"error: ultralytics {version} can never be patched: " in refused.err
    assert words in refused.err
    assert not (tmp_path / "fork").exists()
