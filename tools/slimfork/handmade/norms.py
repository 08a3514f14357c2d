"""Which expressions press BatchNorm scales: what is added to their gradients, and their L1 norms. Pure."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

from slimfork.handmade.script import Function, Script, key, parts, targets

if TYPE_CHECKING:
    from collections.abc import Iterator

BATCH_NORM = re.compile(r"BatchNorm|Norm2d|\bbn|bn\b|_bn|BN\b|prunable|spars|slim")
ADDING = {"add_", "sub_", "copy_", "addcmul_", "addcdiv_"}
FOREACH = {"_foreach_add_", "_foreach_sub_"}
ITERATIONS = (ast.For, ast.AsyncFor, ast.GeneratorExp, ast.ListComp, ast.SetComp)
SIGN = re.compile(r"\bsign\b|\bsgn\b|copysign|shrink")
SUM = re.compile(r"[-+]|sign|add\(|where|shrink|clamp")


def presses_gradients(script: Script, statement: ast.stmt) -> bool:
    """Tell whether a statement adds to the gradients, or takes from the values, of BatchNorm scales."""
    changed, given = _written(statement)
    if changed is None:
        return False
    names = ast.unparse(changed)
    if re.search(r"\.grad\b", names):
        return _is_batch_norm(script, statement) or bool(SIGN.search(given))
    shrunk = re.search(r"\.(weight|gamma)(\.data)?$", names) and SIGN.search(given)
    return bool(shrunk) and _is_batch_norm(script, statement)


def _written(statement: ast.stmt) -> tuple[ast.expr | None, str]:
    """Return what a statement adds to in place, and the text of what it adds; None when it does no such thing."""
    if isinstance(statement, ast.AugAssign) and isinstance(statement.op, (ast.Add, ast.Sub)):
        return statement.target, ast.unparse(statement.value)
    if isinstance(statement, ast.Assign):
        given = ast.unparse(statement.value)
        return (targets(statement)[0], given) if SUM.search(given) else (None, "")
    call = statement.value if isinstance(statement, ast.Expr) else None
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Attribute):
        return None, ""
    given = " ".join(map(ast.unparse, [*call.args, *(k.value for k in call.keywords)]))
    if call.func.attr in FOREACH and call.args:
        return call.args[0], given
    return (call.func.value, given) if call.func.attr in ADDING else (None, "")


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
        order = [*others[:1], *(k.value for k in call.keywords if k.arg in {"p", "ord"})]
        return of if any(isinstance(o, ast.Constant) and o.value == 1 for o in order) else None
    return None


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
    names = {text for n in ast.walk(over) if (text := key(n)) and not text.startswith(("torch", "self.model"))}
    makers = (n for n in script.parents if isinstance(n, (ast.Assign, ast.For)) and not _is_training_loop(n))
    texts = filter(BATCH_NORM.search, (ast.unparse(n) for n in makers if n is not loop))
    return any(_fills(text, name) for text in texts for name in names)


def _fills(text: str, name: str) -> bool:
    """Tell whether code assigns to a name, adds to it, or appends to it."""
    return re.search(rf"(?<![\w.]){re.escape(name)}(\.append|\s*[+]?=)", text) is not None
