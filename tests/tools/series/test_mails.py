"""A mail is what git reads out of it: whose commit, which message, and the diff to the bit."""

from __future__ import annotations

import pytest

from slimfork.series.mails import file_name, mail
from slimfork.series.raw_commits import parse_commit

DIFF = b"diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n"


def commit(message="mine\n\nbody\n", who="Ann <ann@example.org> 1700000000 +0545"):
    head = f"tree {'4' * 40}\nauthor {who}\ncommitter {who}\n\n"
    return parse_commit((head + message).encode())


def read(git, tmp_path, content):
    """Return what `git am` reads: facts of the header, the message, the patch."""
    git(tmp_path, "init", "-q")
    (tmp_path / "parts").mkdir(exist_ok=True)
    (tmp_path / "mail").write_bytes(content)
    assert git(tmp_path, "mailsplit", "-oparts", "mail") == "1"
    one = (tmp_path / "parts/0001").read_bytes()
    told = git(tmp_path, "mailinfo", "message", "patch", stdin=one)
    facts = dict(line.split(": ", 1) for line in told.splitlines() if line)
    return facts, (tmp_path / "message").read_text(), (tmp_path / "patch").read_bytes()


def test_a_plain_mail_in_full():
    raw = commit()
    assert mail(raw, DIFF).decode() == (
        f"From {raw.sha} Mon Sep 17 00:00:00 2001\n"
        "From: Ann <ann@example.org>\n"
        "Date: Wed, 15 Nov 2023 03:58:20 +0545\n"
        "Subject: [PATCH] mine\n"
        "MIME-Version: 1.0\n"
        "Content-Type: text/plain; charset=UTF-8\n"
        "Content-Transfer-Encoding: 8bit\n"
        "\n"
        "body\n"
        "---\n" + DIFF.decode()
    )


@pytest.mark.parametrize("name", ["Ann", "Zoë Ö.", 'A "B" C', "Doe, J. (x)", "=?utf-8?q?a?=", "日本"])
def test_an_author_comes_through(git, tmp_path, name):
    facts, _, _ = read(git, tmp_path, mail(commit(who=f"{name} <a@b> 1 +0000"), DIFF))
    assert (facts["Author"], facts["Email"]) == (name, "a@b")


@pytest.mark.parametrize(
    "message",
    [
        "mine\n\nbody\n\nmore",
        "größer\n\nüber",
        "long " * 80 + "\n\nx",
        "a\nb\n\nc",
        "",
        "\n\n",
        "mine\n\n---\nx",
        "x\0y\n\n\0",
    ]
    + [
        f"mine\n\n{line}\nmore"
        for line in ("From x Mon Sep 17 00:00:00 2001", ">From x", "Index: x", "diff --git a/y b/y")
    ]
    + [
        f"mine\n\n{line}\n\nmore"
        for line in ("From: Eve <e@v>", "Subject: evil", "Date: now", "a -- >8 -- b", "@@ -1 +1 @@")
    ]
    + ["mine\n\na\r\nb\rc", "From: x\n\nFrom: y", "x\n\ndiff --git a/y b/y\n--- a/y\n+++ b/y\n@@ -1 +1 @@\n-a\n+evil"],
)
def test_whatever_a_message_says_the_diff_is_the_same(git, tmp_path, message):
    facts, text, patch = read(git, tmp_path, mail(commit(message), DIFF))
    assert patch == b"---\n" + DIFF
    assert facts["Author"] == "Ann"
    assert (
        facts["Subject"] == " ".join(message.replace("\0", "\ufffd").strip().partition("\n\n")[0].split())
        or "(no message)"
    )
    words = message.replace("\0", "\ufffd").partition("\n\n")[2].split()
    assert text.split() == words


@pytest.mark.parametrize(
    "content",
    [b"+a\r\n", b"+a\rb\n", b"+\xff\xfe\r\n", b"+a=3D\r\n", b"+a \t\r\n", b"+\0\r\n", b"+" + b"=" * 2000 + b"\r\n"],
)
def test_carriage_returns_come_through(git, tmp_path, content):
    diff = DIFF.replace(b"+b\n", content)
    made = mail(commit(), diff)
    assert b"\r" not in made
    assert read(git, tmp_path, made)[2] == b"---\n" + diff


@pytest.mark.parametrize("who", ["Ann <a@b> 99999999999999999 +0000", "Ann <a@b> 1 +9999", "no author at all"])
def test_an_odd_date_or_author_still_makes_a_mail(git, tmp_path, who):
    text = f"tree {'4' * 40}\nauthor {who}\ncommitter Ann <a@b> 1 +0000\n\nmine\n"
    assert read(git, tmp_path, mail(parse_commit(text.encode()), DIFF))[2] == b"---\n" + DIFF


def test_files_are_named_by_number_and_subject():
    assert file_name(3, 12, "Add a / b: größer.. x") == "0003-Add-a-b-gr-er.-x.patch"
    assert file_name(3, 12345, "../../etc") == "00003-etc.patch"
    assert file_name(3, 3, "日本") == "0003-commit.patch"
    assert len(file_name(3, 3, "x" * 300)) == len("0003-.patch") + 52
