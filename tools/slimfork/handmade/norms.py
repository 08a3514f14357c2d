"""Which expressions press BatchNorm scales: what is added to their gradients, and their L1 norms. Pure."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

from slimfork.handmade.script import Function, Script, given, key, keys_in, parts, targets

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

BATCH_NORM = re.compile(r"BatchNorm|Norm2d|\bbn|bn\b|_bn|BN\b|prunable|spars|slim")
ADDING = {"add_", "sub_", "copy_", "addcmul_", "addcdiv_"}
FOREACH = {"_foreach_add_", "_foreach_sub_"}
ITERATIONS = (ast.For, ast.AsyncFor, ast.GeneratorExp, ast.ListComp, ast.SetComp)
SIGN = re.compile(r"\bsign\b|\bsgn\b|copysign|shrink")
SUM = re.compile(r"[-+]|sign|add\(|where|shrink|clamp")


def presses_gradients(script: Script, statement: ast.stmt) -> bool:
    """Tell whether a statement adds to the gradients, or takes from the values, of BatchNorm scales."""
    changed, added = _written(statement)
    if changed is None:
        return False
    names = ast.unparse(changed)
    if re.search(r"\.grad\b", names):
        return _is_batch_norm(script, statement) or bool(SIGN.search(added))
    shrunk = re.search(r"\.(weight|gamma)(\.data)?$", names) and SIGN.search(added)
    return bool(shrunk) and _is_batch_norm(script, statement)


def _written(statement: ast.stmt) -> tuple[ast.expr | None, str]:
    """Return what a statement adds to in place, and the text of what it adds; None when it does no such thing."""
    if isinstance(statement, ast.AugAssign) and isinstance(statement.op, (ast.Add, ast.Sub)):
        return statement.target, ast.unparse(statement.value)
    if isinstance(statement, ast.Assign):
        value = ast.unparse(statement.value)
        return (targets(statement)[0], value) if SUM.search(value) else (None, "")
    call = statement.value if isinstance(statement, ast.Expr) else None
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Attribute):
        return None, ""
    added = " ".join(map(ast.unparse, given(call)))
    if call.func.attr in FOREACH and call.args:
        return call.args[0], added
    return (call.func.value, added) if call.func.attr in ADDING else (None, "")


def l1_norms(script: Script, statement: ast.stmt) -> Iterator[ast.expr]:
    """Yield the L1 norms of BatchNorm scales in a statement."""
    for node in parts(statement):
        if isinstance(node, ast.Call) and (of := _normed(node)) is not None and _is_scale(script, node, of):
            yield node


def _normed(call: ast.Call) -> ast.expr | None:
    """Return what a call takes the L1 norm or the absolute values of, or None when it does no such thing."""
    name = call.func.attr if isinstance(call.func, ast.Attribute) else key(call.func)
    module = key(call.func.value) if isinstance(call.func, ast.Attribute) else ""
    free = module in {"", "torch", "F", "functional", "linalg", "LA"} or module.startswith(("torch.", "nn."))
    of = (call.args[0] if call.args else None) if free else getattr(call.func, "value", None)
    others = call.args[1:] if free else call.args
    if name in {"abs", "absolute", "l1_loss"}:
        return of
    if name in {"norm", "vector_norm", "matrix_norm"}:
        return of if _is_first_order(others, call.keywords) else None
    return None


def _is_first_order(others: Sequence[ast.expr], keywords: Sequence[ast.keyword]) -> bool:
    """Tell whether the order of a norm is 1, given by place behind what it is taken of, or by name."""
    orders = list(others[:1])
    for keyword in keywords:
        if keyword.arg in {"p", "ord"}:
            orders.append(keyword.value)
    return any(isinstance(order, ast.Constant) and order.value == 1 for order in orders)


def _is_scale(script: Script, call: ast.Call, of: ast.expr) -> bool:
    names = key(of)
    loop = _loop(script, call)
    if re.search(r"\.(weight|gamma)(\.data)?$", names):
        if loop is None:
            return bool(BATCH_NORM.search(names))
        return _is_batch_norm(script, call) or not re.search(r"isinstance|type\(", ast.unparse(loop))
    return bool(names) and loop is not None and _is_batch_norm(script, call)


def _loop(script: Script, node: ast.AST) -> ast.AST | None:
    while (node := script.parents.get(node, script.module)) is not script.module:
        if isinstance(node, Function):
            return None
        if isinstance(node, ITERATIONS) and not _is_training_loop(node):
            return node
    return None


def _is_training_loop(node: ast.AST) -> bool:
    """Tell whether a loop is over epochs or batches: what stands in it says nothing of what a statement is about."""
    return isinstance(node, ast.For) and re.search(r"epoch|loader|pbar", ast.unparse(node.iter)) is not None


def _is_batch_norm(script: Script, node: ast.AST) -> bool:
    """Tell whether the loop around a node, or what it goes over, names BatchNorm."""
    loop = _loop(script, node)
    if loop is None:
        return bool(BATCH_NORM.search(ast.unparse(node)))
    if BATCH_NORM.search(ast.unparse(loop)):
        return True
    over = loop.iter if isinstance(loop, ast.For) else getattr(loop, "generators")[0].iter  # noqa: B009
    names = [name for name in keys_in(over) if not name.startswith(("torch", "self.model"))]
    for maker in script.parents:
        if maker is loop or not isinstance(maker, (ast.Assign, ast.For)) or _is_training_loop(maker):
            continue
        text = ast.unparse(maker)
        if BATCH_NORM.search(text) and any(_fills(text, name) for name in names):
            return True
    return False


def _fills(text: str, name: str) -> bool:
    """Tell whether code assigns to a name, adds to it, or appends to it."""
    return re.search(rf"(?<![\w.]){re.escape(name)}(\.append|\s*[+]?=)", text) is not None
