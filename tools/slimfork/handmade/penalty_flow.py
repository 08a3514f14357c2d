"""What a scope does about a penalty that somebody wrote by hand: which statements serve nothing else. Pure."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from slimfork.handmade.norms import l1_norms
from slimfork.handmade.script import key, keys_in, loads, parts, statements

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from slimfork.handmade.script import Scope, Script

HelperKind = Literal["effect", "value", "loss"]
PRINTS = {"print", "LOGGER.info", "logger.info", "LOGGER.warning", "logging.info"}
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
        for node in self.all():
            if not hasattr(node, "body"):
                yield node

    def going(self) -> list[ast.stmt]:
        """Return the simple statements that serve the penalty alone, in order."""
        return [node for node in self.simple() if node in self.gone]

    def staying(self) -> Iterator[ast.stmt]:
        """Yield the simple statements that serve something else, too."""
        for node in self.simple():
            if node not in self.gone:
                yield node

    def consumed(self, node: ast.stmt) -> bool:
        """Tell whether a statement serves the penalty alone, with all that stands in it."""
        if not isinstance(node, COMPOUND):
            return node in self.gone
        serves = False
        for inner in (*node.body, *getattr(node, "orelse", ())):
            if self.consumed(inner):
                serves = True
            elif not is_inert(inner):
                return False
        return serves

    def roots(self) -> list[ast.stmt]:
        """Return the outermost statements that serve the penalty alone."""
        consumed = list(filter(self.consumed, self.all()))
        return [node for node in consumed if self.script.parents[node] not in consumed]

    def inside(self) -> set[ast.stmt]:
        """Return all statements that serve the penalty alone, and what says nothing in them."""
        inside: set[ast.stmt] = set()
        for root in self.roots():
            inside.add(root)
            inside.update(statements(root))
        return inside

    def heads(self, node: ast.AST) -> Iterator[ast.stmt]:
        """Yield the compound statements around a node that go with it."""
        while (node := self.script.parents.get(node, self.scope)) is not self.scope:
            if isinstance(node, COMPOUND) and self.consumed(node):
                yield node

    def norms(self) -> Iterator[ast.expr]:
        """Yield the L1 norms of BatchNorm scales in the scope."""
        for node in self.simple():
            yield from l1_norms(self.script, node)

    def nested_keys(self) -> set[str]:
        """Return the keys in the functions that are defined in the scope."""
        found = set()
        for node in ast.walk(self.scope):
            if isinstance(node, (ast.Lambda, ast.FunctionDef)) and node is not self.scope:
                found |= keys_in(node)
        return found

    def carries(self, node: ast.stmt) -> bool:
        """Tell whether a statement reads the penalty."""
        if not {"value", "loss"}.isdisjoint(map(self.called, parts(node))):
            return True
        return not self.tainted.isdisjoint(loads(node)) or next(l1_norms(self.script, node), None) is not None

    def is_penalty(self, term: ast.expr) -> bool:
        """Tell whether a term of a sum is the penalty."""
        inside = set(ast.walk(term))
        if "value" in map(self.called, inside):
            return True
        return not self.tainted.isdisjoint(keys_in(term)) or not inside.isdisjoint(self.norms())

    def called(self, node: ast.AST) -> HelperKind | None:
        """Return the kind of helper that an expression calls."""
        name = key(node.func) if isinstance(node, ast.Call) else ""
        return self.helpers.get(name.rpartition(".")[2]) if name.count(".") <= 1 else None

    def calls_effect(self, node: ast.stmt) -> bool:
        """Tell whether a statement is the call of a helper that presses by itself."""
        return isinstance(node, ast.Expr) and self.called(node.value) == "effect"


def is_inert(node: ast.stmt) -> bool:
    """Tell whether a statement does nothing that anything but a reader would miss: `pass`, a text, a print."""
    if isinstance(node, (ast.Pass, ast.Continue)):
        return True
    if isinstance(node, ast.If):  # `if not isinstance(m, nn.BatchNorm2d): continue`
        return all(map(is_inert, [*node.body, *node.orelse]))
    return isinstance(node, ast.Expr) and (isinstance(node.value, ast.Constant) or prints(node))


def prints(node: ast.stmt) -> bool:
    """Tell whether a statement prints or logs."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) and key(node.value.func) in PRINTS
