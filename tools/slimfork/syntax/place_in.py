"""Where a node stands: the blocks and scopes around it, and what of the code before it is certain. Pure."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, NamedTuple

from slimfork.syntax.flow import binds, block_binds, is_left, leaves, truth, unbinds
from slimfork.syntax.scopes import COMPREHENSIONS, FUNCTIONS, in_scope, stores

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

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
                children = [
                    c for c in (value if listed else [value]) if isinstance(c, ast.AST) and not isinstance(c, SHARED)
                ]
                in_block = field if listed and field in FIELDS else ""
                waiting += [cls(child, place, in_block) for child in children]
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
        return next((i for i, node in enumerate(self.block) if node is self.node), -1)

    @property
    def scope(self) -> ast.AST:
        """The function, class or module whose names it reads first."""
        return next((node for node in self.around if isinstance(node, SCOPES)), self.node)

    @property
    def function(self) -> ast.AST:
        """The innermost function around it, or the class or module."""
        return next(node for node in self.around if isinstance(node, SCOPES) and not isinstance(node, ast.Lambda))

    @property
    def scopes(self) -> list[ast.AST]:
        """The scopes around it whose names go before the module's: functions, and the class that it is in itself."""
        kinds = (*FUNCTIONS, ast.Lambda, *COMPREHENSIONS)
        holders: list[ast.AST] = [node for node in self.around if isinstance(node, kinds)]
        return [self.scope, *holders] if isinstance(self.scope, ast.ClassDef) else holders

    @property
    def name(self) -> str:
        """The qualified name of the function, class or module that it stands in."""
        names = [node.name for node in self.around if isinstance(node, (*FUNCTIONS, ast.ClassDef))]
        return ".".join(reversed(names)) or "the module"

    def qualified(self, name: str) -> str:
        """Return the qualified name of what stands here."""
        return name if self.name == "the module" else f"{self.name}.{name}"


def unreached(place: NodePlace) -> str:
    """Return why a place is never reached, or nothing."""
    for step in place.steps:
        holder = step.parent.node if step.parent else None
        if step.field in {"body", "orelse", "finalbody"}:
            gone = next((node for node in step.block[: step.number] if leaves(node)), None)
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
        before = step.block[: step.number] if step.field in {"body", "orelse", "finalbody"} else ()
        known = next(
            (not unbinds(node, name) for node in reversed(before) if binds(node, name) or unbinds(node, name)), None
        )
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
    if isinstance(holder, LOOPS) and any(unbinds(node, name) for node in holder.body):
        return False
    if isinstance(holder, ast.Try) and field != "body":
        if any(isinstance(part, ast.Name) and unbinds(part, name) for part in in_scope(*holder.body)):
            return False
        return True if field == "orelse" and block_binds(holder.body, name) else None
    named = isinstance(holder, ast.ExceptHandler) and holder.name == name
    return True if named or name in stores(*_heads(holder, field)) else None


def _heads(holder: ast.AST, field: str) -> Sequence[ast.AST]:
    """Return what has been evaluated when a block begins, of what gives names a value there."""
    if isinstance(holder, (ast.With, ast.AsyncWith)):
        return [item.optional_vars for item in holder.items if item.optional_vars]
    if isinstance(holder, ast.match_case):
        return [holder.pattern]
    return [holder.target] if field == "body" and isinstance(holder, (ast.For, ast.AsyncFor)) else []
