"""The write-ups' edits made by hand: what is found, and how lines are taken out so that the rest stays as it was. Pure.

A fork must not have an edit twice: the write-up's L1 loop beside `penalize` would press every scale a second time.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from io import BytesIO
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from slimfork.codemods.patch import Patch

    Files = Mapping[str, bytes]

# Comments that frame what people paste: rules, and the words of the write-ups and of their readers.
RULE = re.compile(rb"#[#=*~\s-]{4,}")
FRAME = re.compile("新增|添加|修改|增加|注释|改动|加入".encode())
CLAUSES = re.compile(rb"(except|else|elif|finally)\b")  # nobody leaves a blank line before these
COMMENT_TOPIC = re.compile(
    "稀疏|剪枝|约束|正则|微调|requires_grad".encode()
    + rb"|(?i:spars|prun|slimm|\bl1\b|\bbn\b|penalt|regulari|write-?up|hand-?made|fine-?tun|\badded\b|\bmodified\b)"
)


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Change:
    """Lines `start` to `end` (from 0, excluded) of a file, and what shall stand there instead."""

    start: int
    end: int
    lines: tuple[bytes, ...] = ()

    @property
    def going(self) -> range:
        """The numbers of the lines that go."""
        return range(self.start, self.end)


@dataclass(frozen=True, slots=True, kw_only=True)
class HandEdit:
    """One edit made by hand.

    Attributes:
        patch: The id of the patch that makes this edit.
        path: The file.
        line: The line, from 1.
        what: What stands there, and which write-up has it.
        changes: What takes it out.
        refusal: Why it cannot be taken out by itself; empty when it can.
    """

    patch: str
    path: str
    line: int
    what: str
    changes: tuple[Change, ...] = ()
    refusal: str = ""

    def __str__(self) -> str:
        """Return the line for a message: place, kind, and what stands in the way."""
        why = f"; not of a documented form: {self.refusal}" if self.refusal else ""
        return f"{self.path}:{self.line}: {self.what}{why}"

    def refused(self, why: str) -> HandEdit:
        """Return it as one that cannot be taken out by itself."""
        return replace(self, changes=(), refusal=why)


class Handmade(Protocol):
    """A way in which people make the edit of a patch by hand."""

    @property
    def files(self) -> tuple[str, ...]:
        """Shapes of the paths that it is looked for in."""

    def find(self, patch: str, files: Files, pristine: Files | None) -> Iterator[HandEdit]:
        """Find it; `pristine` is the release as published, where that is at hand."""


def shaped(files: Iterable[str], shapes: Sequence[str]) -> Iterator[str]:
    """Yield the paths that have one of the shapes."""
    for path in files:
        if has_shape(path, shapes):
            yield path


def has_shape(path: str, shapes: Iterable[str]) -> bool:
    """Tell whether a path has one of the shapes."""
    return any(fnmatchcase(path, shape) for shape in shapes)


def without(files: Files, findings: Iterable[HandEdit], pristine: Files | None = None) -> dict[str, bytes]:
    """Return path to new content for what findings are in, with all that can be taken out gone."""
    by_path: dict[str, list[Change]] = {}
    for finding in findings:
        by_path.setdefault(finding.path, []).extend(finding.changes)
    out = {}
    for path, changes in by_path.items():
        original = (pristine or {}).get(path)
        new = edited(files[path], changes, original)
        if new != files[path]:
            out[path] = new
    return out


def edited(content: bytes, changes: Sequence[Change], original: bytes | None = None) -> bytes:
    """Return a file with changes made, and with the comments and blank lines that came with what goes gone, too."""
    lines = split(content)
    known = stripped(original) if original is not None else None
    outer = {change for change in changes if _is_outermost(change, changes)}
    restored = {change.start for change in outer if change.lines}
    for change in sorted(outer, reverse=True):
        start, end = _with_frame(lines, change.start, change.end, known, restored)
        lines[start:end] = change.lines
        if not change.lines:
            _settle(lines, start, split(original) if original is not None else [])
    return b"".join(lines)


def split(content: bytes) -> list[bytes]:
    """Return the lines of a file with their ends: a lone carriage return or a form feed ends none."""
    return BytesIO(content).readlines()


def stripped(content: bytes) -> set[bytes]:
    """Return the lines of a file without what is blank around them."""
    return set(map(bytes.strip, split(content)))


def numbers_of(changes: Iterable[Change]) -> Iterator[int]:
    """Yield the numbers of the lines that changes take out."""
    for change in changes:
        yield from change.going


def _inside(inner: Change, outer: Change) -> bool:
    same = (inner.start, inner.end) == (outer.start, outer.end)
    return outer.start <= inner.start and inner.end <= outer.end and not same and outer.start < outer.end


def _is_outermost(change: Change, changes: Iterable[Change]) -> bool:
    """Tell whether a change lies inside no other one."""
    return not any(other is not change and _inside(change, other) for other in changes)


def _with_frame(
    lines: Sequence[bytes], start: int, end: int, known: set[bytes] | None, restored: set[int]
) -> tuple[int, int]:
    """Widen lines that go by the comments that frame them; what the release has itself stays."""
    depth = _depth(lines[start]) if start < len(lines) else 0
    while end < len(lines) and _is_comment(lines[end]) and _depth(lines[end]) > depth and start < end:
        end += 1  # a comment inside the block that goes
    above = start
    while (at := _before(lines, above)) is not None and at not in restored and _goes(lines[at], known, above=True):
        above = at
    below = end
    while (at := _after(lines, below)) is not None and at not in restored and _goes(lines[at], known, above=False):
        below = at + 1
    return above, below


def _goes(line: bytes, known: set[bytes] | None, *, above: bool) -> bool:
    text = line.strip()
    if not text.startswith(b"#") or (known is not None and text in known):
        return False
    if RULE.fullmatch(text) or (FRAME.search(text) and not _is_code(text)):
        return True
    framed = RULE.match(text) is not None and text[-3:] in {b"###", b"===", b"---", b"***"}
    return framed or (above and COMMENT_TOPIC.search(text) is not None and not _is_code(text))


def _is_code(text: bytes) -> bool:
    """Tell whether a comment is code that was commented out: that is nobody's frame."""
    return re.search(rb"[\w\])]\s*[-+*/]?=[^=]|\w\(|^#\s*(for|if|with|return|import)\b", text) is not None


def _is_comment(line: bytes) -> bool:
    return line.strip().startswith(b"#")


def _depth(line: bytes) -> int:
    return len(line) - len(line.lstrip(b" \t"))


def _before(lines: Sequence[bytes], at: int) -> int | None:
    """Return the number of the last line before a place that says something."""
    for number in range(at - 1, -1, -1):
        if lines[number].strip():
            return number
    return None


def _after(lines: Sequence[bytes], at: int) -> int | None:
    """Return the number of the first line from a place on that says something."""
    for number in range(at, len(lines)):
        if lines[number].strip():
            return number
    return None


def _settle(lines: list[bytes], at: int, original: Sequence[bytes]) -> None:
    """Leave as many blank lines where something went as the release has there, or as the larger side had."""
    first = _before(lines, at)
    last = _after(lines, at)
    head = 0 if first is None else first + 1
    tail = len(lines) if last is None else last
    above, below = at - head, tail - at
    wanted = min(above, below) or max(above, below)  # one of them came with what goes
    if last is not None and CLAUSES.match(lines[last].lstrip()):
        wanted = below
    if first is not None and last is not None:
        gaps = _gaps(original, lines[first], lines[last])
        wanted = gaps.pop() if len(gaps) == 1 else wanted
    blank = (lines[head:tail] or [b"\n"])[0]
    lines[head:tail] = [*lines[head:tail][:wanted], *[blank] * (wanted - (tail - head))]


def _gaps(original: Sequence[bytes], first: bytes, last: bytes) -> set[int]:
    """Return how many blank lines the release has between two lines."""
    gaps = set()
    for at, line in enumerate(original):
        if line == first and (after := _after(original, at + 1)) is not None and original[after] == last:
            gaps.add(after - at - 1)
    return gaps


def find(series: Iterable[Patch], files: Files, pristine: Files | None = None) -> tuple[HandEdit, ...]:
    """Return all edits made by hand, by file and line."""
    found: list[HandEdit] = []
    for patch in series:
        for way in patch.handmade:
            found += way.find(patch.id, files, pristine)
    return tuple(sorted(found, key=lambda edit: (edit.path, edit.line, edit.patch)))
