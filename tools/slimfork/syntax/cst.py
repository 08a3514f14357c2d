"""Finding and rewriting statements of a LibCST tree by structure, without visiting the whole tree.

A pattern is Python source. It matches whatever differs only in white space, comments, quotes, parentheses and
trailing commas; `...` matches any expression, and as the only argument of a call it matches any arguments.
"""

from __future__ import annotations

import ast
import operator
import warnings
from dataclasses import fields
from functools import cache, lru_cache
from itertools import chain
from typing import TYPE_CHECKING, TypeVar, cast

import libcst as cst

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    Statements = Sequence[cst.BaseStatement]
    Rewrite = Callable[[Statements], Statements]

Node = TypeVar("Node", bound=cst.CSTNode)

_TRIVIA = frozenset(
    {
        "leading_lines",
        "lines_after_decorators",
        "trailing_whitespace",
        "lpar",
        "rpar",
        "comma",
        "semicolon",
        "footer",
        "header",
        "start",  # the quotes of an f-string
        "end",
    }
)
_BLOCKS = ("body", "orelse", "finalbody")
_BRANCHES = ("handlers", "cases")  # of `try` and `match`


def matches(pattern: object, node: object) -> bool:
    """Tell whether a node has the structure of a pattern node."""
    kind = type(pattern)
    if kind is cst.Ellipsis and isinstance(node, cst.BaseExpression):
        return True
    if isinstance(pattern, (list, tuple)):
        others = cast("Sequence[object]", node)
        return len(pattern) == len(others) and all(map(matches, pattern, others))
    if kind is not type(node):
        return False
    if not isinstance(pattern, cst.CSTNode):
        return pattern == node
    if isinstance(pattern, cst.SimpleString):
        return pattern.evaluated_value == cast("cst.SimpleString", node).evaluated_value
    return _have_same_parts(pattern, node)


def _have_same_parts(pattern: cst.CSTNode, node: object) -> bool:
    for name in _parts(type(pattern)):
        if not (_is_wild(pattern, name) or matches(getattr(pattern, name), getattr(node, name))):
            return False
    return True


def matching(pattern: cst.CSTNode, among: Iterable[cst.CSTNode]) -> Iterator[cst.CSTNode]:
    """Yield the nodes that have the structure of a pattern node."""
    for node in among:
        if matches(pattern, node):
            yield node


@cache
def _parts(kind: type[cst.CSTNode]) -> tuple[str, ...]:
    """Return the fields of a kind of node that say something."""
    names = []
    for field in fields(kind):
        if field.name not in _TRIVIA and not field.name.startswith("whitespace"):
            names.append(field.name)
    return tuple(names)


def _is_wild(pattern: cst.CSTNode, name: str) -> bool:
    if not isinstance(pattern, cst.Call) or name != "args" or len(pattern.args) != 1:
        return False
    return isinstance(pattern.args[0].value, cst.Ellipsis) and pattern.args[0].keyword is None


def parse_quietly(text: bytes) -> ast.Module:
    """Return Python's own tree, which knows lines; without its warnings on code that is not ours."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ast.parse(text)


@lru_cache(maxsize=2048)  # several edits look through one file; nodes are the same only when they are one object
def nodes(statement: cst.CSTNode) -> Sequence[cst.CSTNode]:
    """Return a statement and what it is made of, without the blocks of a compound one, from left to right."""
    parts, waiting = [], [statement]
    while waiting:
        node = waiting.pop()
        parts.append(node)
        for name in reversed(_parts(type(node))):
            value = getattr(node, name)
            children: Sequence[cst.CSTNode] = value if isinstance(value, (list, tuple)) else (value,)
            for child in reversed(children):
                if _is_walked(type(child)):
                    waiting.append(child)
    return tuple(parts)


@cache
def _is_walked(kind: type[cst.CSTNode]) -> bool:
    return issubclass(kind, cst.CSTNode) and not issubclass(kind, cst.IndentedBlock)


class NodeSwap(cst.CSTTransformer):
    """Replaces the nodes of a scope that match a pattern; it visits the statements that hold one, and no other.

    Args:
        pattern: The kind of node to replace.
        change: Gets a node and returns what shall stand in its place.
    """

    def __init__(self, pattern: cst.CSTNode, change: Callable[[cst.CSTNode], cst.CSTNode]) -> None:
        super().__init__()
        self.pattern, self.change = pattern, change

    def rewrite(self, statements: Statements) -> Statements:
        """Return the statements of one block with the change made."""
        return list(map(self._changed, statements))

    def _changed(self, statement: cst.BaseStatement) -> cst.BaseStatement:
        holds_one = any(matching(self.pattern, nodes(statement)))
        return cast("cst.BaseStatement", statement.visit(self)) if holds_one else statement

    def visit_IndentedBlock(self, node: cst.IndentedBlock) -> bool:  # noqa: N802 - LibCST's name
        """Leave out the blocks of compound statements: they come by themselves."""
        del node
        return False

    def on_leave(self, original_node: cst.CSTNode, updated_node: cst.CSTNode) -> cst.CSTNode:  # type: ignore[override]
        """Change what matches."""
        return self.change(updated_node) if matches(self.pattern, original_node) else updated_node


def rewrite_scope(node: Node, within: Sequence[str], rewrite: Rewrite) -> Node:
    """Return a node with every block of the scopes at a path passed through `rewrite`.

    Args:
        node: A module, class or function.
        within: Names of classes and functions from here down, `*` for any; empty for this node itself.
        rewrite: Gets the statements of one block, inner blocks first, and returns what shall stand there.
    """
    if not within:
        return _map_blocks(node, rewrite)
    body = _body(node)
    new: list[cst.BaseStatement] = []
    for child in body:
        on_path = isinstance(child, (cst.ClassDef, cst.FunctionDef)) and within[0] in {"*", child.name.value}
        new.append(rewrite_scope(child, within[1:], rewrite) if on_path else child)
    return node if _same(body, new) else _with_body(node, new)


def blocks(node: cst.CSTNode, within: Sequence[str]) -> Iterator[Statements]:
    """Yield the statement lists of the scopes at a path, inner blocks first."""
    lists: list[Statements] = []

    def look(statements: Statements) -> Statements:
        lists.append(statements)
        return statements

    rewrite_scope(node, within, look)
    return iter(lists)


def nodes_of(node: cst.CSTNode, within: Sequence[str]) -> Iterator[cst.CSTNode]:
    """Yield all that the statements of the scopes at a path are made of."""
    return chain.from_iterable(map(nodes, chain.from_iterable(blocks(node, within))))


def _body(node: cst.CSTNode) -> Statements:
    body = getattr(node, "body", ())
    return cast("Statements", body.body if isinstance(body, cst.IndentedBlock) else body)


def _with_body(node: Node, statements: Statements) -> Node:
    body = getattr(node, "body", None)
    if isinstance(body, cst.IndentedBlock):
        return node.with_changes(body=body.with_changes(body=statements))
    return node.with_changes(body=statements)


def _map_blocks(node: Node, rewrite: Rewrite) -> Node:
    changes: dict[str, object] = {}
    for name in _BLOCKS:
        child = getattr(node, name, None)
        if isinstance(child, cst.IndentedBlock) or (name == "body" and isinstance(node, cst.Module)):
            old = cast("Statements", child.body if isinstance(child, cst.IndentedBlock) else child)
            new = _map_list(old, rewrite)
            if not _same(old, new):
                changes[name] = child.with_changes(body=new) if isinstance(child, cst.IndentedBlock) else new
        elif isinstance(child, cst.CSTNode) and not isinstance(child, cst.SimpleStatementSuite):
            mapped = _map_blocks(child, rewrite)
            if mapped is not child:
                changes[name] = mapped
    for name in _BRANCHES:
        branches = getattr(node, name, ())
        mapped_branches = [_map_blocks(branch, rewrite) for branch in branches]
        if not _same(branches, mapped_branches):
            changes[name] = mapped_branches
    return node.with_changes(**changes) if changes else node


def _map_list(statements: Statements, rewrite: Rewrite) -> Statements:
    mapped = []
    for statement in statements:
        compound = isinstance(statement, cst.BaseCompoundStatement)
        mapped.append(_map_blocks(statement, rewrite) if compound else statement)
    return rewrite(mapped)


def _same(old: Sequence[object], new: Sequence[object]) -> bool:
    return len(old) == len(new) and all(map(operator.is_, old, new))
