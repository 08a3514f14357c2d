"""The merge of lines: each side's changes once, edits that touch kept, contradictions refused."""

from __future__ import annotations

import random

import pytest

from slimfork.git.merge import merge

BASE = b"a\nb\nc\nd\n"


@pytest.mark.parametrize(
    ("ours", "theirs", "merged"),
    [
        (BASE, b"a\nc\nd\n", b"a\nc\nd\n"),
        (b"a\nX\nc\nd\n", BASE, b"a\nX\nc\nd\n"),
        (b"a\nX\nc\nd\n", b"a\nX\nc\nd\n", b"a\nX\nc\nd\n"),
        (b"A\nb\nc\nd\n", b"a\nb\nc\nD\n", b"A\nb\nc\nD\n"),
        # What touches does not contradict.
        (b"a\nb\nX\nc\nd\n", b"a\nc\nd\n", b"a\nX\nc\nd\n"),
        (b"a\nX\nb\nc\nd\n", b"a\nc\nd\n", b"a\nX\nc\nd\n"),
        (b"a\nb\nC\nd\n", b"a\nc\nd\n", b"a\nC\nd\n"),
        (b"A\nb\nc\nd\n", b"a\nB\nc\nd\n", b"A\nB\nc\nd\n"),
        (b"a\nb\nc\nd", b"b\nc\nd\n", b"b\nc\nd"),
        (b"", b"", b""),
        # What changes the same lines, or comes to the same place, does.
        (b"a\nX\nc\nd\n", b"a\nY\nc\nd\n", None),
        (b"a\nX\nc\nd\n", b"a\nc\nd\n", None),
        (b"a\nb\nX\nc\nd\n", b"a\nb\nY\nc\nd\n", None),
        (b"a\nb\nX\nc\nd\n", b"a\nd\n", None),
        (b"", b"a\nB\nc\nd\n", None),
    ],
)
def test_before_and_after(ours, theirs, merged):
    assert merge(BASE, ours, theirs) == merged
    assert merge(BASE, theirs, ours) == merged


def test_any_bytes_are_lines():
    assert merge(b"a\r\n\xff\n", b"a\r\n\xff\nX\r", b"b\r\n\xff\n") == b"b\r\n\xff\nX\r"


def test_changes_of_different_lines_always_merge():
    """Two sides edit disjoint lines of a file with many equal ones: the merge has exactly both."""
    dice = random.Random(0)  # noqa: S311 - the same cases every time
    for _ in range(300):
        base = [f"{dice.choice('abc')}{i}" for i in range(12)]
        owner = [dice.choice(["ours", "theirs", ""]) for _ in base]
        action = [dice.choice(["drop", "change", "grow"]) for _ in base]

        def side(*who, base=base, owner=owner, action=action):
            lines = []
            for line, owned, act in zip(base, owner, action, strict=True):
                edited = owned in who
                if not (edited and act == "drop"):
                    lines.append(line.upper() if edited and act == "change" else line)
                if edited and act == "grow":
                    lines.append(f"{line} more")
            return "\n".join(lines).encode()

        assert merge(side(), side("ours"), side("theirs")) == side("ours", "theirs")
