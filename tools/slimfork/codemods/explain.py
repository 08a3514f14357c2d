"""The message of an edit that does not fit: what, where, what was expected, what stands there, what to do."""

from __future__ import annotations

import ast
import difflib
import heapq
from typing import TYPE_CHECKING

from slimfork.syntax import cst as tree

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from slimfork.codemods.codemod import Edit
    from slimfork.codemods.patch import Patch

NEAREST_LINES = 3
SIMILAR = 0.3  # below this, difflib's ratio of a line to the anchor says nothing


def explain(patch: Patch, edit: Edit, release: str, content: bytes | None, problem: str) -> str:
    """Return the message for an edit that does not fit; `content` is the file as the user sees it."""
    lines = [
        f"{patch.id}: {patch.title}",
        f"  at       {_place(edit)} ({release})",
        f"  problem  {problem}",
        f"  expected {edit.anchor}",
        *(f"  nearest  line {line}: {text}" for line, text in _nearest(edit, content)),
        f"  why      {patch.why}",
        f"  next     {_way_out(patch, edit)}",
    ]
    return "\n".join(lines)


def explain_half(patch: Patch, release: str, done: Sequence[Edit], missing: Sequence[Edit]) -> str:
    """Return the message for a patch that is there in part: which of its edits are, and which are not."""
    lines = [
        f"{patch.id}: {patch.title}",
        f"  problem  half applied to {release}",
        *(f"  done     {_place(edit)}, at {edit.anchor}" for edit in done),
        *(f"  missing  {_place(edit)}, at {edit.anchor}" for edit in missing),
        f"  why      {patch.why}",
        "  next     take out what is done, or add what is missing, and commit that",
    ]
    return "\n".join(lines)


def explain_flaw(patch: Patch, release: str, flaw: str) -> str:
    """Return the message for a patch whose own edits go wrong where its anchors fit."""
    skip = f"leave it out: apply-patches apply PATH --skip {patch.id}" if patch.skippable else ""
    lines = [
        f"{patch.id}: {patch.title}",
        f"  problem  on {release}, {flaw}",
        f"  why      {patch.why}",
        f"  next     {skip or 'report this message: the edit itself is wrong'}",
    ]
    return "\n".join(lines)


def explain_standing(patch: Patch, release: str, path: str, fault: str) -> str:
    """Return the message for edits that have their place in a file, in which they would not do what they are for."""
    lines = [
        f"{patch.id}: {patch.title}",
        f"  at       {path} ({release})",
        f"  problem  it {fault}",
        f"  why      {patch.why}",
        f"  next     change that in {path} and commit it, then apply again",
    ]
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
    return ((number, lines[number - 1]) for number in numbers)


def _scope_lines(edit: Edit, content: bytes) -> list[int]:
    """Return the lines on which statements of the scope begin, by Python's own parser: it is fast at that."""
    try:
        scopes: list[ast.AST] = [tree.parse_quietly(content)]
    except (SyntaxError, ValueError):
        return []
    for name in edit.within:
        children = [child for scope in scopes for child in ast.iter_child_nodes(scope)]
        scopes = [c for c in children if isinstance(c, _SCOPES) and name in {"*", c.name}]
    lines: set[int] = set()
    for scope in scopes:
        lines |= {node.lineno for node in ast.walk(scope) if isinstance(node, ast.stmt) and node is not scope}
    return sorted(lines)


_SCOPES = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
