"""What a new statement takes from its anchor: an argument of the call, as it is written there.

A local that upstream renames is renamed there, too, so the new statement follows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import libcst as cst

from slimfork.syntax import cst as tree
from slimfork.syntax.likeness import placeholder

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

# What can be written twice: it has no effect and gives the same again.
PLAIN_NODES = (
    *(cst.Name, cst.Attribute, cst.Subscript, cst.Index, cst.SubscriptElement, cst.IfExp, cst.BooleanOperation),
    *(cst.BaseNumber, cst.SimpleString, cst.Comparison, cst.ComparisonTarget, cst.UnaryOperation),
    *(cst.BaseCompOp, cst.BaseBooleanOp, cst.BaseUnaryOp, cst.LeftSquareBracket, cst.RightSquareBracket),
    *(cst.LeftParen, cst.RightParen, cst.BaseParenthesizableWhitespace, cst.Dot, cst.TrailingWhitespace, cst.Newline),
    *(cst.EmptyLine, cst.Comment),
)


class NotTaken(Exception):  # noqa: N818 - an argument that cannot be taken
    """An argument that the anchor's call does not have, or that must not be written twice; says which and why."""


def filled(
    new: cst.SimpleStatementLine, anchor: cst.SimpleStatementLine, takes: Sequence[tuple[str, int]]
) -> cst.SimpleStatementLine:
    """Return a statement with the arguments of its anchor's call in the place of its placeholders.

    Args:
        new: The statement, with placeholders.
        anchor: An assignment of a call.
        takes: The name of each argument, and its position.

    Raises:
        NotTaken: It has no such argument, or one that cannot be written a second time.
    """
    assign = cst.ensure_type(anchor.body[0], cst.Assign)
    call = cst.ensure_type(assign.value, cst.Call)
    for name, position in takes:
        value = _argument(call, name, position)
        _refuse(name, value, assign.targets)
        swap = tree.NodeSwap(cst.Name(placeholder(name)), lambda _, value=value: value.deep_clone())  # type: ignore[misc]
        new = cast("cst.SimpleStatementLine", new.visit(swap))
    return new


def _argument(call: cst.Call, name: str, position: int) -> cst.BaseExpression:
    for argument in call.args:
        if argument.keyword is not None and argument.keyword.value == name:
            return argument.value
    first = call.args[: position + 1]
    if len(first) <= position or any(argument.keyword or argument.star for argument in first):
        raise NotTaken(f"the anchor's call has no argument `{name}`")
    return first[position].value


def _refuse(name: str, value: cst.BaseExpression, targets: Sequence[cst.AssignTarget]) -> None:
    """Refuse what must not be written twice, and what the anchor has changed before it is read again."""
    text = cst.Module([]).code_for_node(value)
    parts = list(_parts(value))
    for part in parts:
        if not isinstance(part, PLAIN_NODES):
            raise NotTaken(f"the anchor's `{name}` is {text}, which must not be evaluated a second time")
    for target in targets:
        if any(tree.matching(target.target, parts)):
            raise NotTaken(f"the anchor's `{name}` is {text}, which the anchor itself gives a new value")


def _parts(value: cst.BaseExpression) -> Iterator[cst.CSTNode]:
    """Yield what an expression is made of, without the names of members: the `b` of `a.b` is no variable."""
    members: set[int] = set()
    for part in tree.nodes(value):  # a member's name comes behind what it is a member of
        if isinstance(part, cst.Attribute):
            members.add(id(part.attr))
        if id(part) not in members:
            yield part
