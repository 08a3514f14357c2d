"""A commit as a mail that `git am` takes: the same bytes every time, whatever git and its settings. Pure.

A mail has no room for all that a commit's hash is made of: `fork.json` has that. What a mail must carry to the bit is
the diff; a line of a message that `git am` would take for something else is moved by a space.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from slimfork.series.raw_commits import RawCommit

DAY_OF_MAILS = "Mon Sep 17 00:00:00 2001"  # by which git knows its own mails from others
AUTHOR = re.compile(r"(?P<name>.*?) ?<(?P<mail>[^<>]*)> (?P<seconds>-?\d+) (?P<zone>[+-]\d{4})")
PLAIN_WORDS = re.compile(r"[A-Za-z0-9 ,;:!#$%&'*+/^_`{|}~.@()\[\]\"<>=?-]*")
PLAIN_NAME = re.compile(r"[A-Za-z0-9 '_-]*")
SLUG_LENGTH = 52  # as `git format-patch` has it
# What ends the message of a mail, begins another mail, cuts it off, or is a header within it, for `git am`.
TAKEN_FOR_ELSE = re.compile(
    r"---|diff -|Index: |>*From |@@|\*\*\* |.*(?:>8|8<|>%|%<)|(?:>?From|Subject|Date|Content-Type|In-Reply-To)\s*:",
    re.IGNORECASE,
)
NO_SUBJECT = "(no message)"


def mail(commit: RawCommit, diff: bytes) -> bytes:
    """Return the mail of a commit.

    Args:
        commit: Whose author, date and message it is.
        diff: What it changes, as git prints it.
    """
    subject, body = _parts(commit.message)
    match = AUTHOR.fullmatch(commit.author)
    name, address = (match["name"], match["mail"]) if match else (commit.author, "")
    content = (body + "\n" if body else "").encode() + b"---\n" + diff
    quoted = re.search(rb"[\r\0]", content) is not None
    if '"' in name or "\\" in name:
        name = '"' + re.sub(r'(["\\])', r"\\\1", name) + '"'
    head = [
        f"From {commit.sha} {DAY_OF_MAILS}",
        f"From: {_encoded(name, PLAIN_NAME)} <{_encoded(address, PLAIN_WORDS)}>",
        f"Date: {_date(match['seconds'], match['zone']) if match else '@0 +0000'}",
        f"Subject: [PATCH] {_encoded(subject, PLAIN_WORDS)}",
        "MIME-Version: 1.0",
        "Content-Type: text/plain; charset=UTF-8",
        f"Content-Transfer-Encoding: {'quoted-printable' if quoted else '8bit'}",
    ]
    return "\n".join(head).encode("ascii") + b"\n\n" + (_quoted_printable(content) if quoted else content)


def file_name(number: int, total: int, subject: str) -> str:
    """Return the name of the file of a mail: in the order of the series, also when a shell sorts it."""
    slug = re.sub(r"[^A-Za-z0-9._]+", "-", subject).strip("-.")[:SLUG_LENGTH].rstrip("-.")
    return f"{number:0{max(4, len(str(total)))}d}-{re.sub(r'[.]+', '.', slug) or 'commit'}.patch"


def _parts(message: str) -> tuple[str, str]:
    """Return the first paragraph as one line, and the others, without what `git am` would take for something else."""
    text = message.replace("\0", "\N{REPLACEMENT CHARACTER}").strip()
    first, _, rest = text.partition("\n\n")
    lines = [f" {line}" if TAKEN_FOR_ELSE.match(line) else line for line in rest.strip("\n").split("\n")]
    subject = " ".join(first.split())
    return subject or NO_SUBJECT, "\n".join(lines)


def _encoded(text: str, plain: re.Pattern[str]) -> str:
    """Return a text of a header: as it is, or as an encoded word (RFC 2047)."""
    if plain.fullmatch(text) and "=?" not in text:
        return text
    letters = _spelled(rb"[^A-Za-z0-9]", text.encode("utf-8", "replace")).decode("ascii")
    return f"=?UTF-8?q?{letters.replace('=20', '_')}?="


def _date(seconds: str, zone: str) -> str:
    sign = -1 if zone.startswith("-") else 1
    try:
        offset = timezone(sign * timedelta(hours=int(zone[1:3]), minutes=int(zone[3:])))
        return format_datetime(datetime.fromtimestamp(int(seconds), offset))
    except (ValueError, OverflowError, OSError):
        return f"@{seconds} {zone}"


def _quoted_printable(content: bytes) -> bytes:
    """Return a content in which line ends and bytes beyond ASCII are spelled out: mails have no carriage returns."""
    return _spelled(rb"[^\t\n -<>-~]", content)


def _spelled(others: bytes, content: bytes) -> bytes:
    """Spell out the bytes that a pattern names, as quoted-printable does (RFC 2045)."""
    return re.sub(others, lambda match: b"=%02X" % match[0][0], content)
