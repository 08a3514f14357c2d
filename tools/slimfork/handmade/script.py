"""A Python file as the search for edits made by hand sees it: Python's tree, with parents, scopes and lines. Pure."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import chain
from typing import TYPE_CHECKING, TypeVar

from slimfork.handmade.handmade import Change, shaped, split
from slimfork.syntax import cst as tree

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from slimfork.handmade.handmade import Files

NodeKind = TypeVar("NodeKind", bound=ast.AST)
Function = (ast.FunctionDef, ast.AsyncFunctionDef)
Scope = ast.Module | ast.FunctionDef | ast.AsyncFunctionDef
BLOCKS = ("body", "orelse", "finalbody")
APPENDING = {"append", "extend", "add"}


@dataclass(frozen=True, slots=True, eq=False)
class Script:
    """One file: its path, its lines, its tree and the parent of every node of that."""

    path: str
    lines: Sequence[bytes]
    module: ast.Module
    parents: dict[ast.AST, ast.AST] = field(default_factory=dict)

    def nodes(self, kind: type[NodeKind]) -> Iterator[NodeKind]:
        """Yield the nodes of a kind, outer ones first."""
        for node in self.parents:
            if isinstance(node, kind):
                yield node

    def scopes(self) -> Iterator[Scope]:
        """Yield the module and every function."""
        yield self.module
        for node in self.parents:
            if isinstance(node, Function):
                yield node

    def functions(self, name: str) -> Iterator[ast.FunctionDef]:
        """Yield the functions of a name, methods too."""
        for function in self.nodes(ast.FunctionDef):
            if function.name == name:
                yield function

    def cut(self, node: ast.stmt) -> Change | None:
        """Return what takes a statement out with its decorators, or None when it shares a line with another."""
        decorators: list[ast.expr] = getattr(node, "decorator_list", [])
        first = (decorators[0] if decorators else node).lineno - 1
        end = node.end_lineno or node.lineno
        before = self.lines[first][: node.col_offset] if first == node.lineno - 1 else b""
        last = self.lines[end - 1][node.end_col_offset or 0 :].strip()
        if before.strip() or (last and not last.startswith(b"#")):
            return None
        return Change(start=first, end=end)

    def cuts(self, nodes: Iterable[ast.stmt]) -> tuple[Change, ...] | None:
        """Return what takes statements out, or None when one of them shares a line with another."""
        changes = []
        for node in nodes:
            change = self.cut(node)
            if change is None:
                return None
            changes.append(change)
        return tuple(changes)

    def block(self, node: ast.stmt) -> list[ast.stmt]:
        """Return the statements among which one stands."""
        parent = self.parents[node]
        for name in BLOCKS:
            block: list[ast.stmt] = getattr(parent, name, [])
            if node in block:
                return block
        raise LookupError(ast.unparse(node))

    def empties(self, nodes: Sequence[ast.stmt]) -> bool:
        """Tell whether a block would have no statement left without these."""
        going = set(nodes)
        return any(going.issuperset(self.block(node)) for node in nodes)


@lru_cache(maxsize=32)
def read(path: str, content: bytes) -> Script | None:
    """Return a file's tree, or None when it does not parse: that is said elsewhere."""
    try:
        module = tree.parse_quietly(re.sub(rb"\r(?!\n)|\f", b" ", content))
    except (SyntaxError, ValueError, RecursionError):
        return None
    parents: dict[ast.AST, ast.AST] = {}
    for node in ast.walk(module):
        parents.update(dict.fromkeys(ast.iter_child_nodes(node), node))
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
        for child in ast.iter_child_nodes(node):
            if not isinstance(child, (ast.stmt, ast.ExceptHandler, ast.match_case)):
                waiting.append(child)


def all_parts(nodes: Iterable[ast.AST]) -> set[ast.AST]:
    """Return what nodes are made of, the blocks of compound ones too."""
    return set(chain.from_iterable(map(ast.walk, nodes)))


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


def keys_in(*nodes: ast.AST) -> set[str]:
    """Return the keys of all that nodes are made of, read or not."""
    return set(map(key, all_parts(nodes))) - {""}


def loads(*statements: ast.stmt) -> set[str]:
    """Return the keys that statements, or the heads of compound ones, read."""
    read = set()
    for node in chain.from_iterable(map(parts, statements)):
        if isinstance(node, (ast.Name, ast.Attribute, ast.Subscript)) and isinstance(node.ctx, ast.Load):
            read.add(key(node))
    return read - {""}


def given(call: ast.Call) -> list[ast.expr]:
    """Return what a call is given, by place and by name."""
    return [*call.args, *(keyword.value for keyword in call.keywords)]


def imported(node: ast.Import | ast.ImportFrom) -> list[str]:
    """Return what an import takes, by the names that its source has for it."""
    return [alias.name for alias in node.names]


def targets(statement: ast.stmt) -> list[ast.expr]:
    """Return what a simple statement assigns to."""
    if isinstance(statement, ast.Assign):
        return statement.targets
    return [statement.target] if isinstance(statement, (ast.AugAssign, ast.AnnAssign)) else []


def target(statement: ast.stmt) -> str:
    """Return the key of the one thing that a statement assigns to, or ""."""
    assigned = targets(statement)
    return key(assigned[0]) if len(assigned) == 1 else ""


def filled(statement: ast.stmt) -> str:
    """Return the key of what a statement assigns to, or of the list that it appends to, or ""."""
    call = statement.value if isinstance(statement, ast.Expr) else None
    if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr in APPENDING:
        return key(call.func.value)
    return target(statement)


def parameters(scope: ast.AST) -> set[str]:
    """Return the names of the parameters of a function."""
    if not isinstance(scope, Function):
        return set()
    arguments = scope.args
    return {a.arg for a in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)}
