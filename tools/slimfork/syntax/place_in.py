"""Where a node stands: the blocks and scopes around it, and what of the code before it is certain. Pure."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, NamedTuple

from slimfork.syntax.flow import block_binds, bound_behind, is_left, leaves, truth, unbinds, with_targets
from slimfork.syntax.scopes import COMPREHENSIONS, FUNCTIONS, binders, in_scope, of_kind, stores

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from slimfork.syntax.scopes import Definition

LOOPS = (ast.For, ast.AsyncFor, ast.While)
SCOPES = (*FUNCTIONS, ast.Lambda, ast.ClassDef, ast.Module)
SHARED = (ast.expr_context, ast.operator, ast.unaryop, ast.boolop, ast.cmpop)  # one object for many places
FIELDS = ("body", "orelse", "finalbody", "handlers", "cases")


class NodePlace(NamedTuple):  # ten thousand of them a file: a frozen dataclass takes three times as long to make
    """The place of a node.

    Attributes:
        node: The node.
        parent: The place of what holds it; None for the module.
        field: The name of the list of statements, handlers or cases of its parent that it is in, or "".
    """

    node: ast.AST
    parent: NodePlace | None
    field: str

    @classmethod
    def all_in(cls, module: ast.Module) -> dict[ast.AST, NodePlace]:
        """Return the place of every node of a module."""
        places: dict[ast.AST, NodePlace] = {}
        waiting = [cls(module, None, "")]
        while waiting:
            place = waiting.pop()
            places[place.node] = place
            for field, value in ast.iter_fields(place.node):
                listed = isinstance(value, list)
                in_block = field if listed and field in FIELDS else ""
                for child in value if listed else (value,):
                    if isinstance(child, ast.AST) and not isinstance(child, SHARED):
                        waiting.append(cls(child, place, in_block))
        return places

    @property
    def line(self) -> int:
        """The line on which the node begins."""
        return getattr(self.node, "lineno", 0)

    @property
    def around(self) -> Iterator[ast.AST]:
        """What holds the node, from the inside out."""
        place = self.parent
        while place is not None:
            yield place.node
            place = place.parent

    @property
    def steps(self) -> Iterator[NodePlace]:
        """The statements that hold the node, itself first, each in its block, from the inside out."""
        place: NodePlace | None = self
        while place is not None:
            if place.field:
                yield place
            place = place.parent

    @property
    def block(self) -> Sequence[ast.stmt]:
        """The statements among which it stands."""
        block: Sequence[ast.stmt] = getattr(self.parent.node, self.field) if self.parent and self.field else ()
        return block

    @property
    def number(self) -> int:
        """Its number among them."""
        for number, node in enumerate(self.block):
            if node is self.node:
                return number
        return -1

    @property
    def before(self) -> Sequence[ast.stmt]:
        """The statements among which it stands that come first; a handler or a case has none that do."""
        return self.block[: self.number] if self.field in {"body", "orelse", "finalbody"} else ()

    @property
    def scope(self) -> ast.AST:
        """The function, class or module whose names it reads first."""
        return next(of_kind(self.around, *SCOPES), self.node)

    @property
    def function(self) -> ast.AST:
        """The innermost function around it, or the class or module."""
        return next(of_kind(self.around, *FUNCTIONS, ast.ClassDef, ast.Module))

    @property
    def scopes(self) -> list[ast.AST]:
        """The scopes around it whose names go before the module's: functions, and the class that it is in itself."""
        holders: list[ast.AST] = list(of_kind(self.around, *FUNCTIONS, ast.Lambda, *COMPREHENSIONS))
        return [self.scope, *holders] if isinstance(self.scope, ast.ClassDef) else holders

    def shadows(self, name: str) -> list[ast.AST]:
        """Return what gives a name of the module another meaning here."""
        binding: list[ast.AST] = []
        for scope in self.scopes:
            binding += binders(scope, name)
        return binding

    @property
    def definitions(self) -> Iterator[Definition]:
        """The classes and functions around it, from the inside out."""
        for node in self.around:
            if isinstance(node, (*FUNCTIONS, ast.ClassDef)):
                yield node

    @property
    def name(self) -> str:
        """The qualified name of the function, class or module that it stands in."""
        names = [node.name for node in self.definitions]
        return ".".join(reversed(names)) or "the module"

    def qualified(self, name: str) -> str:
        """Return the qualified name of what stands here."""
        return name if self.name == "the module" else f"{self.name}.{name}"


def unreached(place: NodePlace) -> str:
    """Return why a place is never reached, or nothing."""
    for step in place.steps:
        holder = step.parent.node if step.parent else None
        gone = next(filter(leaves, step.before), None)
        if gone is not None:
            return f"line {gone.lineno} ends what comes before it"
        if isinstance(holder, ast.Try) and step.field == "orelse" and is_left(holder.body):
            return f"the block from line {holder.lineno} on is left before"
        if holder is not None and _never(holder, step.field):
            return f"the condition on line {getattr(holder, 'lineno', 0)} keeps it out"
    return ""


def _never(holder: ast.AST, field: str) -> bool:
    if isinstance(holder, (ast.If, ast.While)):
        return truth(holder.test) is (field == "orelse")
    if isinstance(holder, (ast.For, ast.AsyncFor)):
        return field == "body" and truth(holder.iter) is False
    return isinstance(holder, ast.match_case) and holder.guard is not None and truth(holder.guard) is False


def bound_before(place: NodePlace, name: str) -> bool:
    """Tell whether a name of the function, or of the module for code outside of functions, has a value for sure."""
    for step in place.steps:
        known = bound_behind(step.before, name)
        holder = step.parent.node if step.parent else None
        if known is None and isinstance(holder, (*FUNCTIONS, ast.ClassDef, ast.Module)):
            known = isinstance(holder, FUNCTIONS) and name in stores(holder.args)
        elif known is None and holder is not None:
            known = _bound_by(holder, step.field, name)
        if known is not None:
            return known
    return False


def _bound_by(holder: ast.AST, field: str, name: str) -> bool | None:
    """Tell whether what holds a block binds a name for it, or takes it away; None for neither."""
    if isinstance(holder, LOOPS) and _is_unbound(holder.body, name):
        return False
    if isinstance(holder, ast.Try) and field != "body":
        if _is_unbound(of_kind(in_scope(*holder.body), ast.Name), name):
            return False
        return True if field == "orelse" and block_binds(holder.body, name) else None
    named = isinstance(holder, ast.ExceptHandler) and holder.name == name
    return True if named or name in stores(*_heads(holder, field)) else None


def _is_unbound(nodes: Iterable[ast.AST], name: str) -> bool:
    return any(unbinds(node, name) for node in nodes)


def _heads(holder: ast.AST, field: str) -> Sequence[ast.AST]:
    """Return what has been evaluated when a block begins, of what gives names a value there."""
    if isinstance(holder, (ast.With, ast.AsyncWith)):
        return with_targets(holder)

    if isinstance(holder, ast.match_case):
        return [holder.pattern]
    return [holder.target] if field == "body" and isinstance(holder, (ast.For, ast.AsyncFor)) else []
