"""Exports tried both ways: by `git am` on a pristine checkout, and by `vendor --from`."""

from __future__ import annotations

import os
import shutil

from tests.tools.conftest import write
from tests.tools.small_release import TRAINER


def on_disk(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def commit(git, path, message="mine", *more):
    git(path, "add", "-A", "-f")
    git(path, "commit", "-q", "-m", message, *more)


def tip(git, path):
    return git(path, "rev-parse", "HEAD")


def tree(git, path, name="HEAD"):
    return git(path, "rev-parse", f"{name}^{{tree}}")


def am(git, fork, out, tmp_path, release=None):
    """Apply an export to a pristine checkout, with git as it comes; return the tree."""
    plain = tmp_path / "plain"
    shutil.rmtree(plain, ignore_errors=True)
    git(tmp_path, "clone", "-q", "--no-checkout", str(fork), "plain")
    (plain / ".git/info/attributes").write_text("* -text -filter -ident\n")  # as the release has it, for any upstream
    git(plain, "checkout", "-q", "-B", "plain", release or git(fork, "tag"))
    patches = [str(path) for path in sorted(out.glob("*.patch"))]
    git(plain, "am", "-q", *patches)
    return tree(git, plain)


def check(call, git, fork, tmp_path):
    """Export a fork, and make it again both ways."""
    out, again = tmp_path / "out", tmp_path / "again"
    told = call("export", fork, "--out", out, "--json")
    assert told.code == 0, told.err
    assert am(git, fork, out, tmp_path) == tree(git, fork)
    made = call("vendor", "--from", out, "--into", again)
    assert made.code == 0, made.err
    assert tip(git, again) == tip(git, fork)
    assert git(again, "status", "--porcelain", "--ignored", "--ignore-submodules") == ""
    git(again, "fsck", "--strict", "--no-dangling")
    return told.json


def odd_work(git, fork, edited=TRAINER):
    """Commit all that patches and mails are bad at."""
    write(fork, {edited: b"# mine\n" + (fork / edited).read_bytes(), "mine.sh": b"mine\n"})
    (fork / "mine.sh").chmod(0o755)
    commit(
        git, fork, "[ENH] größer: über `x`\n\n---\nIndex: x\ndiff --git a/x b/x\nFrom: Eve <e@v>\n\nFrom me 8< cut\n"
    )
    binary = bytes(range(256)) * 9
    files = {"w.bin": binary, "crlf.txt": b"one\r\ntwo\rthree\r\n$Id$\r\n", "late.txt": b"a\n" * 9000 + b"\0mine\n"}
    write(
        fork, {**files, "latin.txt": "grün\n".encode("latin-1"), "long.txt": b"x" * 3000, "From here.txt": b"From a\n"}
    )
    (fork / "link").symlink_to("../no where")
    (fork / os.fsdecode(b'gr\xfcn "q" \t.txt')).write_bytes(b"mine\n")
    commit(git, fork, "From x Mon Sep 17 00:00:00 2001")
    (fork / "crlf.txt").chmod(0o755)
    (fork / "mine.sh").chmod(0o644)
    (fork / "link").unlink()
    (fork / "link").write_bytes(b"a file now\n")
    (fork / "w.bin").unlink()
    write(fork, {"crlf.txt": b"one\r\ntwo\rfour", "late.txt": b"a\n" * 9000 + b"\0mine too", "empty.txt": b""})
    commit(git, fork, "Subject: a header\nof two lines\n\nSubject: again\n")
    git(fork, "commit", "-q", "--allow-empty", "-m", "empty")
    git(fork, "commit", "-q", "--allow-empty", "--allow-empty-message", "-m", "")
    write(fork, {"more.txt": b"1\n"})
    commit(git, fork, "", "--allow-empty-message", '--author=(X) "Y" <not a mail>')
