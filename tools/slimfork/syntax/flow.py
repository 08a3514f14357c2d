"""What is certain of the flow of statements, by syntax alone: never past, and bound for sure. Pure.

Where it cannot be told, the answer is the one that leads to a refusal.
"""

from __future__ import annotations

import ast
import operator
from typing import TYPE_CHECKING

from slimfork.syntax.scopes import FUNCTIONS, in_scope, of_kind, stores

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    Block = Sequence[ast.stmt]

EXITS = {"sys.exit", "os._exit", "os.abort", "exit", "quit"}
LEAVES = (ast.Return, ast.Raise, ast.Continue, ast.Break)
_COMPARED: dict[type[ast.cmpop], Callable[[object, object], object]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Is: operator.is_,
    ast.IsNot: operator.is_not,
}


def truth(test: ast.expr) -> bool | None:
    """Return whether a condition holds, or None where that is not plain to see."""
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        inner = truth(test.operand)
        return None if inner is None else not inner
    if isinstance(test, ast.BoolOp):
        decides = isinstance(test.op, ast.Or)
        truths = set(map(truth, test.values))
        return decides if decides in truths else None if None in truths else not decides
    if isinstance(test, ast.Compare):
        return _compared(test)
    return _plain(test)


def _plain(test: ast.expr) -> bool | None:
    """Return whether a literal is true; what is there for type checkers alone is not."""
    if isinstance(test, ast.Constant):
        return bool(test.value)
    if isinstance(test, (ast.Tuple, ast.List, ast.Set, ast.Dict)):
        empty = not (test.keys if isinstance(test, ast.Dict) else test.elts)
        return False if empty else None
    return False if ast.unparse(test).rpartition(".")[2] == "TYPE_CHECKING" else None


def _compared(test: ast.Compare) -> bool | None:
    """Return whether a comparison of two literals holds."""
    compare = _COMPARED.get(type(test.ops[0]))
    left, right = test.left, test.comparators[0]
    if len(test.ops) > 1 or compare is None:
        return None
    if not (isinstance(left, ast.Constant) and isinstance(right, ast.Constant)):
        return None
    return bool(compare(left.value, right.value))


def is_left(block: Block) -> bool:
    """Tell whether what follows a block is never reached through it."""
    return any(map(leaves, block))


def leaves(node: ast.stmt) -> bool:
    """Tell whether what follows a statement in its block is never reached."""
    if isinstance(node, LEAVES) or _exits(node):
        return True
    if isinstance(node, ast.Assert):
        return truth(node.test) is False
    if isinstance(node, ast.While):
        return truth(node.test) is True and not _breaks(node.body)
    if isinstance(node, (ast.For, ast.AsyncFor)):
        return is_left(node.orelse) and not _breaks(node.body)
    ways = _ways(node)
    return bool(ways) and all(map(is_left, ways))


def _exits(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) and ast.unparse(node.value.func) in EXITS


def _breaks(body: Block) -> bool:
    """Tell whether a loop's body ends the loop; an inner loop's break counts too, to be careful."""
    return any(of_kind(in_scope(*body), ast.Break))


def _ways(node: ast.stmt) -> list[Block]:
    """Return the blocks of which exactly one is run to its end, for a statement that is left through one of them."""
    if isinstance(node, ast.If):
        holds = truth(node.test)
        both: list[Block] = [node.body, node.orelse]
        return both if holds is None else [both[0] if holds else both[1]]
    if isinstance(node, (ast.With, ast.AsyncWith)):
        return [node.body]
    if isinstance(node, ast.Try) or type(node).__name__ == "TryStar":
        tried: ast.Try = node  # type: ignore[assignment]
        handled: list[Block] = [[*handler.body, *tried.finalbody] for handler in tried.handlers]
        return [[*tried.body, *tried.orelse, *tried.finalbody], *handled]
    if isinstance(node, ast.Match):
        cases: list[Block] = [case.body for case in node.cases]
        return cases if _matches_all(node.cases[-1]) else [*cases, []]
    return []


def _matches_all(case: ast.match_case) -> bool:
    return case.guard is None and isinstance(case.pattern, ast.MatchAs) and case.pattern.pattern is None


def binds(node: ast.stmt, name: str) -> bool:
    """Tell whether a name has a value for sure once a statement has been run to its end."""
    if isinstance(node, (ast.For, ast.AsyncFor)):
        return _named(node.iter, name)
    if isinstance(node, ast.While):
        return _named(node.test, name)
    ways = _ways(node)
    if ways:
        return _binds_at_head(node, name) or all(is_left(way) or block_binds(way, name) for way in ways)
    if isinstance(node, (ast.Assign, ast.AnnAssign, ast.AugAssign)) and node.value is not None:
        return _named(node.value, name) or name in stores(node)
    if isinstance(node, (ast.Import, ast.ImportFrom, *FUNCTIONS, ast.ClassDef)):
        return name in stores(node)
    return isinstance(node, ast.Expr) and _named(node.value, name)


def _binds_at_head(node: ast.stmt, name: str) -> bool:
    if isinstance(node, ast.If):
        return _named(node.test, name)
    if isinstance(node, (ast.With, ast.AsyncWith)):
        return name in stores(*with_targets(node)) or any(_named(item.context_expr, name) for item in node.items)
    return isinstance(node, ast.Match) and _named(node.subject, name)


def with_targets(node: ast.With | ast.AsyncWith) -> list[ast.expr]:
    """Return what follows each `as` of a `with`."""
    return [item.optional_vars for item in node.items if item.optional_vars]


def _named(value: ast.expr, name: str) -> bool:
    """Tell whether a walrus gives a name its value for sure."""
    return any(part.target.id == name for part in of_kind(_evaluated(value), ast.NamedExpr))


def _evaluated(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the parts of an expression that are evaluated each time."""
    yield node
    if isinstance(node, (ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)):
        return
    first = {ast.BoolOp: "values", ast.IfExp: "test", ast.Compare: "left"}.get(type(node))
    parts = ast.iter_child_nodes(node)
    if first:
        value = getattr(node, first)
        parts = iter(value[:1] if isinstance(value, list) else [value])
    for part in parts:
        yield from _evaluated(part)


def unbinds(node: ast.AST, name: str) -> bool:
    """Tell whether a statement, or a part of it, takes a name its value away."""
    for part in in_scope(node):
        if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Del) and part.id == name:
            return True
        if isinstance(part, ast.ExceptHandler) and part.name == name:
            return True
    return False


def block_binds(block: Block, name: str) -> bool:
    """Tell whether a name has a value for sure behind a block."""
    return bool(bound_behind(block, name))


def bound_behind(block: Block, name: str) -> bool | None:
    """Tell whether a block gives a name its value for sure, or may take it away; None where it does neither."""
    for node in reversed(block):
        if unbinds(node, name):
            return False
        if binds(node, name):
            return True
    return None
