"""What lies around the program may be broken: git, the terminal, the disk, the folder. One line, and exit code 2."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from slimfork import gitprogram
from tests.tools.conftest import write
from tests.tools.small_release import TRAINER, VERSION

TOOLS = Path(gitprogram.__file__).parents[1]
MAIN = f"import sys; sys.path.insert(0, {str(TOOLS)!r}); from slimfork.cli import main; main()"
SPEC = f"ultralytics=={VERSION}"
ESCAPE = "\x1b]0;title\x07\x1b[31m\u202e"


def run(arguments, shell="{}", env=None, cwd=None):
    """Run the real command in a shell, where its descriptors can be closed."""
    command = shlex.join([sys.executable, "-c", MAIN, *map(str, arguments)])
    environment = {**os.environ, **(env or {})}
    return subprocess.run(
        ["bash", "-c", shell.format(command)], env=environment, cwd=cwd, capture_output=True, text=True, check=False
    )


def one_line(done):
    assert done.returncode == 2, (done.returncode, done.stderr)
    assert [line[:6] for line in done.stderr.splitlines()] == ["error:", "  try:"], done.stderr
    return done.stderr


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """A fork of a real release: a process of its own has the real patches."""
    path = tmp_path_factory.mktemp("real") / "fork"
    assert run(["vendor", "ultralytics==8.4.190", "--into", path]).returncode == 0
    return path


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


@pytest.mark.parametrize("arguments", [["pins", "list"], ["pins", "list", "--json"], ["--help"], ["pins", "--help"]])
def test_a_stdout_that_takes_nothing_is_said_at_the_end(arguments):
    assert "cannot write the result to stdout: No space left on device" in one_line(run(arguments, "{} >/dev/full"))
    assert "cannot write the result to stdout: it is closed" in one_line(run(arguments, "{} >&-"))


def test_what_has_a_reader_no_more_is_no_failure(real):
    done = run(["pins", "list"], "{} | head -1; echo ${{PIPESTATUS[0]}}")
    assert (done.stdout.split()[0], done.stdout.split()[-1], done.stderr) == ("release", "0", "")
    assert run(["status", real, "--json"], "{} | true; echo ${{PIPESTATUS[0]}}").stdout == "0\n"
    assert run(["status", real / "nowhere"], "{} 2>&1 >&- | true; echo ${{PIPESTATUS[0]}}").stdout == "2\n"


@pytest.mark.parametrize("ends", ["2>&-", "2>/dev/full", "<&- 2>&-", "<&- >&- 2>&-"])
def test_a_closed_stderr_changes_no_exit_code(real, ends):
    assert run(["status", real / "nowhere"], f"{{}} {ends}").returncode == 2
    assert run(["revert", real, "--dry-run"], f"{{}} {ends}").returncode == (2 if ">&- 2" in ends else 0)


def test_no_file_takes_the_place_of_a_closed_stdout(tmp_path):
    """The first file that is opened would get its number, and then what is printed, or what git says."""
    fork = tmp_path / "fork"
    done = run(["vendor", "ultralytics==8.4.190", "--into", fork], "{} <&- >&- 2>&-")
    assert done.returncode == 2  # nobody was told
    assert run(["status", fork, "--json"]).returncode == 0
    assert subprocess.run(["git", "-C", fork, "fsck", "--strict"], capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize("verb", [["status", "x"], ["vendor", "ultralytics==8.4.190", "--into", "x"], ["demo"]])
def test_a_working_folder_that_is_gone_is_one_line(tmp_path, verb):
    gone = tmp_path / "gone"
    one_line(run(verb, f"mkdir {gone} && cd {gone} && rmdir {gone} && {{}}"))


@pytest.mark.usefixtures("world")
def test_a_link_to_an_empty_folder_is_that_folder(call, tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "disk")
    assert call("vendor", SPEC, "--into", tmp_path / "link").code == 0
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "disk" / TRAINER).is_file()
    assert "nothing to do" in call("vendor", SPEC, "--into", tmp_path / "link").out


@pytest.mark.usefixtures("world")
@pytest.mark.parametrize(("name", "target"), [("dangling", "nowhere"), ("loop", "loop"), ("deep", "loop/x")])
def test_a_link_to_nothing_is_refused_by_name(call, tmp_path, name, target):
    (tmp_path / "loop").symlink_to("loop")
    if name != "loop":
        (tmp_path / name).symlink_to(target)
    for verb in (("vendor", SPEC, "--into"), ("status",), ("apply",)):
        outcome = call(*verb, tmp_path / name)
        assert outcome.code == 2
        assert str(tmp_path / name) in outcome.err
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.usefixtures("world")
@pytest.mark.parametrize("length", [200, 246, 255])
@pytest.mark.parametrize("letter", ["n", "ü"])
def test_the_longest_name_that_a_folder_can_have_will_do(call, tmp_path, length, letter):
    name = letter * (length // len(letter.encode()))
    assert call("vendor", SPEC, "--into", tmp_path / name).code == 0
    assert (tmp_path / name / TRAINER).is_file()
    assert not list(tmp_path.glob(".*"))


@pytest.mark.usefixtures("world")
@pytest.mark.parametrize("path", ["n" * 256, "d/" * 2040 + "x", "d/" * 3000, "/dev/null/x", "/proc/x", "ü" * 128])
def test_a_path_that_no_folder_can_have_is_one_line(call, tmp_path, path):
    for verb in (("vendor", SPEC, "--into"), ("status",)):
        outcome = call(*verb, tmp_path / path)
        assert outcome.code == 2
        assert len(outcome.err.splitlines()) == 2


@pytest.mark.usefixtures("world")
@pytest.mark.skipif(
    sys.platform != "linux" or not hasattr(os, "geteuid") or os.geteuid() != 0, reason="mounts need root"
)
def test_a_mounted_folder_is_refused_before_anything_is_made(call, tmp_path):
    place = tmp_path / "mounted"
    place.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "x", place], capture_output=True, check=False
    ).returncode:
        pytest.skip("nothing can be mounted here")
    try:
        outcome = call("vendor", SPEC, "--into", place)
        assert outcome.code == 2
        assert f"{place} is a mount point" in outcome.err
        inside = outcome.err.split("--into ")[1].strip()
        assert call("vendor", SPEC, "--into", inside).code == 0  # what it says to type works
    finally:
        subprocess.run(["umount", place], check=False)
    assert not list(tmp_path.glob(".*slimfork*"))


def test_a_folder_for_temporary_files_may_be_tiny(tmp_path):
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k", "x", small], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip("nothing can be mounted here")
    try:
        made = run(["vendor", "ultralytics==8.4.190", "--into", tmp_path / "fork"], env={"TMPDIR": str(small)})
        for verb in ("revert", "apply", "status"):
            assert run([verb, tmp_path / "fork"], env={"TMPDIR": str(small)}).returncode == 0
        full = run(["demo", "--out", small / "demo", "--release", "ultralytics==8.4.190"])
        assert (full.returncode, "No space left on device" in full.stderr, "bug" in full.stderr) == (2, True, False)
        full = run(["pins", "add", "yolov5@v7.0", "--git", tmp_path / "fork"], env={"TMPDIR": str(small)})
        assert (full.returncode, "bug" in full.stderr) == (2, False)
    finally:
        subprocess.run(["umount", small], check=False)
    assert made.returncode == 0, made.stderr


@pytest.mark.usefixtures("world")
def test_a_folder_onto_which_none_can_be_renamed_is_one_line(call, tmp_path):
    place = tmp_path / "fixed"
    place.mkdir()
    if subprocess.run(["chattr", "+i", place], capture_output=True, check=False).returncode:
        pytest.skip("no folder can be made immutable here")
    try:
        outcome = call("vendor", SPEC, "--into", place)
    finally:
        subprocess.run(["chattr", "-i", place], check=False)
    assert outcome.code == 2
    assert f"cannot put the fork at {place}" in outcome.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache", "fixed", "world"]


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


def test_no_escape_of_a_commit_or_a_file_reaches_the_terminal(fork, call, git):
    name = f"mine{ESCAPE}\n.py"
    write(fork, {name: b"x = 1\n"})
    git(fork, "add", "-A")
    git(fork, "commit", "-q", "-m", f"Mine {ESCAPE}")
    write(fork, {name: b"x = 2\n"})
    shown, facts = call("status", fork), call("status", fork, "--json").json
    assert (facts["dirty"], facts["own"][0]["subject"]) == ([name], f"Mine {ESCAPE}")  # for machines, exactly
    refused = call("revert", fork)
    assert refused.code == 2
    for text in (shown.out, shown.err, refused.err):
        assert "\x1b" not in text
        assert "\u202e" not in text
    assert "Mine \\x1b]0;title\\x07\\x1b[31m\\u202e" in shown.out
    assert "\\x1b]0;title" in refused.err


def test_no_escape_of_a_lock_file_reaches_the_terminal(world, call):
    lock = world / "patches" / "ultralytics.lock"
    text = lock.read_text()
    lock.write_text(text.replace(".tar.gz\n", f".tar.gz  yanked: {ESCAPE}\n", 1))
    assert "\x1b" not in call("pins", "list", "ultralytics").out
    lock.write_text(text + f"9.9 {ESCAPE}\n")
    outcome = call("pins", "list")
    assert outcome.code == 2
    assert "\x1b" not in outcome.err
    usage = call("status", f"--{ESCAPE}")
    assert (usage.code, "\x1b" in usage.err) == (2, False)


def test_a_diff_in_a_pipe_stays_exact(clone, call, git):
    write(clone, {TRAINER: (clone / TRAINER).read_bytes().replace(b"backward()", b"backward()  # \x1b[31m")})
    git(clone, "commit", "-qam", "red")
    assert "\x1b[31m" in call("diff", clone).out


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
