"""A three-way merge of lines that keeps edits which touch each other. Pure.

`git merge-file` calls two changes a conflict as soon as they touch, and a user's edit right beside a line of
ours is the ordinary case here. Taking a line out and changing the one below it do not contradict each other;
only changes of the same lines, or two insertions at one place, do.
"""

from __future__ import annotations

from dataclasses import dataclass
from difflib import SequenceMatcher


@dataclass(frozen=True, slots=True)
class Hunk:
    """Lines `start` to `end` (excluded) of the base, and what stands there instead."""

    start: int
    end: int
    lines: tuple[bytes, ...]


def merge(base: bytes, ours: bytes, theirs: bytes) -> bytes | None:
    """Return `base` with the changes of both sides, or None when they contradict each other."""
    if ours in (base, theirs):
        return theirs
    if theirs == base:
        return ours
    lines = base.split(b"\n")
    changes = sorted({*hunks(lines, ours.split(b"\n")), *hunks(lines, theirs.split(b"\n"))}, key=_order)
    merged: list[bytes] = []
    at = 0
    for before, hunk in zip([None, *changes], changes, strict=False):
        if before and _contradict(before, hunk):
            return None
        merged += [*lines[at : hunk.start], *hunk.lines]
        at = hunk.end
    return b"\n".join([*merged, *lines[at:]])


def _order(hunk: Hunk) -> tuple[int, int, tuple[bytes, ...]]:
    return hunk.start, hunk.end, hunk.lines


def _contradict(first: Hunk, second: Hunk) -> bool:
    both_insert = first.start == first.end == second.start == second.end
    return both_insert or second.start < first.end


def hunks(base: list[bytes], side: list[bytes]) -> list[Hunk]:
    """Return what changes lines into others, in order; like heads and tails are not compared."""
    head = 0
    while head < min(len(base), len(side)) and base[head] == side[head]:
        head += 1
    tail = 0
    while tail < min(len(base), len(side)) - head and base[-1 - tail] == side[-1 - tail]:
        tail += 1
    old, new = base[head : len(base) - tail], side[head : len(side) - tail]
    codes = SequenceMatcher(None, old, new, autojunk=False).get_opcodes()
    return [Hunk(head + i, head + j, tuple(new[k:m])) for kind, i, j, k, m in codes if kind != "equal"]
