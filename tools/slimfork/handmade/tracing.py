"""Where a penalty that somebody wrote by hand flows: which statements serve nothing else, and which mix it in. Pure."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

from slimfork.handmade.norms import presses_gradients
from slimfork.handmade.penalty_flow import COMPOUND, Flow, is_inert, prints
from slimfork.handmade.script import filled, given, key, loads, parameters, target

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from slimfork.handmade.penalty_flow import HelperKind
    from slimfork.handmade.script import Scope, Script

FRESH = re.compile(r"zeros|[Tt]ensor\(|^-?[\d.e]+$|^None$|^\[\]$|^\(\)$|list\(")


def trace(script: Script, scope: Scope, helpers: Mapping[str, HelperKind]) -> Flow | None:
    """Return the flow of a penalty in a scope, or None when there is none."""
    flow = Flow(script, scope, helpers)
    for _ in range(10):
        _close(flow)
        if not (flow.gone or flow.bad or flow.returned):
            return None
        outside = _read_outside(flow)
        outside |= flow.tainted & parameters(scope)  # a loss that is handed in, added to, and given back
        for name in flow.tainted & loads(*flow.bad):
            if _was_there(flow, name):
                outside.add(name)
        if not outside - flow.existing:
            break
        flow.existing |= outside
    _keep_what_reaches(flow)
    for node in flow.going():
        if not _is_before(flow, target(node)):
            flow.bad.append(node)
    return flow


def _keep_what_reaches(flow: Flow) -> None:
    """Leave alone what measures scales and does not press them, such as a plot of them."""
    going = flow.going()
    live = _live(flow, going)
    made = _made(flow, live)
    flow.gone = set(live).intersection(going)
    for node in going:
        if prints(node) and made & loads(node):
            flow.gone.add(node)


def _live(flow: Flow, going: Iterable[ast.stmt]) -> list[ast.stmt]:
    """Return the statements that reach gradients, a loss or the caller, and those of which they need something."""
    live = [node for node in flow.simple() if _reaches(flow, node)]
    needed: set[str] = set()
    new = live
    while new:
        for node in new:
            needed |= loads(node, *flow.heads(node))
        new = [node for node in going if node not in live and filled(node) in needed]
        live = [*live, *new]
    return live


def _reaches(flow: Flow, node: ast.stmt) -> bool:
    if isinstance(node, ast.Return):
        return flow.carries(node)
    if node not in flow.gone:
        return False
    return presses_gradients(flow.script, node) or target(node) in flow.existing or flow.calls_effect(node)


def _made(flow: Flow, nodes: Iterable[ast.stmt]) -> set[str]:
    """Return what statements give a value to, but for what the penalty is added to."""
    return set(map(target, nodes)) - flow.existing - {""}


def _is_before(flow: Flow, name: str) -> bool:
    """Tell whether what a penalty is added to was there before it, as a loss is and a sum of norms is not."""
    return name not in flow.existing or _was_there(flow, name)


def _was_there(flow: Flow, name: str) -> bool:
    if "." in name or name in parameters(flow.scope):
        return True
    for node in flow.staying():
        if not isinstance(node, ast.Assign):
            continue
        if target(node) == name and not FRESH.search(ast.unparse(node.value)):
            return True
        if _unpacks(node, name):
            return True
    return False


def _unpacks(node: ast.Assign, name: str) -> bool:
    """Tell whether a name is one of several that a statement gives values."""
    return any(isinstance(assigned, ast.Tuple) and name in map(key, assigned.elts) for assigned in node.targets)


def _close(flow: Flow) -> None:
    flow.gone, flow.bad, flow.tainted, flow.presses, flow.returned = set(), [], set(), False, False
    before = -1
    while before != len(flow.tainted):
        before = len(flow.tainted)
        for node in flow.simple():
            if flow.carries(node) and (name := filled(node)) and name not in flow.existing:
                flow.tainted.add(name)
    for node in flow.simple():
        _judge(flow, node)
    _add_support(flow)


def _judge(flow: Flow, node: ast.stmt) -> None:
    if flow.calls_effect(node) or presses_gradients(flow.script, node):
        flow.gone.add(node)
        flow.presses = True
        return
    if not flow.carries(node):
        return
    name = filled(node)
    if isinstance(node, ast.Return):
        flow.returned = True
    elif prints(node) or (name and name not in flow.existing):
        flow.gone.add(node)
    elif name and _adds(flow, node, name):
        flow.gone.add(node)
        flow.presses = True
    elif "backward" in ast.unparse(node) or "loss" in ast.unparse(node):
        flow.bad.append(node)


def _adds(flow: Flow, node: ast.stmt, name: str) -> bool:
    """Tell whether a statement adds the penalty, and nothing else, to what a name holds."""
    if isinstance(node, ast.AugAssign):
        return isinstance(node.op, ast.Add) and all(map(flow.is_penalty, _terms(node.value)))
    if not isinstance(node, ast.Assign):
        return False
    if flow.called(node.value) == "loss" and isinstance(node.value, ast.Call):
        return name in map(key, given(node.value))
    terms = list(_terms(node.value))
    others = [term for term in terms if key(term) != name]
    return bool(others) and len(terms) == len(others) + 1 and all(map(flow.is_penalty, others))


def _terms(value: ast.expr) -> Iterator[ast.expr]:
    if isinstance(value, ast.BinOp) and isinstance(value.op, ast.Add):
        yield from _terms(value.left)
        yield from _terms(value.right)
    else:
        yield value


def _read_outside(flow: Flow) -> set[str]:
    """Return what holds the penalty and is read by statements which do not go."""
    gone = {*flow.inside(), *flow.gone, *flow.bad}
    read = flow.nested_keys()
    for node in flow.all():
        if node not in gone and not isinstance(node, ast.Return):
            read |= loads(node)
    return flow.tainted & read


def _add_support(flow: Flow) -> None:
    """Add what only the penalty needs: its strength, its list of modules, what is printed of them."""
    grows = True
    while grows:
        grows = False
        inside = flow.inside() | flow.gone
        for name in loads(*inside) - flow.existing - parameters(flow.scope):
            stores = [node for node in flow.staying() if _serves(node, name)]
            if stores and not _is_read(flow, name, inside.union(stores)):
                flow.gone.update(stores)
                grows = True
        about = _made(flow, _assigning(flow.gone))
        printing = [node for node in flow.staying() if prints(node) and about & loads(node)]
        flow.gone.update(printing)
        grows = grows or bool(printing)


def _assigning(nodes: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    for node in nodes:
        if isinstance(node, (ast.Assign, ast.AugAssign)):
            yield node


def _serves(node: ast.stmt, name: str) -> bool:
    """Tell whether a statement only gives a value to a name, or appends to it."""
    return "." not in name and "[" not in name and name == filled(node)


def _is_read(flow: Flow, name: str, going: set[ast.stmt]) -> bool:
    """Tell whether anything reads a name but what goes; a compound statement goes with all that stands in it."""
    scope = Flow(flow.script, flow.scope, flow.helpers, gone=going)
    inside = scope.inside()
    for node in flow.all():
        if node in going or node in inside or prints(node):
            continue
        if name in loads(node):
            return True
    return name in flow.nested_keys()


def helper_kind(flow: Flow) -> HelperKind | None:
    """Return what a function is to its callers when it serves the penalty alone, or None when it does more."""
    if isinstance(flow.scope, ast.Module) or flow.bad:
        return None
    inside = flow.inside() | flow.gone
    accepted = parameters(flow.scope)
    kind: HelperKind = "value" if flow.returned else "effect"
    for node in flow.all():
        if node in inside or is_inert(node) or (isinstance(node, ast.Return) and flow.carries(node)):
            continue
        if isinstance(node, ast.Return) and (node.value is None or key(node.value) in accepted):
            kind = "effect" if node.value is None or kind == "value" else "loss"
            continue
        dead = isinstance(node, ast.Assign) and target(node) and not _is_read(flow, target(node), inside)
        if not (dead or (isinstance(node, COMPOUND) and flow.consumed(node))):
            return None
    return kind if flow.presses or flow.returned else None
