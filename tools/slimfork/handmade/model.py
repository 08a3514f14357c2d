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

from slimfork.handmade.handmade import Change, HandEdit, numbers_of, stripped
from slimfork.handmade.script import Script, key, keys_in, read, read_shaped, statements, target
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
        is_built, taken = self._assigned(script, function, original)
        if not taken:
            return
        what = f"the checkpoint's model taken as it is ({self.section})"
        edit = HandEdit(patch=patch, path=script.path, line=taken[0].lineno, what=what)
        roots = [_root(script, node, taken) for node in taken] if is_built else taken
        changes = script.cuts(roots)
        if changes is None:
            yield edit.refused("it shares a line with something else")
        elif not is_built:
            yield self._restoring(edit, script, function, roots, changes, original)
        elif script.empties(roots):
            yield edit.refused("nothing else stands in its block")
        else:
            yield replace(edit, changes=changes)

    def _assigned(
        self, script: Script, function: ast.FunctionDef, original: bytes | None
    ) -> tuple[bool, list[ast.stmt]]:
        """Tell whether the release's model is still built, and return what assigns a loaded one."""
        known = stripped(original) if original is not None else set()
        is_built = False
        taken: list[ast.stmt] = []
        for node in statements(function):
            if not isinstance(node, ast.Assign) or target(node) != self.assigned:
                continue
            value = ast.unparse(node.value)
            if re.search(self.built, value):
                is_built = True
            elif re.search(self.other, value) or script.lines[node.lineno - 1].strip() in known:
                continue
            elif self._is_taken(function, node):
                taken.append(node)
        return is_built, taken

    def _restoring(
        self,
        edit: HandEdit,
        script: Script,
        function: ast.FunctionDef,
        roots: Sequence[ast.stmt],
        changes: Sequence[Change],
        original: bytes | None,
    ) -> HandEdit:
        """Return the edit with what takes it out, and puts the release's lines back."""
        restored = _uncommented(script, function, roots, self.own_lines)
        if not re.search(self.built, "".join(map(_text, restored))):
            restored = _published(script, function, changes, original, self.built)
        if not restored:
            return edit.refused("the release's own lines are gone")
        return replace(edit, changes=_together(changes, restored))

    def _is_taken(self, function: ast.FunctionDef, node: ast.Assign) -> bool:
        text = ast.unparse(node.value)
        if re.search(self.taken, text):
            return True
        name = key(node.value)
        if not name:
            return False
        for maker in statements(function):
            # One that assigns to the name, be it one of several, or to a part of what it names.
            if not isinstance(maker, ast.Assign) or name not in keys_in(*maker.targets):
                continue
            if LOADED.search(ast.unparse(maker.value)) and not re.search(self.other, ast.unparse(maker)):
                return True
        return False


def _root(script: Script, node: ast.stmt, taken: Sequence[ast.stmt]) -> ast.stmt:
    """Return the `if` around statements that go when nothing else stands in it, or the statement."""
    parent = script.parents[node]
    if isinstance(parent, ast.If) and not parent.orelse and set(taken).issuperset(parent.body):
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
    for theirs in published.functions(getattr(function, "name", "")):
        if re.search(built, ast.unparse(theirs)):
            old = list(published.lines[theirs.lineno - 1 : theirs.end_lineno])
            return _replaced(script, function, set(numbers_of(changes)), old, built)
    return ()


def _replaced(script: Script, function: ast.stmt, gone: set[int], old: list[bytes], built: str) -> tuple[Change, ...]:
    """Return what puts those of a function's old lines back in whose place nothing stands but lines that go."""
    start = function.lineno - 1
    mine = list(script.lines[start : function.end_lineno])
    for kind, i, j, k, m in SequenceMatcher(None, old, mine, autojunk=False).get_opcodes():
        here = range(k + start, m + start)
        going = gone.intersection(here)
        if kind != "replace" or not going or not _is_silent(script, set(here) - going):
            continue
        if re.search(built.encode(), b"".join(old[i:j])):
            return (Change(start=min(going), end=-1, lines=tuple(old[i:j])),)
    return ()


def _is_silent(script: Script, numbers: Iterable[int]) -> bool:
    """Tell whether lines are blank, or comments."""
    return all(script.lines[number].strip()[:1] in {b"", b"#"} for number in numbers)


def _together(changes: Sequence[Change], restored: Sequence[Change]) -> tuple[Change, ...]:
    """Return all changes: lines that were deleted stand where what goes stood."""
    placed = {}
    beside = []
    for change in restored:
        if change.end < 0:
            placed[change.start] = change.lines
        else:
            beside.append(change)
    cuts = [replace(change, lines=placed.get(change.start, ())) for change in changes]
    return (*cuts, *beside)


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
        moves = list(filter(_moves_proj, inside))
        if not moves or list(map(ast.unparse, moves)) == [self.own]:
            return
        going = [*_devices(inside, moves), *moves]
        changes = script.cuts(going)
        what = f"`self.proj` moved ({self.section})"
        edit = HandEdit(patch=patch, path=script.path, line=going[0].lineno, what=what)
        if changes is None or script.empties(going):
            yield edit.refused("nothing else stands in its block, or on its line")
        else:
            yield replace(edit, changes=changes)


def _moves_proj(node: ast.stmt) -> bool:
    return target(node) == "self.proj" and re.search(r"\.(to|cuda)\(", ast.unparse(node)) is not None


def _devices(inside: Sequence[ast.stmt], moves: Sequence[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield the statements that name a device for these moves alone."""
    for statement in inside:
        if not isinstance(statement, ast.Assign) or not re.search(r"\.device$", ast.unparse(statement.value)):
            continue
        readers = set(_readers(inside, target(statement))) - {statement}
        if readers and readers.issubset(moves):
            yield statement


def _readers(inside: Iterable[ast.stmt], name: str) -> Iterator[ast.stmt]:
    """Yield the simple statements that read a name."""
    for statement in inside:
        if not hasattr(statement, "body") and name in names_read(statement):
            yield statement
