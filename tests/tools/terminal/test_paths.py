"""Paths as people type them, and as the next command has to be typed."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.tools.small_release import TRAINER, VERSION

SPEC = f"ultralytics=={VERSION}"
ESCAPE = "\x1b]0;title\x07\x1b[31m\u202e"


ODD = ["--x", "-", "~x", "a b", "it's", "$HOME", 'q"uo', "new\nline", "back\\slash", "*", "[/red]", "#h", f"e{ESCAPE}"]
ODD += [os.fsdecode(b"\xff\xfe")]


@pytest.mark.usefixtures("world")
@pytest.mark.parametrize("name", ODD)
def test_the_next_command_works_whatever_the_folder_is_called(call, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    typed = "./~x" if name == "~x" else name
    made = call("vendor", SPEC, "--into", typed)
    assert made.code == 0
    assert "\x1b" not in made.out
    command = next(line for line in made.out.splitlines() if "apply-patches verify" in line).split("apply-patches ")[1]
    words = subprocess.run(["bash", "-c", f"printf '%s\\0' {command}"], capture_output=True, check=True).stdout
    verb, path = os.fsdecode(words).split("\0")[:2]
    assert verb == "verify"
    assert Path(path).samefile(tmp_path / name)
    assert call("status", path).code == 0
    assert json.loads(call("status", "--json", path).out)["complete"]


@pytest.mark.usefixtures("world")
def test_a_tilde_is_the_home_folder_everywhere(call, no_settings_of_this_machine, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert call("vendor", SPEC, "--into", "~/deep/fork").code == 0
    home = no_settings_of_this_machine
    assert (home / "deep" / "fork" / TRAINER).is_file()
    for verb in (["status"], ["diff"], ["apply"], ["revert", "--dry-run"]):
        assert call(*verb, "~/deep/fork").code == 0
    assert "~nobody-here names no home folder" in call("status", "~nobody-here/x").err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache", "world"]


@pytest.mark.usefixtures("world")
@pytest.mark.parametrize("verb", [["vendor", SPEC, "--into"], ["status"], ["apply"], ["verify"], ["demo", "--out"]])
def test_an_empty_path_is_refused(call, verb):
    outcome = call(*verb, "")
    assert outcome.code == 2
    assert "is empty" in outcome.err


@pytest.mark.parametrize("seconds", ["nan", "inf", "-1", "0", "1e999", "abc", ""])
@pytest.mark.parametrize("verb", [["verify", "x"], ["matrix"]])
def test_a_time_limit_that_is_none_is_refused(call, verb, seconds):
    outcome = call(*verb, "--timeout", seconds)
    assert outcome.code == 2
    assert f"{seconds!r} is no number of seconds" in outcome.err


@pytest.mark.parametrize(
    ("name", "value"),
    [("SLIMFORK_CACHE", "~nobody-here/c"), ("SLIMFORK_CACHE", "/dev/null")],
)
def test_a_cache_that_has_no_place_is_one_line(call, tmp_path, monkeypatch, name, value):
    monkeypatch.delenv("SLIMFORK_CACHE", raising=False)
    monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    outcome = call("vendor", "ultralytics==8.4.190", "--into", "fork")
    assert outcome.code == 2
    assert len(outcome.err.splitlines()) == 2
    assert not list(tmp_path.iterdir())
