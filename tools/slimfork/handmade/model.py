"""A checkpoint's model taken as it is, by hand, where the release would rebuild it; and its lines, put back. Pure.

Write-up 1 comments upstream's lines out or deletes them, so that no anchor is left there: they are restored from the
comments, or from the release as published.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from itertools import chain
from typing import TYPE_CHECKING

from slimfork.handmade.handmade import Change, HandEdit, split
from slimfork.handmade.script import Script, key, read, read_shaped, statements, target
from slimfork.syntax.scopes import names_read

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from slimfork.handmade.handmade import Files

LOADED = re.compile(r"\bckpt\b|checkpoint|torch\.load|torch_load|attempt_load|\bweights\b")


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnModel:
    """An assignment of a loaded model where the release assigns one that it has built.

    Attributes:
        files: Shapes of the paths.
        function: The function, in any class.
        assigned: What is assigned to.
        built: A regular expression for the value that the release assigns there.
        other: A regular expression for other values that are none of this edit.
        taken: A regular expression for a model that was loaded.
        own_lines: A regular expression for the release's lines that people comment out.
        section: Where a write-up has it.
    """

    files: tuple[str, ...]
    function: str
    assigned: str
    built: str
    other: str
    taken: str
    own_lines: str
    section: str

    def find(self, patch: str, files: Files, pristine: Files | None) -> Iterator[HandEdit]:
        """Find it, and what the release had in its place."""
        for script in read_shaped(files, self.files):
            for function in script.functions(self.function):
                yield from self._in(script, function, patch, (pristine or {}).get(script.path))

    def _in(self, script: Script, function: ast.FunctionDef, patch: str, original: bytes | None) -> Iterator[HandEdit]:
        mine = [s for s in statements(function) if target(s) == self.assigned and isinstance(s, ast.Assign)]
        built = [s for s in mine if re.search(self.built, ast.unparse(s.value))]
        taken = [s for s in mine if s not in built and self._is_taken(function, s)]
        taken = [s for s in taken if not re.search(self.other, ast.unparse(s.value))]
        if original is not None:
            known = {line.strip() for line in split(original)}
            taken = [s for s in taken if script.lines[s.lineno - 1].strip() not in known]
        if not taken:
            return
        roots = [_root(script, s, taken) if built else s for s in taken]
        what = f"the checkpoint's model taken as it is ({self.section})"
        edit = HandEdit(patch=patch, path=script.path, line=taken[0].lineno, what=what)
        cuts = [script.cut(root) for root in roots]
        changes = tuple(c for c in cuts if c is not None)
        restored = () if built else _uncommented(script, function, roots, self.own_lines)
        if not built and not any(re.search(self.built, _text(c)) for c in restored):
            restored = _published(script, function, changes, original, self.built)
        if len(changes) < len(cuts):
            yield edit.refused("it shares a line with something else")
        elif not built and not restored:
            yield edit.refused("the release's own lines are gone")
        elif built and script.empties(roots):
            yield edit.refused("nothing else stands in its block")
        else:
            yield replace(edit, changes=_together(changes, restored))

    def _is_taken(self, function: ast.FunctionDef, node: ast.Assign) -> bool:
        text = ast.unparse(node.value)
        if re.search(self.taken, text):
            return True
        name = key(node.value)
        if not name:
            return False
        makers = (s for s in statements(function) if isinstance(s, ast.Assign) and _assigns(s, name))
        return any(LOADED.search(ast.unparse(s.value)) and not re.search(self.other, ast.unparse(s)) for s in makers)


def _assigns(statement: ast.Assign, name: str) -> bool:
    """Tell whether a statement assigns to a key, be it one of several, or to a part of what it names."""
    return any(key(node) == name for part in statement.targets for node in ast.walk(part))


def _root(script: Script, node: ast.stmt, taken: Sequence[ast.stmt]) -> ast.stmt:
    """Return the `if` around statements that go when nothing else stands in it, or the statement."""
    parent = script.parents[node]
    if isinstance(parent, ast.If) and not parent.orelse and all(s in taken for s in parent.body):
        return parent
    return node


def _text(change: Change) -> str:
    return b"".join(change.lines).decode("utf-8", "replace")


def _uncommented(script: Script, function: ast.stmt, roots: Sequence[ast.stmt], own: str) -> tuple[Change, ...]:
    """Return what puts the release's lines back that were commented out beside what goes."""
    changes = []
    first, last = function.lineno, function.end_lineno or function.lineno
    while last < len(script.lines) and script.lines[last].strip().startswith(b"#"):
        last += 1  # comments behind the last statement belong to no node
    for at in range(first, last):
        comment = re.fullmatch(rb"\s*#+[ \t]?([ \t]*)(.*?)(\r?\n|)", script.lines[at], re.DOTALL)
        if comment is None or re.match(own, comment[2].decode("utf-8", "replace")) is None:
            continue
        near = min(roots, key=lambda r: abs(r.lineno - 1 - at))
        indent = script.lines[near.lineno - 1][: near.col_offset]
        changes.append(Change(start=at, end=at + 1, lines=(indent + comment[2] + comment[3],)))
    return tuple(changes)


def _published(
    script: Script, function: ast.stmt, changes: Sequence[Change], original: bytes | None, built: str
) -> tuple[Change, ...]:
    """Return what puts the release's lines back that were deleted, in the place of what goes."""
    published = read(script.path, original) if original is not None else None
    if published is None or original is None or not changes:
        return ()
    name = getattr(function, "name", "")
    theirs = next((f for f in published.functions(name) if re.search(built, ast.unparse(f))), None)
    if theirs is None:
        return ()
    start = function.lineno - 1
    old = list(published.lines[theirs.lineno - 1 : theirs.end_lineno])
    mine = list(script.lines[start : function.end_lineno])
    gone = {i - start for c in changes for i in c.going}
    for kind, i, j, k, m in SequenceMatcher(None, old, mine, autojunk=False).get_opcodes():
        rest = [line for n, line in enumerate(mine[k:m], k) if n not in gone and line.strip()[:1] not in {b"", b"#"}]
        if kind == "replace" and gone & set(range(k, m)) and not rest and re.search(built.encode(), b"".join(old[i:j])):
            return (Change(start=min(gone & set(range(k, m))) + start, end=-1, lines=tuple(old[i:j])),)
    return ()


def _together(changes: Sequence[Change], restored: Sequence[Change]) -> tuple[Change, ...]:
    """Return all changes: lines that were deleted stand where what goes stood."""
    placed = {c.start: c.lines for c in restored if c.end < 0}
    cuts = [Change(start=c.start, end=c.end, lines=placed.get(c.start, ())) for c in changes]
    return (*cuts, *(c for c in restored if c.end >= 0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Unfrozen:
    """A loop that sets `requires_grad` on all parameters, which the write-up asks for beside its edit."""

    files: tuple[str, ...]
    functions: tuple[str, ...]
    section: str

    def find(self, patch: str, files: Files, pristine: Files | None) -> Iterator[HandEdit]:
        """Find it in the functions that set a model up."""
        what = f"all parameters set to train ({self.section})"
        for script in read_shaped(files, self.files):
            for node in _loops(script, self.functions):
                edit = HandEdit(patch=patch, path=script.path, line=node.lineno, what=what)
                change = script.cut(node)
                if change is None or script.empties([node]):
                    yield edit.refused("nothing else stands in its block, or on its line")
                elif not _is_known(script, node, (pristine or {}).get(script.path)):
                    yield replace(edit, changes=(change,))


def _loops(script: Script, functions: Iterable[str]) -> Iterator[ast.stmt]:
    for function in chain.from_iterable(map(script.functions, functions)):
        yield from filter(_unfreezes, statements(function))


def _unfreezes(node: ast.stmt) -> bool:
    """Tell whether a statement is a loop over parameters that only sets them to train."""
    if not isinstance(node, ast.For) or len(node.body) != 1:
        return False
    over, body = ast.unparse(node.iter), ast.unparse(node.body[0])
    return over.endswith("parameters()") and bool(re.fullmatch(r"\w+\.requires_grad(_\(True\)|_\(\)| = True)", body))


def _is_known(script: Script, node: ast.stmt, original: bytes | None) -> bool:
    text = b"".join(script.lines[node.lineno - 1 : node.end_lineno])
    return original is not None and text in original


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """`self.proj` moved by hand before boxes are decoded, in another place or wording than ours."""

    files: tuple[str, ...]
    function: str
    own: str
    section: str

    def find(self, patch: str, files: Files, pristine: Files | None) -> Iterator[HandEdit]:
        """Find it, with the local that holds the device."""
        for script in read_shaped(files, self.files):
            if b"self.proj.to(" not in (pristine or {}).get(script.path, b""):
                for function in script.functions(self.function):
                    yield from self._in(script, function, patch)

    def _in(self, script: Script, function: ast.FunctionDef, patch: str) -> Iterator[HandEdit]:
        inside = list(statements(function))
        moves = [s for s in inside if target(s) == "self.proj" and re.search(r"\.(to|cuda)\(", ast.unparse(s))]
        if not moves or [ast.unparse(s) for s in moves] == [self.own]:
            return
        going = [*_devices(inside, moves), *moves]
        cuts = [script.cut(s) for s in going]
        what = f"`self.proj` moved ({self.section})"
        edit = HandEdit(patch=patch, path=script.path, line=going[0].lineno, what=what)
        if None in cuts or script.empties(going):
            yield edit.refused("nothing else stands in its block, or on its line")
        else:
            yield replace(edit, changes=tuple(c for c in cuts if c is not None))


def _devices(inside: Sequence[ast.stmt], moves: Sequence[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield the statements that name a device for these moves alone."""
    others = [s for s in inside if s not in moves and not hasattr(s, "body")]
    for statement in inside:
        if isinstance(statement, ast.Assign) and re.search(r"\.device$", ast.unparse(statement.value)):
            name = target(statement)
            if _is_read(name, moves) and not _is_read(name, [s for s in others if s is not statement]):
                yield statement


def _is_read(name: str, nodes: Iterable[ast.stmt]) -> bool:
    return any(name in names_read(node) for node in nodes)
