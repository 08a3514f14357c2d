"""Which names a scope binds, by Python's own tree: what `symtable` knows, with the nodes that do it. Pure."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
STAR = "*"


def in_scope(*nodes: ast.AST) -> Iterator[ast.AST]:
    """Yield nodes and what they are made of in the same scope: functions and classes, but not their insides."""
    waiting = list(nodes)
    while waiting:
        part = waiting.pop()
        yield part
        if isinstance(part, (*FUNCTIONS, ast.ClassDef)):
            waiting += part.decorator_list
        elif not isinstance(part, ast.Lambda):
            waiting += ast.iter_child_nodes(part)


def stores(*nodes: ast.AST) -> set[str]:
    """Return the names that nodes bind, take away or declare in the scope that they stand in."""
    parts = list(in_scope(*nodes))
    comprehensions = [part for part in parts if isinstance(part, COMPREHENSIONS)]
    targets = [loop.target for part in comprehensions for loop in part.generators]
    inner = {id(name) for target in targets for name in ast.walk(target)}  # these have a scope of their own
    outer = [part for part in parts if id(part) not in inner]
    return {name for part in outer for name in _own(part)}


def _own(part: ast.AST) -> Iterator[str]:
    if isinstance(part, ast.Name):
        if not isinstance(part.ctx, ast.Load):
            yield part.id
    elif isinstance(part, ast.arg):
        yield part.arg
    elif isinstance(part, ast.alias):
        yield part.asname or part.name.partition(".")[0]
    elif isinstance(part, (ast.Global, ast.Nonlocal)):
        yield from part.names
    else:  # a function, a class, a handler, a pattern
        yield from (name for field in ("name", "rest") if isinstance(name := getattr(part, field, None), str))


def binders(scope: ast.AST, name: str) -> list[ast.AST]:
    """Return the statements and parameters of a scope that bind a name there, take it away or declare it."""
    if isinstance(scope, COMPREHENSIONS):
        return [loop.target for loop in scope.generators if name in _names(loop.target)]
    body = [scope.body] if isinstance(scope, ast.Lambda) else getattr(scope, "body", [])
    parameters = [scope.args] if isinstance(scope, (*FUNCTIONS, ast.Lambda)) else []
    return [each for node in [*parameters, *body] for each in _binders(node, name)]


def _names(target: ast.expr) -> set[str]:
    return {part.id for part in ast.walk(target) if isinstance(part, ast.Name)}


def _binders(node: ast.AST, name: str) -> Iterator[ast.AST]:
    """Yield the innermost statements of a statement that bind a name."""
    if name not in stores(node):
        return
    parts = [] if isinstance(node, (*FUNCTIONS, ast.ClassDef)) else list(ast.iter_child_nodes(node))
    inner = [part for part in parts if isinstance(part, (ast.stmt, ast.excepthandler, ast.match_case))]
    inside = [each for part in inner for each in _binders(part, name)]
    head = [part for part in parts if part not in inner]
    own = isinstance(node, ast.ExceptHandler) and node.name == name
    if own or not inside or name in stores(*head):
        yield node
    yield from inside


def star_imports(module: ast.Module) -> list[ast.ImportFrom]:
    """Return the imports of a module that bind names it does not say."""
    return [n for n in in_scope(*module.body) if isinstance(n, ast.ImportFrom) and n.names[0].name == STAR]


def names_read(node: ast.AST) -> list[str]:
    """Return the names that code reads, each as often as it does."""
    return [part.id for part in ast.walk(node) if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Load)]
