"""The version that a module states: the value of `__version__`, read by syntax, and where its text ends. Pure."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from dataclasses import dataclass
from typing import TYPE_CHECKING

from slimfork.syntax import cst as tree
from slimfork.syntax.scopes import binders, declared_global, names_among

if TYPE_CHECKING:
    from collections.abc import Sequence

NAME = "__version__"
LINES = re.compile("(?<=\n)|(?<=\r)(?!\n)")


class VersionError(ValueError):
    """Why the version of a module cannot be told or changed, in one line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """A statement at the top of a module that gives `__version__` a text.

    Attributes:
        value: The text.
        node: The expression.
        alone: Whether it gives the text to no other name.
    """

    value: str
    node: ast.expr
    alone: bool


def stated_version(content: bytes) -> str | None:
    """Return what a module assigns to `__version__` at its top, without a local part such as `+slim1`, or None."""
    try:
        stated = statements(parsed(content))
    except VersionError:
        return None
    return stated[-1].value.partition("+")[0] if stated else None


def parsed(content: bytes) -> ast.Module:
    """Return Python's own tree.

    Raises:
        VersionError: The file is not Python.
    """
    try:
        return tree.parse_quietly(content)
    except (SyntaxError, ValueError) as error:
        where = f"line {error.lineno}: {error.msg}" if isinstance(error, SyntaxError) else str(error)
        raise VersionError(f"it does not parse: {where}") from error


def statements(module: ast.Module) -> list[Statement]:
    """Return the statements that give `__version__` a text.

    Raises:
        VersionError: Something else sets it as well, or in a way that is not plain.
    """
    stated = []
    for node in module.body:
        if not isinstance(node, (ast.Assign, ast.AnnAssign)) or node.value is None:
            continue
        value, targets = node.value, node.targets if isinstance(node, ast.Assign) else [node.target]
        if NAME in names_among(targets):
            text = static_text(value)
            if text is not None:
                stated.append(Statement(value=text, node=value, alone=len(targets) == 1))
    others = [*binders(module, NAME), *declared_global(module, NAME)]
    if stated and len(others) != len(stated):
        lines = sorted({getattr(node, "lineno", 0) for node in others})
        raise VersionError(f"{NAME} is set on lines {', '.join(map(str, lines))}, not all of them with a plain text")
    return stated


def static_text(node: ast.expr) -> str | None:
    """Return the text that an expression always is: a string, several side by side or added, an f-string of none."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else None
    if isinstance(node, ast.JoinedStr):
        return _joined_text(node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return _joined_text([node.left, node.right])
    return None


def _joined_text(parts: Sequence[ast.expr]) -> str | None:
    whole = ""
    for part in parts:
        text = static_text(part)
        if text is None:
            return None
        whole += text
    return whole


def with_local_part(content: bytes, local: str) -> bytes:
    """Return a module whose one version has a local part, put into the last string of its expression.

    Raises:
        VersionError: The text goes to other names as well, or cannot be found again.
    """
    (stated,) = statements(parsed(content))
    if not stated.alone:
        raise VersionError(f"{NAME} shares its text with another name on line {stated.node.lineno}")
    node = stated.node
    while isinstance(node, ast.BinOp):
        node = node.right
    encoding, _ = tokenize.detect_encoding(io.BytesIO(content).readline)
    text = content.decode(encoding)
    lines = LINES.split(text)
    before = "".join(lines[: (node.end_lineno or 1) - 1])
    end = len(before) + len(lines[(node.end_lineno or 1) - 1].encode()[: node.end_col_offset].decode())
    for quotes in (3, 1):
        new = (text[: end - quotes] + f"+{local}" + text[end - quotes :]).encode(encoding)
        if _is_as_meant(content, new, stated.value + f"+{local}"):
            return new
    raise VersionError(f"the text of {NAME} on line {node.lineno} cannot be added to")


def _is_as_meant(old: bytes, new: bytes, value: str) -> bool:
    """Tell whether nothing but the version has changed."""
    try:
        before, after = parsed(old), parsed(new)
        (was,), (now,) = statements(before), statements(after)
    except ValueError:
        return False
    return now.value == value and _without_text(before, was) == _without_text(after, now)


def _without_text(module: ast.Module, stated: Statement) -> str:
    """Return the dump of a module without the text of its version."""
    return ast.dump(module).replace(ast.dump(stated.node), "", 1)
