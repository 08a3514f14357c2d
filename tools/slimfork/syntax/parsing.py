"""Parsing to a LibCST tree: a statement, or a member of a class, that has been parsed before is not parsed again.

A release changes a few methods of a file. All others become the very objects that they were for the release before, so
what is kept by object, such as their text, is not made again either.
"""

from __future__ import annotations

import ast
from functools import lru_cache
from io import BytesIO
from typing import TYPE_CHECKING, NamedTuple, cast

import libcst as cst

from slimfork.syntax import cst as tree
from slimfork.syntax.printing import print_module

if TYPE_CHECKING:
    from collections.abc import Sequence


def parse_module(text: bytes) -> cst.Module:
    """Return the tree of a file, as LibCST's function of this name does, and raise what that raises."""
    try:
        module = _joined(text)
        if print_module(module) == text:
            return module
    except (SyntaxError, ValueError, LookupError, cst.ParserSyntaxError):
        pass  # LibCST says what is wrong, or can read what this Python cannot
    return cst.parse_module(text)


def _joined(text: bytes) -> cst.Module:
    """Return a module of statements that were parsed piece by piece; its text shows whether they fit together."""
    lines = BytesIO(text).readlines()  # a lone carriage return ends none: LibCST would not keep it
    pieces = _pieces(tree.parse_quietly(text).body, 0)
    if not pieces:
        raise ValueError("no statement")
    head = cst.parse_module(b"".join(lines[: pieces[0].stop]))
    decoded = _Lines([line.decode(head.encoding) for line in lines], head.default_newline)
    tail = cst.parse_module(_pass(head.default_newline) + decoded.text(pieces[-1].stop, None))
    body: list[cst.BaseStatement] = list(head.body)
    for piece in pieces[1:]:
        body += _statements(decoded, piece)
    return head.with_changes(body=body, footer=tail.footer, has_trailing_newline=text.endswith(b"\n"))


class _Lines(NamedTuple):
    """The lines of a file, and how they end."""

    lines: Sequence[str]
    newline: str

    def text(self, start: int, stop: int | None) -> str:
        return "".join(self.lines[start:stop])


class _Piece(NamedTuple):
    """Lines that hold whole statements of one block, with the comments above them."""

    start: int
    stop: int
    last: ast.stmt


def _pieces(body: Sequence[ast.stmt], start: int) -> list[_Piece]:
    pieces = []
    for node, after in zip(body, [*body[1:], None], strict=True):
        stop = cast("int", node.end_lineno)
        if after is None or after.lineno > stop:  # else they share a line
            pieces.append(_Piece(start, stop, node))
            start = stop
    return pieces


def _statements(lines: _Lines, piece: _Piece) -> tree.Statements:
    parts = _pieces(piece.last.body, piece.start) if isinstance(piece.last, ast.ClassDef) else [piece]
    head, *members = parts
    statements = _parsed(lines.text(head.start, head.stop), "", lines.newline)
    if not members:
        return statements
    whole = cast("cst.ClassDef", statements[0])
    indent = " " * parts[-1].last.col_offset
    body: list[cst.BaseStatement] = list(cast("tree.Statements", whole.body.body))
    for member in members:
        body += _parsed(lines.text(member.start, member.stop), indent, lines.newline)
    return [whole.with_changes(body=whole.body.with_changes(body=body))]


@lru_cache(maxsize=1024)
def _parsed(text: str, indent: str, newline: str) -> tree.Statements:
    """Return the statements of a text that are all indented so far, with the comments above the first."""
    if not indent:
        return cast("tree.Statements", cst.parse_module(_pass(newline) + text).body[1:])
    around = cst.parse_module(f"class _:{newline}{indent}{_pass(newline)}{text}").body[0]
    return cast("tree.Statements", cst.ensure_type(around, cst.ClassDef).body.body[1:])


def _pass(newline: str) -> str:
    """Return a statement that leaves the comments below it to the next one."""
    return f"pass{newline}"
