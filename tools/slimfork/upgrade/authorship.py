"""Whose a commit is, and what of its text goes into the one that stands in its place. Pure."""

from __future__ import annotations

import re
from enum import Enum, auto
from typing import TYPE_CHECKING

from slimfork.git import commits

if TYPE_CHECKING:
    from slimfork.series.raw_commits import RawCommit

OF_ANOTHER_COMMIT = (b"gpgsig", b"gpgsig-sha256", b"mergetag")  # headers that sign what is no more
OUR_LINES = re.compile(rb"^(?:%b): \S.*\n?" % "|".join(commits.ANY).encode("ascii"), re.MULTILINE)


class Authorship(Enum):
    """Whose a commit is: ours as we wrote it, the user's, or ours with something of the user's in it."""

    OURS = auto()
    USERS = auto()
    BOTH = auto()


def authorship(raw: RawCommit) -> Authorship:
    """Tell whose a commit is: who amends, squashes or rebases one of ours becomes its committer."""
    if not any(mark in commits.OURS for mark in commits.trailers(raw.message)):
        return Authorship.USERS
    mail = f"<{commits.MAIL}>"
    return Authorship.OURS if mail in raw.author and mail in committer(raw) else Authorship.BOTH


def committer(raw: RawCommit) -> str:
    """Return who wrote a commit as it is now: `Name <mail> seconds zone`."""
    lines = raw.text.partition(b"\n\n")[0].split(b"\n")
    return next(line for line in lines if line.startswith(b"committer ")).decode("utf-8", "replace")


def rest_of(raw: RawCommit) -> bytes:
    """Return what a commit made anew keeps: author, committer, other headers, and the message without our trailers."""
    head, between, message = raw.text.partition(b"\n\n")
    kept: list[bytes] = []
    skipping = False
    for line in head.split(b"\n"):
        if not line.startswith(b" "):  # else it goes on with the header before
            skipping = line.split(b" ")[0] in (b"tree", b"parent", *OF_ANOTHER_COMMIT)
        if not skipping:
            kept.append(line)
    if authorship(raw) is Authorship.BOTH:
        message = b"Own changes in: " + OUR_LINES.sub(b"", message).strip() + b"\n"
    return b"\n".join(kept) + between + message
