"""Edits of calls: add an argument, whatever the other arguments are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import libcst as cst

from slimfork import cst as tree
from slimfork.codemod import Sites

if TYPE_CHECKING:
    from slimfork.codemod import Source


@dataclass(frozen=True, slots=True, kw_only=True)
class Argument:
    """Add a last argument to the calls of a function.

    Attributes:
        call: The function as it is called, such as "torch.load".
        argument: The new argument, such as "weights_only=False" or "**options()".
        count: How many calls there are.
    """

    file: str
    call: str
    argument: str
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

    def sites(self, source: Source) -> Sites:
        """Count the calls without and with the argument."""
        pattern, new = self._pattern(), self._new()
        having = [_has(node, new) for node in tree.nodes_of(source.module, self.within) if tree.matches(pattern, node)]
        return Sites(pending=having.count(False), applied=having.count(True))

    def apply(self, source: Source) -> Source:
        """Add the argument where it is missing."""
        new = self._new()
        swap = tree.Swap(self._pattern(), lambda call: call if _has(call, new) else _add(call, new))
        return source.with_module(tree.rewrite_scope(source.module, self.within, swap.rewrite))

    def _pattern(self) -> cst.BaseExpression:
        return cst.parse_expression(f"{self.call}(...)")

    def _new(self) -> cst.Arg:
        return cst.ensure_type(cst.parse_expression(f"_({self.argument})"), cst.Call).args[0]


def _has(node: cst.CSTNode, new: cst.Arg) -> bool:
    return any(tree.matches(new, argument) for argument in cst.ensure_type(node, cst.Call).args)


def _add(node: cst.CSTNode, new: cst.Arg) -> cst.Call:
    call = cst.ensure_type(node, cst.Call)
    if not call.args:
        return call.with_changes(args=[new])
    last = call.args[-1]
    new = new.with_changes(comma=last.comma, whitespace_after_arg=last.whitespace_after_arg)
    space = cst.Comma(whitespace_after=cst.SimpleWhitespace(" "))
    spaced = last.with_changes(comma=space, whitespace_after_arg=cst.SimpleWhitespace(""))
    return call.with_changes(args=[*call.args[:-1], spaced, new])
