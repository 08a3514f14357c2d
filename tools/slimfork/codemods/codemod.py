"""The kinds of edit that a patch is made of. They know bytes and trees, no files and no git.

An edit looks at a file and says how many of its sites are `pending` (the anchor is there, the edit is not) and
how many are `applied`; `apply` rewrites the pending ones. Anchors are structure, never line numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, cast

import libcst as cst

from slimfork.syntax import cst as tree
from slimfork.syntax.likeness import TAKEN, with_placeholders
from slimfork.syntax.sources import BOM, EditError, Source
from slimfork.syntax.standing import Piece
from slimfork.syntax.taking import NotTaken, filled

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["BOM", "Edit", "EditError", "Import", "Insert", "Replace", "Sites", "Source", "statement"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sites:
    """How many sites of an edit a file holds, by state; `former` ones hold it as we once made it."""

    pending: int = 0
    applied: int = 0
    upstreamed: int = 0
    former: int = 0


class Edit(Protocol):
    """One change to one file."""

    @property
    def file(self) -> str:
        """Path from the root of the upstream tree."""

    @property
    def count(self) -> int:
        """How many sites it must have."""

    @property
    def within(self) -> tuple[str, ...]:
        """Class and function that hold the sites."""

    @property
    def anchor(self) -> str:
        """What is looked for, as text for a message."""

    @property
    def marks(self) -> tuple[str, ...]:
        """Every line that it adds or changes holds one of these."""

    @property
    def pieces(self) -> tuple[Piece, ...]:
        """The Python that it puts in, whose names and flow can be looked at."""

    def sites(self, source: Source) -> Sites:
        """Count the sites."""

    def apply(self, source: Source) -> Source:
        """Return the file with the pending sites edited."""


def statement(code: str) -> cst.SimpleStatementLine:
    """Parse one simple statement; its line end and indentation become those of the module it is put in."""
    return cst.ensure_type(cst.parse_statement(code), cst.SimpleStatementLine)


def _is(pattern: cst.SimpleStatementLine, node: cst.BaseStatement | None) -> bool:
    return isinstance(node, cst.SimpleStatementLine) and tree.matches(pattern.body, node.body)


def _form(code: str | None) -> cst.SimpleStatementLine | None:
    return statement(code) if code else None


def _places_of(form: cst.SimpleStatementLine | None, block: tree.Statements) -> list[int]:
    """Return where in a block a statement stands; nowhere when it has no such form."""
    return [i for i, node in enumerate(block) if form and _is(form, node)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Insert:
    """Put a statement next to another one.

    Attributes:
        file: Path from the root of the upstream tree.
        within: Names of the class and function that hold the anchor, `*` for any.
        anchor: The statement beside which the new one goes; `...` stands for anything.
        code: The new statement. `{weights}` is the argument of that name which the anchor's call has.
        takes: The arguments that are named so, each with its position in the call.
        where: Before or after the anchor.
        count: How many sites there are.
        upstream_form: The statement that upstream would have written itself, if it is known.
        former: The new statement as an earlier version of this toolkit put it there.
    """

    file: str
    within: tuple[str, ...]
    anchor: str
    code: str
    takes: tuple[tuple[str, int], ...] = ()
    where: Literal["before", "after"] = "after"
    count: int = 1
    upstream_form: str | None = None
    former: str | None = None

    @property
    def marks(self) -> tuple[str, ...]:
        """The new statement, without what it takes from the anchor."""
        return (max(TAKEN.split(self.code)[::2], key=len),)

    @property
    def pieces(self) -> tuple[Piece, ...]:
        """The new statement."""
        if not self.within and self.code.startswith(("from ", "import ")):
            return (Piece(code=self.code, kind="import", former=self.former),)
        piece = Piece(code=self.code, kind="statement", anchor=self.anchor, within=self.within, count=self.count)
        return (piece,)

    def _new(self, anchor: cst.BaseStatement) -> cst.SimpleStatementLine:
        new = statement(with_placeholders(self.code))
        if not TAKEN.search(self.code):
            return new
        try:
            return filled(new, cst.ensure_type(anchor, cst.SimpleStatementLine), self.takes)
        except NotTaken as error:
            raise EditError(str(error)) from error

    def _beside(self, block: tree.Statements, index: int) -> Iterator[int]:
        """Yield where the new statement may stand, nearest first: the user may have put others between."""
        anchor, step = statement(self.anchor), 1 if self.where == "after" else -1
        index += step
        while 0 <= index < len(block) and not _is(anchor, block[index]):
            yield index
            index += step

    def sites(self, source: Source) -> Sites:
        """Count the anchors without, with, and with upstream's own or our former form of the new statement."""
        anchor, theirs = statement(self.anchor), _form(self.upstream_form)
        pending = applied = upstreamed = former = 0
        for block in tree.blocks(source.module, self.within):
            fixed = bool(_places_of(theirs, block))
            for i, node in enumerate(block):
                if _is(anchor, node):
                    done, was = self._new_place(block, i) is not None, self._former_place(block, i) is not None
                    applied += done
                    former += was
                    upstreamed += fixed and not done
                    pending += not (done or was or fixed)
        return Sites(pending=pending, applied=applied, upstreamed=upstreamed, former=former)

    def _new_place(self, block: tree.Statements, index: int) -> int | None:
        return self._place_beside(block, index, self._new(block[index]))

    def _former_place(self, block: tree.Statements, index: int) -> int | None:
        return self._place_beside(block, index, _form(self.former))

    def _place_beside(self, block: tree.Statements, index: int, form: cst.SimpleStatementLine | None) -> int | None:
        for i in self._beside(block, index):
            if form and _is(form, block[i]):
                return i
        return None

    def apply(self, source: Source) -> Source:
        """Insert the statement at every anchor that lacks it; its former form goes."""
        anchor = statement(self.anchor)

        def rewrite(block: tree.Statements) -> tree.Statements:
            out = list(block)
            for i, node in reversed(list(enumerate(block))):
                if not _is(anchor, node) or self._new_place(block, i) is not None:
                    continue
                former = self._former_place(block, i)
                if former is not None:
                    out[former] = _in_place_of(out[former], self._new(node))
                else:
                    out[i : i + 1] = self._pair(cast("cst.SimpleStatementLine", node), self._new(node))
            return out

        return source.with_module(tree.rewrite_scope(source.module, self.within, rewrite))

    def _pair(self, node: cst.SimpleStatementLine, new: cst.SimpleStatementLine) -> Sequence[cst.BaseStatement]:
        if self.where == "after":
            return node, new
        # Comments and blank lines above the anchor stay above both.
        return new.with_changes(leading_lines=node.leading_lines), node.with_changes(leading_lines=())


def _in_place_of(old: cst.BaseStatement, new: cst.SimpleStatementLine) -> cst.SimpleStatementLine:
    """Return a statement with the comments that were about the one before it."""
    line = cst.ensure_type(old, cst.SimpleStatementLine)
    return new.with_changes(leading_lines=line.leading_lines, trailing_whitespace=line.trailing_whitespace)


@dataclass(frozen=True, slots=True, kw_only=True)
class Import:
    """Add an import after the module's leading run of imports.

    Attributes:
        file: Path from the root of the upstream tree.
        code: The import.
        former: The import as an earlier version of this toolkit put it there.
    """

    file: str
    code: str
    count: int = 1
    within: tuple[str, ...] = ()
    former: str | None = None

    @property
    def anchor(self) -> str:
        """What is looked for."""
        return "the imports at the top of the module"

    @property
    def marks(self) -> tuple[str, ...]:
        """The import."""
        return (self.code,)

    @property
    def pieces(self) -> tuple[Piece, ...]:
        """The import."""
        return (Piece(code=self.code, kind="import", former=self.former),)

    def sites(self, source: Source) -> Sites:
        """Find the import, or its former form, or the place for it."""
        body = source.module.body
        applied, former = _places_of(_form(self.code), body), _places_of(_form(self.former), body)
        waits = not applied and not former and _last_import(source.module) is not None
        return Sites(pending=int(waits), applied=int(bool(applied)), former=len(former))

    def apply(self, source: Source) -> Source:
        """Add the import, in the place of its former form where there is one."""
        body, new = list(source.module.body), statement(self.code)
        last, former = _last_import(source.module), _places_of(_form(self.former), body)
        if _places_of(new, body) or (last is None and not former):
            return source
        if former:
            body[former[0]] = _in_place_of(body[former[0]], new)
        elif last is not None:
            body.insert(last + 1, new)
        return source.with_module(source.module.with_changes(body=body))


def _last_import(module: cst.Module) -> int | None:
    last = None
    for i, node in enumerate(module.body):
        small = node.body[0] if isinstance(node, cst.SimpleStatementLine) else None
        if isinstance(small, (cst.Import, cst.ImportFrom)):
            last = i
        elif not isinstance(small, cst.Expr):  # a docstring may stand first
            break
    return last


@dataclass(frozen=True, slots=True, kw_only=True)
class Replace:
    """Put an expression or a simple statement in the place of another one, anywhere in a scope."""

    file: str
    anchor: str
    code: str
    count: int = 1
    within: tuple[str, ...] = ()

    @property
    def marks(self) -> tuple[str, ...]:
        """What is put there."""
        return (self.code,)

    @property
    def pieces(self) -> tuple[Piece, ...]:
        """What is put there."""
        return (Piece(code=self.code, kind="part", anchor=self.anchor, within=self.within, count=self.count),)

    def sites(self, source: Source) -> Sites:
        """Count what is still to replace and what has been replaced."""
        old, new = _part(self.anchor), _part(self.code)
        nodes = list(tree.nodes_of(source.module, self.within))
        return Sites(pending=len(list(tree.matching(old, nodes))), applied=len(list(tree.matching(new, nodes))))

    def apply(self, source: Source) -> Source:
        """Replace every site."""
        new = _part(self.code)
        swap = tree.NodeSwap(_part(self.anchor), lambda _: new.deep_clone())
        return source.with_module(tree.rewrite_scope(source.module, self.within, swap.rewrite))


def _part(code: str) -> cst.CSTNode:
    """Parse an expression, or a statement without its line."""
    small = statement(code).body[0]
    return small.value if isinstance(small, cst.Expr) else small
