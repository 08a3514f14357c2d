"""No control character reaches the terminal, whoever wrote it; what machines read stays exact.

Also of: `slimfork.terminal.ui`.
"""

from __future__ import annotations

import os
import subprocess

import pytest

from slimfork.terminal.words import one_line, shown, typed
from tests.tools.conftest import write
from tests.tools.small_release import TRAINER

ESCAPE = "\x1b]0;title\x07\x1b[31m\u202e"


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


ODD = ["\x7f", "\x85", "\x9b", "\u200f", "\u202d", "\u2066", "\udcff"]
TYPED = ["-x", "~", "a\nb'c\\d", "a\x1b[31m", os.fsdecode(b"\xff'\\"), "plain", "a b", "\u202e'", "!$`"]


@pytest.mark.parametrize("letter", [*map(chr, range(0x20)), *ODD])
def test_a_control_character_is_shown_as_its_code(letter):
    assert shown(f"a{letter}b") == (f"a{letter}b" if letter in "\n\t" else f"a{escape(letter)}b")
    assert one_line(f"a{letter}b").isprintable()


def escape(letter):
    number = ord(letter) - 0xDC00 if letter == "\udcff" else ord(letter)
    return f"\\x{number:02x}" if number < 256 else f"\\u{number:04x}"


@pytest.mark.parametrize("text", ["plain", "ünï — 漢字 🙂", "C:\\x", "[bold]no markup[/]", "a\tb\nc"])
def test_all_other_text_stays_as_it_is(text):
    assert shown(text) == text


@pytest.mark.parametrize(
    "path", ["-x", "~", "a\nb'c\\d", "a\x1b[31m", os.fsdecode(b"\xff'\\"), "plain", "a b", "\u202e'", "!$`"]
)
def test_a_path_is_typed_so_that_a_shell_reads_it_back(path):
    read = subprocess.run(["bash", "-c", f"printf %s {typed(path)}"], capture_output=True, check=True).stdout
    assert os.path.normpath(os.fsdecode(read)) == path
    assert typed(path).isprintable()
