"""The message of an edit that does not fit: what, where, what was expected, what stands there, what to do."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

import libcst as cst

from slimfork import cst as tree
from slimfork.codemod import EditError, Source

if TYPE_CHECKING:
    from collections.abc import Iterator

    from slimfork.codemod import Edit
    from slimfork.patch import Patch

NEAREST = 3


def explain(patch: Patch, edit: Edit, release: str, source: Source | None, problem: str) -> str:
    """Return the message for an edit that does not fit."""
    place = ".".join(edit.within) or "module"
    lines = [
        f"{patch.id}: {patch.title}",
        f"  at       {edit.file} :: {place} ({release})",
        f"  problem  {problem}",
        f"  expected {edit.anchor}",
    ]
    lines += [f"  nearest  line {line}: {text}" for line, text in _nearest(edit, source)]
    lines += [
        f"  why      {patch.why}",
        f"  next     compare with upstream's change, then add a variant to patches/*/{patch.id}.py",
    ]
    return "\n".join(lines)


def _nearest(edit: Edit, source: Source | None) -> list[tuple[int, str]]:
    if source is None:
        return []
    candidates = list(_lines(edit, source))
    texts = [text for _, text in candidates]
    wanted = edit.anchor.strip()
    best = difflib.get_close_matches(wanted, texts, n=NEAREST, cutoff=0.3)
    return [next(c for c in candidates if c[1] == text) for text in best]


def _lines(edit: Edit, source: Source) -> Iterator[tuple[int, str]]:
    """Yield line numbers and statements of the scope; of the whole file where the scope is gone."""
    text = source.content.decode("utf-8", "replace").splitlines()
    scope = _scope_text(edit, source)
    for number, line in enumerate(text, 1):
        stripped = line.strip()
        if stripped and (scope is None or stripped in scope):
            yield number, stripped


def _scope_text(edit: Edit, source: Source) -> set[str] | None:
    try:
        module = source.module
    except EditError:
        return None
    code = {
        line.strip()
        for block in tree.blocks(module, edit.within)
        for node in block
        if isinstance(node, cst.SimpleStatementLine)
        for line in module.code_for_node(node).splitlines()
    }
    return code or None
