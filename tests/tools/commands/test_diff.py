"""`apply-patches diff`: exactly what `apply` does, as a patch that git takes."""

from __future__ import annotations

import os
import pty
import sys

import pytest

from slimfork import cli
from slimfork.commands.diff import unified
from tests.tools.conftest import write
from tests.tools.small_release import TRAINER


def test_the_diff_is_what_apply_does(clone, call, git):
    told = call("diff", clone)
    assert told.code == 1
    git(clone, "apply", "--index", "-", stdin=told.out.encode())
    tree = git(clone, "write-tree")
    git(clone, "reset", "-q", "--hard")
    call("apply", clone)
    assert git(clone, "rev-parse", "HEAD^{tree}") == tree


def test_nothing_to_do_is_an_empty_diff(fork, call):
    told = call("diff", fork)
    assert (told.code, told.out, told.err) == (0, "", "")
    assert call("diff", fork, "--json").json["diffs"] == {}


def test_json_has_a_diff_a_file(fork, call, world):
    call("revert", fork, "--patch", "penalty")
    (world / "overlay/slim/pruning/plan.py").unlink()
    told = call("diff", fork, "--json")
    assert told.code == 1
    assert list(told.json["diffs"]) == [TRAINER, "ultralytics/slim/overlay.sha256", "ultralytics/slim/pruning/plan.py"]
    assert "+        self.penalty()\n" in told.json["diffs"][TRAINER]
    assert "deleted file mode 100644" in told.json["diffs"]["ultralytics/slim/pruning/plan.py"]


@pytest.mark.usefixtures("world")
def test_what_was_left_out_is_not_missing(call, tmp_path):
    call("vendor", "ultralytics==8.9.0", "--into", tmp_path / "fork", "--no-compat")
    assert call("diff", tmp_path / "fork").code == 0
    assert "trapezoid" in call("diff", tmp_path / "fork", "--compat").out


def test_patches_that_do_not_fit_exit_with_3(clone, call, git):
    write(clone, {TRAINER: b"class Trainer:\n    pass\n"})
    git(clone, "commit", "-q", "-a", "-m", "x")
    assert call("diff", clone).code == 3


def test_any_bytes_make_a_diff_that_git_takes(git, tmp_path):
    git(tmp_path, "init", "-q")
    cases = [
        (b"a\r\nb\n", b"a\r\nc\n"),
        (b"a\nb", b"a\nb\n"),
        (b"a\nb\n", b"a\nb"),
        (b"a\x0cb\n\xff\n", b"a\x0cc\n\xff\n"),
        (None, b"new"),
        (b"gone\n", None),
        (b"", b"x\n"),
    ]
    for old, new in cases:
        write(tmp_path, {"f": old} if old is not None else {})
        git(tmp_path, "apply", "--whitespace=nowarn", "-", stdin=unified("f", old, new, "100644"))
        found = (tmp_path / "f").read_bytes() if (tmp_path / "f").exists() else None
        assert found == new
        (tmp_path / "f").unlink(missing_ok=True)


def test_colours_on_a_terminal_alone(clone, call):
    assert "\x1b[" not in call("diff", clone).out
    pid, screen = pty.fork()
    if pid == 0:
        sys.stdout = os.fdopen(1, "w")
        os._exit(cli.run(["diff", str(clone)]))
    shown = b""
    while True:
        try:
            chunk = os.read(screen, 4096)
        except OSError:  # what Linux says when the other end is closed
            break
        if not chunk:
            break
        shown += chunk
    os.waitpid(pid, 0)
    assert b"\x1b[32m+        self.penalty()\x1b[0m" in shown
