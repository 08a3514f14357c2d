"""Code that is to be found in a tree again, by Python's own parser: `...` and names in braces stand for anything."""

from __future__ import annotations

import ast
import re
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

TAKEN = re.compile(r"\{([a-z_]+)\}")  # an argument of the anchor's call, in the code that goes beside it
PREFIX = "_slim_taken_"


def placeholder(name: str) -> str:
    """Return the name that stands for an argument of the anchor until it is known."""
    return PREFIX + name


def with_placeholders(code: str) -> str:
    """Return code as Python: every name in braces becomes an identifier."""
    return TAKEN.sub(lambda match: placeholder(match[1]), code)


@cache
def pattern(code: str) -> ast.stmt | ast.expr:
    """Return code as a node: a statement, or the expression that it is made of."""
    (node,) = ast.parse(with_placeholders(code)).body
    return node.value if isinstance(node, ast.Expr) else node


def is_alike(like: object, node: object) -> bool:
    """Tell whether a node, or a value in one, is what a pattern says."""
    if _is_wild(like):
        return isinstance(node, ast.expr)
    if isinstance(like, ast.Call) and isinstance(node, ast.Call) and len(like.args) == 1 and not like.keywords:
        return is_alike(like.func, node.func) and (_is_dots(like.args[0]) or _is_same(like, node))
    return _is_same(like, node)


def _is_dots(like: object) -> bool:
    return isinstance(like, ast.Constant) and like.value is ...


def _is_wild(like: object) -> bool:
    return _is_dots(like) or (isinstance(like, ast.Name) and like.id.startswith(PREFIX))


def _is_same(like: object, node: object) -> bool:
    if isinstance(like, list):
        return isinstance(node, list) and len(like) == len(node) and all(map(is_alike, like, node))
    if type(like) is not type(node):
        return False
    if not isinstance(like, ast.AST):
        return like == node
    return all(is_alike(getattr(like, f, None), getattr(node, f, None)) for f in like._fields if f not in _FORM)


_FORM = ("type_comment", "kind")


def alike(scopes: list[ast.AST], code: str) -> Iterator[ast.AST]:
    """Yield the nodes in scopes that are what code says."""
    like = pattern(code)
    kind = type(like)
    for scope in scopes:
        for node in ast.walk(scope):
            if type(node) is kind and is_alike(like, node):
                yield node
