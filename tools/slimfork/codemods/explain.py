"""The message of an edit that does not fit: what, where, what was expected, what stands there, what to do."""

from __future__ import annotations

import ast
import difflib
import heapq
from typing import TYPE_CHECKING

from slimfork.syntax import cst as tree
from slimfork.syntax.scopes import of_kind, scopes_at

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from slimfork.codemods.codemod import Edit
    from slimfork.codemods.patch import Patch

NEAREST_LINES = 3
SIMILAR = 0.3  # below this, difflib's ratio of a line to the anchor says nothing


def explain(patch: Patch, edit: Edit, release: str, content: bytes | None, problem: str) -> str:
    """Return the message for an edit that does not fit; `content` is the file as the user sees it."""
    rows = [("at", f"{_place(edit)} ({release})"), ("problem", problem), ("expected", edit.anchor)]
    for number, text in _nearest(edit, content):
        rows.append(("nearest", f"line {number}: {text}"))
    return _message(patch, *rows, ("why", patch.why), ("next", _way_out(patch, edit)))


def explain_half(patch: Patch, release: str, done: Sequence[Edit], missing: Sequence[Edit]) -> str:
    """Return the message for a patch that is there in part: which of its edits are, and which are not."""
    rows = [("problem", f"half applied to {release}")]
    for word, edits in (("done", done), ("missing", missing)):
        for edit in edits:
            rows.append((word, f"{_place(edit)}, at {edit.anchor}"))
    way_out = "take out what is done, or add what is missing, and commit that"
    return _message(patch, *rows, ("why", patch.why), ("next", way_out))


def explain_flaw(patch: Patch, release: str, flaw: str) -> str:
    """Return the message for a patch whose own edits go wrong where its anchors fit."""
    skip = f"leave it out: apply-patches apply PATH --skip {patch.id}" if patch.skippable else ""
    return _message(
        patch,
        ("problem", f"on {release}, {flaw}"),
        ("why", patch.why),
        ("next", skip or "report this message: the edit itself is wrong"),
    )


def explain_standing(patch: Patch, release: str, path: str, fault: str) -> str:
    """Return the message for edits that have their place in a file, in which they would not do what they are for."""
    return _message(
        patch,
        ("at", f"{path} ({release})"),
        ("problem", f"it {fault}"),
        ("why", patch.why),
        ("next", f"change that in {path} and commit it, then apply again"),
    )


def _message(patch: Patch, *rows: tuple[str, str]) -> str:
    """Return a message: what the patch is, and below it rows of a word and what there is to say about it."""
    lines = [f"{patch.id}: {patch.title}"]
    for word, text in rows:
        lines.append(f"  {word:<8} {text}")
    return "\n".join(lines)


def _way_out(patch: Patch, edit: Edit) -> str:
    if patch.skippable:
        return f"leave it out: apply-patches apply PATH --skip {patch.id}"
    return f"undo the commit that changed it (git log -p -- {edit.file}); else report this"


def _place(edit: Edit) -> str:
    return f"{edit.file} :: {'.'.join(edit.within) or 'module'}"


def _nearest(edit: Edit, content: bytes | None) -> list[tuple[int, str]]:
    """Return line numbers and lines that are most like the anchor, best first, then from the top.

    A line that holds all of it is nearest, however long: the anchor may be an expression deep in a statement.
    """
    anchor = edit.anchor.strip()
    matcher = difflib.SequenceMatcher(b=anchor, autojunk=False)
    scored = []
    for number, text in _candidates(edit, content or b""):
        matcher.set_seq1(text.partition(" #")[0])
        if anchor.removesuffix("(...)") in text:
            scored.append((1.0, -number, text))
        elif matcher.real_quick_ratio() >= SIMILAR and matcher.ratio() >= SIMILAR:
            scored.append((matcher.ratio(), -number, text))
    return [(-number, text) for _, number, text in heapq.nlargest(NEAREST_LINES, scored)]


def _candidates(edit: Edit, content: bytes) -> Iterator[tuple[int, str]]:
    """Yield line numbers and first lines of the scope's statements; of the whole file where the scope is gone."""
    lines = [line.decode("utf-8-sig", "replace").strip() for line in content.splitlines()]
    numbers = _scope_lines(edit, content) or range(1, len(lines) + 1)
    for number in numbers:
        yield number, lines[number - 1]


def _scope_lines(edit: Edit, content: bytes) -> list[int]:
    """Return the lines on which statements of the scope begin, by Python's own parser: it is fast at that."""
    try:
        module = tree.parse_quietly(content)
    except (SyntaxError, ValueError):
        return []
    lines: set[int] = set()
    for scope in scopes_at(module, edit.within):
        for node in of_kind(ast.walk(scope), ast.stmt):
            if node is not scope:
                lines.add(node.lineno)
    return sorted(lines)
