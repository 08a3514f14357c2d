"""Edits of calls: add an argument, whatever the other arguments are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import libcst as cst

from slimfork.codemods.codemod import EditError, Sites
from slimfork.syntax import cst as tree
from slimfork.syntax.standing import Piece

if TYPE_CHECKING:
    from slimfork.codemods.codemod import Source


@dataclass(frozen=True, slots=True, kw_only=True)
class Argument:
    """Add a last argument to the calls of a function.

    Attributes:
        call: The function as it is called, such as "torch.load".
        argument: The new argument, such as "weights_only=False" or "**options()".
        gives: The names of the arguments that `**...` stands for.
        count: How many calls there are.
    """

    file: str
    call: str
    argument: str
    gives: tuple[str, ...] = ()
    count: int = 1
    within: tuple[str, ...] = ()

    @property
    def anchor(self) -> str:
        """What is looked for."""
        return f"{self.call}(...)"

    @property
    def marks(self) -> tuple[str, ...]:
        """The new argument."""
        return (self.argument,)

    @property
    def pieces(self) -> tuple[Piece, ...]:
        """The new argument, as the value that it has."""
        value = self.argument.removeprefix("**").rpartition("=")[2]
        piece = Piece(code=value, kind="part", within=self.within, count=self.count)
        return (piece,) if piece.new_names else ()

    def sites(self, source: Source) -> Sites:
        """Count the calls without and with the argument."""
        pattern, new = self._pattern(), self._new()
        calls = tree.matching(pattern, tree.nodes_of(source.module, self.within))
        having = [_has(call, new) for call in calls]
        return Sites(pending=having.count(False), applied=having.count(True))

    def _in_the_way(self, node: cst.CSTNode) -> str:
        """Return the argument of a call that may be the new one with another value."""
        name = self.argument.partition("=")[0].strip()
        names = self.gives if name.startswith("**") else (name,)
        for argument in cst.ensure_type(node, cst.Call).args:
            if argument.star == "**" or (argument.keyword and argument.keyword.value in names):
                return cst.Module([]).code_for_node(argument.with_changes(comma=cst.MaybeSentinel.DEFAULT)).strip()
        return ""

    def apply(self, source: Source) -> Source:
        """Add the argument where it is missing.

        Raises:
            EditError: A call has an argument of that name, or unpacks some of unknown names.
        """
        new = self._new()

        def change(call: cst.CSTNode) -> cst.CSTNode:
            if _has(call, new):
                return call
            if other := self._in_the_way(call):
                raise EditError(f"{self.call}(...) has {other} already, which may give what {self.argument} gives")
            return _add(call, new)

        swap = tree.NodeSwap(self._pattern(), change)
        return source.with_module(tree.rewrite_scope(source.module, self.within, swap.rewrite))

    def _pattern(self) -> cst.BaseExpression:
        return cst.parse_expression(f"{self.call}(...)")

    def _new(self) -> cst.Arg:
        return cst.ensure_type(cst.parse_expression(f"_({self.argument})"), cst.Call).args[0]


def _has(node: cst.CSTNode, new: cst.Arg) -> bool:
    return any(tree.matching(new, cst.ensure_type(node, cst.Call).args))


def _add(node: cst.CSTNode, new: cst.Arg) -> cst.Call:
    call = cst.ensure_type(node, cst.Call)
    if not call.args:
        return call.with_changes(args=[new])
    last = call.args[-1]
    new = new.with_changes(comma=last.comma, whitespace_after_arg=last.whitespace_after_arg)
    space = cst.Comma(whitespace_after=cst.SimpleWhitespace(" "))
    spaced = last.with_changes(comma=space, whitespace_after_arg=cst.SimpleWhitespace(""))
    return call.with_changes(args=[*call.args[:-1], spaced, new])
