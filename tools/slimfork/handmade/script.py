"""A Python file as the search for edits made by hand sees it: Python's tree, with parents, scopes and lines. Pure."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

from slimfork.handmade.handmade import Change, shaped, split
from slimfork.syntax import cst as tree

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from slimfork.handmade.handmade import Files

Function = (ast.FunctionDef, ast.AsyncFunctionDef)
Scope = ast.Module | ast.FunctionDef | ast.AsyncFunctionDef
BLOCKS = ("body", "orelse", "finalbody")


@dataclass(frozen=True, slots=True, eq=False)
class Script:
    """One file: its path, its lines, its tree and the parent of every node of that."""

    path: str
    lines: Sequence[bytes]
    module: ast.Module
    parents: dict[ast.AST, ast.AST] = field(default_factory=dict)

    def scopes(self) -> Iterator[Scope]:
        """Yield the module and every function."""
        yield self.module
        yield from (node for node in self.parents if isinstance(node, Function))

    def functions(self, name: str) -> Iterator[ast.FunctionDef]:
        """Yield the functions of a name, methods too."""
        return (n for n in self.parents if isinstance(n, ast.FunctionDef) and n.name == name)

    def cut(self, node: ast.stmt) -> Change | None:
        """Return what takes a statement out with its decorators, or None when it shares a line with another."""
        first = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", ()))]) - 1
        end = node.end_lineno or node.lineno
        before = self.lines[first][: node.col_offset] if first == node.lineno - 1 else b""
        last = self.lines[end - 1][node.end_col_offset or 0 :].strip()
        if before.strip() or (last and not last.startswith(b"#")):
            return None
        return Change(start=first, end=end)

    def block(self, node: ast.stmt) -> list[ast.stmt]:
        """Return the statements among which one stands."""
        parent = self.parents[node]
        blocks = [getattr(parent, name, None) for name in BLOCKS]
        return next(block for block in blocks if isinstance(block, list) and node in block)

    def empties(self, nodes: Sequence[ast.stmt]) -> bool:
        """Tell whether a block would have no statement left without these."""
        return any(all(other in nodes for other in self.block(node)) for node in nodes)


@lru_cache(maxsize=32)
def read(path: str, content: bytes) -> Script | None:
    """Return a file's tree, or None when it does not parse: that is said elsewhere."""
    try:
        module = tree.parse_quietly(re.sub(rb"\r(?!\n)|\f", b" ", content))
    except (SyntaxError, ValueError, RecursionError):
        return None
    parents = {child: node for node in ast.walk(module) for child in ast.iter_child_nodes(node)}
    return Script(path=path, lines=split(content), module=module, parents=parents)


def read_shaped(files: Files, shapes: Sequence[str]) -> Iterator[Script]:
    """Yield the files whose path has one of the shapes, without those that do not parse."""
    for path in shaped(files, shapes):
        script = read(path, files[path])
        if script is not None:
            yield script


def statements(scope: ast.AST) -> Iterator[ast.stmt]:
    """Yield the statements of a scope, a compound one before those in it; functions and classes in it are left out."""
    for child in ast.iter_child_nodes(scope):
        if isinstance(child, (*Function, ast.ClassDef)):
            continue
        if isinstance(child, ast.stmt):
            yield child
        if isinstance(child, (ast.stmt, ast.ExceptHandler, ast.match_case)):
            yield from statements(child)


def parts(statement: ast.stmt) -> Iterator[ast.AST]:
    """Yield what a statement is made of, without the blocks of a compound one."""
    waiting: list[ast.AST] = [statement]
    while waiting:
        node = waiting.pop()
        yield node
        waiting += [
            c for c in ast.iter_child_nodes(node) if not isinstance(c, (ast.stmt, ast.ExceptHandler, ast.match_case))
        ]


def key(node: ast.AST) -> str:
    """Return a name, a dotted name or an item with a constant key as text: `loss`, `self.loss`, `hyp[sl]`; else ""."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        owner = key(node.value)
        return f"{owner}.{node.attr}" if owner else ""
    if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant) and isinstance(node.slice.value, str):
        owner = key(node.value)
        return f"{owner}[{node.slice.value!s}]" if owner else ""
    return ""


def loads(statement: ast.stmt) -> set[str]:
    """Return the keys that a statement, or the head of a compound one, reads."""
    return {
        text
        for node in parts(statement)
        if isinstance(node, (ast.Name, ast.Attribute, ast.Subscript)) and isinstance(node.ctx, ast.Load)
        if (text := key(node))
    }


def targets(statement: ast.stmt) -> list[ast.expr]:
    """Return what a simple statement assigns to."""
    if isinstance(statement, ast.Assign):
        return statement.targets
    return [statement.target] if isinstance(statement, (ast.AugAssign, ast.AnnAssign)) else []


def target(statement: ast.stmt) -> str:
    """Return the key of the one thing that a statement assigns to, or ""."""
    assigned = targets(statement)
    return key(assigned[0]) if len(assigned) == 1 else ""


def parameters(scope: ast.AST) -> set[str]:
    """Return the names of the parameters of a function."""
    if not isinstance(scope, Function):
        return set()
    arguments = scope.args
    return {a.arg for a in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)}
