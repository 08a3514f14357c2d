"""Where a penalty that somebody wrote by hand flows: which statements serve nothing else, and which mix it in. Pure."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from slimfork.handmade.norms import l1_norms, presses_gradients
from slimfork.handmade.script import Script, key, loads, parameters, parts, statements, target

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from slimfork.handmade.script import Scope

HelperKind = Literal["effect", "value", "loss"]
PRINTS = {"print", "LOGGER.info", "logger.info", "LOGGER.warning", "logging.info"}
FRESH = re.compile(r"zeros|[Tt]ensor\(|^-?[\d.e]+$|^None$|^\[\]$|^\(\)$|list\(")
COMPOUND = (ast.If, ast.For, ast.With)


@dataclass(slots=True)
class Flow:
    """What a scope does about the penalty.

    Attributes:
        gone: The simple statements that serve the penalty alone.
        bad: Statements that mix the penalty with something else, so that no line can go.
        presses: Whether it reaches gradients or a loss here.
        returned: Whether a function gives the penalty back.
        existing: What the penalty is added to, such as `loss`.
    """

    script: Script
    scope: Scope
    helpers: Mapping[str, HelperKind]
    gone: set[ast.stmt] = field(default_factory=set)
    bad: list[ast.stmt] = field(default_factory=list)
    presses: bool = False
    returned: bool = False
    existing: set[str] = field(default_factory=set)
    tainted: set[str] = field(default_factory=set)

    def all(self) -> list[ast.stmt]:
        """Return the statements of the scope."""
        return list(statements(self.scope))

    def simple(self) -> Iterator[ast.stmt]:
        """Yield the statements that hold no others."""
        return (s for s in self.all() if not hasattr(s, "body"))

    def consumed(self, node: ast.stmt) -> bool:
        """Tell whether a statement serves the penalty alone, with all that stands in it."""
        if not isinstance(node, COMPOUND):
            return node in self.gone
        inner = [*node.body, *getattr(node, "orelse", ())]
        return all(self.consumed(s) or is_inert(s) for s in inner) and any(self.consumed(s) for s in inner)

    def roots(self) -> list[ast.stmt]:
        """Return the outermost statements that serve the penalty alone."""
        consumed = [s for s in self.all() if self.consumed(s)]
        return [s for s in consumed if self.script.parents[s] not in consumed]

    def inside(self) -> set[ast.stmt]:
        """Return all statements that serve the penalty alone, and what says nothing in them."""
        return {s for root in self.roots() for s in [root, *statements(root)]}

    def carries(self, node: ast.stmt) -> bool:
        """Tell whether a statement reads the penalty."""
        called = any(self.called(n) in {"value", "loss"} for n in parts(node))
        return called or bool(self.tainted & loads(node)) or any(True for _ in l1_norms(self.script, node))

    def called(self, node: ast.AST) -> HelperKind | None:
        """Return the kind of helper that an expression calls."""
        name = key(node.func) if isinstance(node, ast.Call) else ""
        return self.helpers.get(name.rpartition(".")[2]) if name.count(".") <= 1 else None


def is_inert(node: ast.stmt) -> bool:
    """Tell whether a statement does nothing that anything but a reader would miss: `pass`, a text, a print."""
    if isinstance(node, (ast.Pass, ast.Continue)):
        return True
    if isinstance(node, ast.If):  # `if not isinstance(m, nn.BatchNorm2d): continue`
        return all(is_inert(s) for s in (*node.body, *node.orelse))
    return isinstance(node, ast.Expr) and (isinstance(node.value, ast.Constant) or _prints(node))


def _prints(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) and key(node.value.func) in PRINTS


def trace(script: Script, scope: Scope, helpers: Mapping[str, HelperKind]) -> Flow | None:
    """Return the flow of a penalty in a scope, or None when there is none."""
    flow = Flow(script, scope, helpers)
    for _ in range(10):
        _close(flow)
        if not (flow.gone or flow.bad or flow.returned):
            return None
        mixed = set().union(*map(loads, flow.bad)) & flow.tainted if flow.bad else set()
        outside = _read_outside(flow, flow.tainted) | {name for name in mixed if _was_there(flow, name)}
        outside |= flow.tainted & parameters(scope)  # a loss that is handed in, added to, and given back
        if not outside - flow.existing:
            break
        flow.existing |= outside
    _keep_what_reaches(flow)
    flow.bad += [s for s in flow.simple() if s in flow.gone and not _is_before(flow, target(s))]
    return flow


def _keep_what_reaches(flow: Flow) -> None:
    """Leave alone what measures scales and does not press them, such as a plot of them."""
    gone = [s for s in flow.simple() if s in flow.gone]
    around = {s: list(_heads(flow, s)) for s in gone}
    live = [s for s in gone if presses_gradients(flow.script, s) or target(s) in flow.existing or _is_call(flow, s)]
    live += [s for s in flow.simple() if isinstance(s, ast.Return) and flow.carries(s)]
    needed: set[str] = set()
    while True:
        for statement in live:
            needed.update(*map(loads, (statement, *around.get(statement, ()))))
        more = [s for s in gone if s not in live and ({target(s), _receiver(s)} & needed)]
        if not more:
            break
        live += more
    made = {target(s) for s in live} - flow.existing - {""}
    flow.gone = {s for s in gone if s in live or (_prints(s) and made & loads(s))}


def _heads(flow: Flow, node: ast.AST) -> Iterator[ast.stmt]:
    while (node := flow.script.parents.get(node, flow.scope)) is not flow.scope:
        if isinstance(node, COMPOUND) and flow.consumed(node):
            yield node


def _is_call(flow: Flow, node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and flow.called(node.value) == "effect"


def _is_before(flow: Flow, name: str) -> bool:
    """Tell whether what a penalty is added to was there before it, as a loss is and a sum of norms is not."""
    return name not in flow.existing or _was_there(flow, name)


def _was_there(flow: Flow, name: str) -> bool:
    if "." in name or name in parameters(flow.scope):
        return True
    stores = [s for s in flow.simple() if isinstance(s, ast.Assign) and s not in flow.gone]
    targets = [t for s in stores for t in s.targets]
    tuples = [t for t in targets if isinstance(t, ast.Tuple)]
    own = [s for s in stores if target(s) == name and not FRESH.search(ast.unparse(s.value))]
    return bool(own) or any(name in map(key, t.elts) for t in tuples)


def _close(flow: Flow) -> None:
    flow.gone, flow.bad, flow.tainted, flow.presses, flow.returned = set(), [], set(), False, False
    before = -1
    while before != len(flow.tainted):
        before = len(flow.tainted)
        for node in flow.simple():
            if flow.carries(node) and (name := target(node) or _receiver(node)) and name not in flow.existing:
                flow.tainted.add(name)
    for node in flow.simple():
        _judge(flow, node)
    _add_support(flow)


def _receiver(node: ast.stmt) -> str:
    """Return the list that a statement appends to, or ""."""
    call = node.value if isinstance(node, ast.Expr) else None
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Attribute):
        return ""
    return key(call.func.value) if call.func.attr in {"append", "extend", "add"} else ""


def _judge(flow: Flow, node: ast.stmt) -> None:
    effect = isinstance(node, ast.Expr) and flow.called(node.value) == "effect"
    if effect or presses_gradients(flow.script, node):
        flow.gone.add(node)
        flow.presses = True
        return
    if not flow.carries(node):
        return
    name = target(node) or _receiver(node)
    if isinstance(node, ast.Return):
        flow.returned = True
    elif _prints(node) or (name and name not in flow.existing):
        flow.gone.add(node)
    elif name and _adds(flow, node, name):
        flow.gone.add(node)
        flow.presses = True
    elif "backward" in ast.unparse(node) or "loss" in ast.unparse(node):
        flow.bad.append(node)


def _adds(flow: Flow, node: ast.stmt, name: str) -> bool:
    """Tell whether a statement adds the penalty, and nothing else, to what a name holds."""
    if isinstance(node, ast.AugAssign):
        return isinstance(node.op, ast.Add) and all(_is_penalty(flow, term) for term in _terms(node.value))
    if not isinstance(node, ast.Assign):
        return False
    if flow.called(node.value) == "loss" and isinstance(node.value, ast.Call):
        given = [*node.value.args, *(k.value for k in node.value.keywords)]
        return any(key(a) == name for a in given)
    terms = list(_terms(node.value))
    own = [t for t in terms if key(t) == name]
    return len(own) == 1 and len(terms) > 1 and all(_is_penalty(flow, t) for t in terms if t not in own)


def _terms(value: ast.expr) -> Iterator[ast.expr]:
    if isinstance(value, ast.BinOp) and isinstance(value.op, ast.Add):
        yield from _terms(value.left)
        yield from _terms(value.right)
    else:
        yield value


def _is_penalty(flow: Flow, term: ast.expr) -> bool:
    read = {key(n) for n in ast.walk(term)}
    normed = any(n in set(ast.walk(term)) for s in flow.simple() for n in l1_norms(flow.script, s))
    called = any(flow.called(n) == "value" for n in ast.walk(term))
    return bool(read & flow.tainted) or normed or called


def _read_outside(flow: Flow, names: Iterable[str]) -> set[str]:
    """Return the names that statements read which do not go."""
    gone = {*flow.inside(), *flow.gone, *flow.bad}
    rest = [s for s in flow.all() if s not in gone and not isinstance(s, ast.Return)]
    nested = [n for n in ast.walk(flow.scope) if isinstance(n, (ast.Lambda, ast.FunctionDef)) and n is not flow.scope]
    inner = {key(n) for one in nested for n in ast.walk(one)}
    return set(names) & (set().union(*map(loads, rest), inner))


def _add_support(flow: Flow) -> None:
    """Add what only the penalty needs: its strength, its list of modules, what is printed of them."""
    grows = True
    while grows:
        grows = False
        inside = flow.inside() | flow.gone
        needed = set().union(*map(loads, inside)) if inside else set()
        for name in needed - flow.existing - parameters(flow.scope):
            stores = [s for s in flow.simple() if _serves(s, name) and s not in flow.gone]
            if stores and not _is_read(flow, name, {*inside, *stores}):
                flow.gone |= set(stores)
                grows = True
        prints = [s for s in flow.simple() if _prints(s) and s not in flow.gone and _is_about(flow, s)]
        flow.gone |= set(prints)
        grows = grows or bool(prints)


def _serves(node: ast.stmt, name: str) -> bool:
    if not isinstance(node, (ast.Assign, ast.AugAssign, ast.AnnAssign, ast.Expr)):
        return False
    return "." not in name and "[" not in name and name in {target(node), _receiver(node)}


def _is_read(flow: Flow, name: str, going: set[ast.stmt]) -> bool:
    """Tell whether anything reads a name but what goes; a compound statement goes with all that stands in it."""
    scope = Flow(flow.script, flow.scope, flow.helpers, gone=going)
    inside = scope.inside()
    rest = [s for s in flow.all() if s not in going and s not in inside and not _prints(s)]
    nested = [n for n in ast.walk(flow.scope) if isinstance(n, (ast.Lambda, ast.FunctionDef)) and n is not flow.scope]
    return any(name in loads(s) for s in rest) or any(key(n) == name for one in nested for n in ast.walk(one))


def _is_about(flow: Flow, node: ast.stmt) -> bool:
    made = {target(s) for s in flow.gone if isinstance(s, (ast.Assign, ast.AugAssign))} - flow.existing - {""}
    return bool(made & loads(node))


def helper_kind(flow: Flow) -> HelperKind | None:
    """Return what a function is to its callers when it serves the penalty alone, or None when it does more."""
    if isinstance(flow.scope, ast.Module) or flow.bad:
        return None
    inside = flow.inside() | flow.gone
    given = parameters(flow.scope)
    kind: HelperKind = "value" if flow.returned else "effect"
    for node in flow.all():
        if node in inside or is_inert(node) or (isinstance(node, ast.Return) and flow.carries(node)):
            continue
        if isinstance(node, ast.Return) and (node.value is None or key(node.value) in given):
            kind = "effect" if node.value is None or kind == "value" else "loss"
            continue
        dead = isinstance(node, ast.Assign) and target(node) and not _is_read(flow, target(node), inside)
        if not (dead or (isinstance(node, COMPOUND) and flow.consumed(node))):
            return None
    return kind if flow.presses or flow.returned else None
