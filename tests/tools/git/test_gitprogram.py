"""Git may be missing, broken or old, or not understand its settings: one line that says so, and exit code 2."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys

import pytest

from slimfork.git import gitprogram
from tests.tools.real_program import MAIN
from tests.tools.small_release import VERSION

SPEC = f"ultralytics=={VERSION}"


@pytest.fixture
def fake_git(tmp_path, monkeypatch):
    """Put a program of one's own before git on PATH."""

    def make(text, mode=0o755):
        folder = tmp_path / "fake"
        folder.mkdir()
        (folder / "git").write_text(text)
        (folder / "git").chmod(mode)
        monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
        gitprogram.check_git.cache_clear()

    yield make
    monkeypatch.undo()
    gitprogram.check_git.cache_clear()


@pytest.fixture
def settings(no_settings_of_this_machine):
    """The settings that git reads for the user."""
    yield no_settings_of_this_machine / ".gitconfig"
    gitprogram.check_git.cache_clear()


@pytest.mark.parametrize("text", ["[user\nname = x\n", "[user]\n\tname = x\n[core]\n\t= y\n", "\x00\x01"])
@pytest.mark.parametrize("verb", ["status", "diff", "apply", "revert", "vendor"])
def test_settings_that_git_does_not_understand_are_named_with_their_line(fork, call, settings, text, verb):
    settings.write_text(text)
    gitprogram.check_git.cache_clear()
    outcome = call(*((verb, SPEC, "--into", fork) if verb == "vendor" else (verb, fork)))
    line = 4 if "[core]" in text else 1
    assert (outcome.code, outcome.out) == (2, "")
    assert f"bad config line {line} in file {settings}" in outcome.err
    assert "not installed" not in outcome.err


def test_a_setting_that_git_cannot_use_is_named(fork, call, settings):
    settings.write_text("[core]\n\tbare = perhaps\n")
    outcome = call("status", fork)
    assert outcome.code == 2
    assert "bad boolean config value 'perhaps' for 'core.bare'" in outcome.err


@pytest.mark.parametrize("version", ["2.11.0", "1.7", "2.28.1.windows.1", "2.25.1 (Apple Git-1)"])
@pytest.mark.parametrize("verb", ["status", "vendor"])
def test_a_git_that_is_too_old_is_told_from_one_that_will_do(fork, call, fake_git, version, verb, tmp_path):
    fake_git(f"#!/bin/sh\necho 'git version {version}'\n")
    outcome = call(*((verb, SPEC, "--into", tmp_path / "new") if verb == "vendor" else (verb, fork)))
    assert outcome.code == 2
    assert f"git {version.split()[0]} is too old: slimfork needs git 2.29 or newer" in outcome.err


@pytest.mark.parametrize("version", ["2.29.0", "2.100.1", "3.0", "2.39.5 (Apple Git-154)", "2.45.2.windows.1"])
def test_a_git_that_is_new_enough_will_do(fake_git, version):
    fake_git(f"#!/bin/sh\necho 'git version {version}'\n")
    gitprogram.check_git()


@pytest.mark.parametrize(
    ("text", "mode", "says"),
    [
        ("#!/bin/sh\necho hello\n", 0o755, "`git version` answers 'hello'"),
        ("#!/bin/sh\nexit 3\n", 0o755, "git does not work here: status 3"),
    ],
)
def test_a_git_that_is_none_is_one_line(fork, call, fake_git, text, mode, says):
    fake_git(text, mode)
    outcome = call("status", fork)
    assert outcome.code == 2
    assert says in outcome.err


def test_help_and_pins_need_no_git(tmp_path):
    env = {"PATH": str(tmp_path)}
    bash = shutil.which("bash")
    for arguments in (["--help"], ["vendor", "--help"], ["pins", "list", "yolov5"]):
        command = [bash, "-c", shlex.join([sys.executable, "-c", MAIN, *arguments])]
        assert subprocess.run(command, env={**os.environ, **env}, capture_output=True, check=False).returncode == 0
