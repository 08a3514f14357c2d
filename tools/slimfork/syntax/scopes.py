"""Which names a scope binds, by Python's own tree: what `symtable` knows, with the nodes that do it. Pure."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
STAR = "*"

AnyNode = TypeVar("AnyNode", bound=ast.AST)


def of_kind(nodes: Iterable[ast.AST], *kinds: type[AnyNode]) -> Iterator[AnyNode]:
    """Yield the nodes that are of one of some kinds."""
    for node in nodes:
        if isinstance(node, kinds):
            yield node


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
    inner = set(map(id, loop_targets(parts)))
    names: set[str] = set()
    for part in parts:
        if id(part) not in inner:
            names.update(_own(part))
    return names


def loop_targets(parts: Iterable[ast.AST]) -> Iterator[ast.AST]:
    """Yield what the targets of comprehensions are made of: they have a scope of their own."""
    for loop in of_kind(parts, ast.comprehension):
        yield from ast.walk(loop.target)


def _own(part: ast.AST) -> Iterator[str]:
    if isinstance(part, ast.Name):
        if not isinstance(part.ctx, ast.Load):
            yield part.id
    elif isinstance(part, ast.arg):
        yield part.arg
    elif isinstance(part, ast.alias):
        yield imported_as(part)
    elif isinstance(part, (ast.Global, ast.Nonlocal)):
        yield from part.names
    else:  # a function, a class, a handler, a pattern
        for field in ("name", "rest"):
            name = getattr(part, field, None)
            if isinstance(name, str):
                yield name


def imported_as(alias: ast.alias) -> str:
    """Return the name that a part of an import binds."""
    return alias.asname or alias.name.partition(".")[0]


def binders(scope: ast.AST, name: str) -> list[ast.AST]:
    """Return the statements and parameters of a scope that bind a name there, take it away or declare it."""
    if isinstance(scope, COMPREHENSIONS):
        return [loop.target for loop in scope.generators if name in names_among(ast.walk(loop.target))]
    body = [scope.body] if isinstance(scope, ast.Lambda) else getattr(scope, "body", [])
    parameters = [scope.args] if isinstance(scope, (*FUNCTIONS, ast.Lambda)) else []
    binding: list[ast.AST] = []
    for node in [*parameters, *body]:
        binding += _binders(node, name)
    return binding


def _binders(node: ast.AST, name: str) -> Iterator[ast.AST]:
    """Yield the innermost statements of a statement that bind a name."""
    if name not in stores(node):
        return
    head: list[ast.AST] = []
    inside: list[ast.AST] = []
    for part in () if isinstance(node, (*FUNCTIONS, ast.ClassDef)) else ast.iter_child_nodes(node):
        if isinstance(part, (ast.stmt, ast.excepthandler, ast.match_case)):
            inside += _binders(part, name)
        else:
            head.append(part)
    own = isinstance(node, ast.ExceptHandler) and node.name == name
    if own or not inside or name in stores(*head):
        yield node
    yield from inside


def star_imports(module: ast.Module) -> list[ast.ImportFrom]:
    """Return the imports of a module that bind names it does not say."""
    return [node for node in of_kind(in_scope(*module.body), ast.ImportFrom) if node.names[0].name == STAR]


def declared_global(module: ast.Module, name: str) -> Iterator[ast.Global]:
    """Yield the statements by which functions say that a name of theirs is the module's."""
    for node in of_kind(ast.walk(module), ast.Global):
        if name in node.names:
            yield node


def scopes_at(scope: ast.AST, within: Sequence[str]) -> Iterator[ast.AST]:
    """Yield the scopes at a path of names of classes and functions from here down, `*` for any name."""
    if not within:
        yield scope
        return
    for child in getattr(scope, "body", []):
        if isinstance(child, (*FUNCTIONS, ast.ClassDef)) and within[0] in {"*", child.name}:
            yield from scopes_at(child, within[1:])


def names_among(nodes: Iterable[ast.AST]) -> list[str]:
    """Return the names that are among some nodes, whatever is done with them."""
    return [node.id for node in of_kind(nodes, ast.Name)]


def names_read(node: ast.AST) -> list[str]:
    """Return the names that code reads, each as often as it does."""
    return [part.id for part in of_kind(ast.walk(node), ast.Name) if isinstance(part.ctx, ast.Load)]
