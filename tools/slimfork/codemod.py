"""The kinds of edit that a patch is made of. They know bytes and trees, no files and no git.

An edit looks at a file and says how many of its sites are `pending` (the anchor is there, the edit is not) and
how many are `applied`; `apply` rewrites the pending ones. Anchors are structure, never line numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Literal, Protocol, cast

import libcst as cst

from slimfork import cst as tree
from slimfork.parsing import parse_module
from slimfork.printing import print_module

if TYPE_CHECKING:
    from collections.abc import Sequence

BOM = b"\xef\xbb\xbf"


class EditError(Exception):
    """A file that cannot be edited at all; the message names the reason."""


class Source:
    """One file: its bytes and, for Python, its tree; each made from the other, once, when first asked for."""

    def __init__(self, content: bytes) -> None:
        self._content: bytes | None = content
        self._module: cst.Module | None = None
        self._bom = BOM if content.startswith(BOM) else b""

    @property
    def content(self) -> bytes:
        """The bytes of the file."""
        if self._content is None:
            self._content = self._bom + print_module(self.module)
        return self._content

    @property
    def module(self) -> cst.Module:
        """The tree."""
        if self._module is None:
            self._module = _parse(self.content.removeprefix(BOM))
        return self._module

    def with_module(self, module: cst.Module) -> Source:
        """Return the file with another tree, a byte-order mark kept; printed when its bytes are asked for.

        Raises:
            EditError: The file as it is does not print to the same bytes.
        """
        if self._content is not None and print_module(self.module) != self._content.removeprefix(BOM):
            raise EditError("it does not survive a round trip through LibCST unchanged")
        new = Source(self._bom)
        new._content, new._module = None, module
        return new


@lru_cache(maxsize=8)  # a file is planned several times over: with a patch and without, before and after
def _parse(text: bytes) -> cst.Module:
    try:
        return parse_module(text)
    except cst.ParserSyntaxError as error:
        raise EditError(f"it does not parse: {_fault(text) or ' '.join(error.message.split())}") from error
    except (SyntaxError, LookupError, UnicodeDecodeError) as error:  # what it says of its encoding is wrong
        raise EditError(f"it does not parse: {error}") from error


def _fault(text: bytes) -> str | None:
    """Return line and fault as Python itself names them: LibCST often gives no line."""
    try:
        tree.parse_quietly(text)
    except SyntaxError as error:
        return f"line {error.lineno}: {error.msg}" if error.lineno else None
    except ValueError:
        return None
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sites:
    """How many sites of an edit a file holds, by state."""

    pending: int = 0
    applied: int = 0
    upstreamed: int = 0


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

    def sites(self, source: Source) -> Sites:
        """Count the sites."""

    def apply(self, source: Source) -> Source:
        """Return the file with the pending sites edited."""


def statement(code: str) -> cst.SimpleStatementLine:
    """Parse one simple statement; its line end and indentation become those of the module it is put in."""
    return cst.ensure_type(cst.parse_statement(code), cst.SimpleStatementLine)


def _is(pattern: cst.SimpleStatementLine, node: cst.BaseStatement | None) -> bool:
    return isinstance(node, cst.SimpleStatementLine) and tree.matches(pattern.body, node.body)


@dataclass(frozen=True, slots=True, kw_only=True)
class Insert:
    """Put a statement next to another one.

    Attributes:
        file: Path from the root of the upstream tree.
        within: Names of the class and function that hold the anchor, `*` for any.
        anchor: The statement beside which the new one goes; `...` stands for anything.
        code: The new statement.
        where: Before or after the anchor.
        count: How many sites there are.
        upstream_form: The statement that upstream would have written itself, if it is known.
    """

    file: str
    within: tuple[str, ...]
    anchor: str
    code: str
    where: Literal["before", "after"] = "after"
    count: int = 1
    upstream_form: str | None = None

    @property
    def marks(self) -> tuple[str, ...]:
        """The new statement."""
        return (self.code,)

    def _neighbour(self, block: tree.Statements, index: int) -> cst.BaseStatement | None:
        index += 1 if self.where == "after" else -1
        return block[index] if 0 <= index < len(block) else None

    def sites(self, source: Source) -> Sites:
        """Count the anchors without, with, and with upstream's own form of the new statement."""
        anchor, new = statement(self.anchor), statement(self.code)
        theirs = statement(self.upstream_form) if self.upstream_form else None
        pending = applied = upstreamed = 0
        for block in tree.blocks(source.module, self.within):
            fixed = theirs is not None and any(_is(theirs, s) for s in block)
            for i, node in enumerate(block):
                if _is(anchor, node):
                    done = _is(new, self._neighbour(block, i))
                    applied += done
                    upstreamed += fixed and not done
                    pending += not done and not fixed
        return Sites(pending=pending, applied=applied, upstreamed=upstreamed)

    def apply(self, source: Source) -> Source:
        """Insert the statement at every anchor that lacks it."""
        anchor, new = statement(self.anchor), statement(self.code)

        def rewrite(block: tree.Statements) -> tree.Statements:
            out: list[cst.BaseStatement] = []
            for i, node in enumerate(block):
                if not _is(anchor, node) or _is(new, self._neighbour(block, i)):
                    out.append(node)
                else:
                    out += self._pair(cast("cst.SimpleStatementLine", node), new)
            return out if len(out) != len(block) else block

        return source.with_module(tree.rewrite_scope(source.module, self.within, rewrite))

    def _pair(self, node: cst.SimpleStatementLine, new: cst.SimpleStatementLine) -> Sequence[cst.BaseStatement]:
        if self.where == "after":
            return node, new
        # Comments and blank lines above the anchor stay above both.
        return new.with_changes(leading_lines=node.leading_lines), node.with_changes(leading_lines=())


@dataclass(frozen=True, slots=True, kw_only=True)
class Import:
    """Add an import after the module's leading run of imports."""

    file: str
    code: str
    count: int = 1
    within: tuple[str, ...] = ()

    @property
    def anchor(self) -> str:
        """What is looked for."""
        return "the imports at the top of the module"

    @property
    def marks(self) -> tuple[str, ...]:
        """The import."""
        return (self.code,)

    def sites(self, source: Source) -> Sites:
        """Find the import, or the place for it."""
        new = statement(self.code)
        if any(_is(new, node) for node in source.module.body):
            return Sites(applied=1)
        return Sites(pending=int(_last_import(source.module) is not None))

    def apply(self, source: Source) -> Source:
        """Add the import."""
        last = _last_import(source.module)
        if last is None or self.sites(source).applied:
            return source
        body = list(source.module.body)
        body.insert(last + 1, statement(self.code))
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

    def sites(self, source: Source) -> Sites:
        """Count what is still to replace and what has been replaced."""
        old, new = _part(self.anchor), _part(self.code)
        nodes = list(tree.nodes_of(source.module, self.within))
        return Sites(pending=sum(tree.matches(old, n) for n in nodes), applied=sum(tree.matches(new, n) for n in nodes))

    def apply(self, source: Source) -> Source:
        """Replace every site."""
        new = _part(self.code)
        swap = tree.Swap(_part(self.anchor), lambda _: new.deep_clone())
        return source.with_module(tree.rewrite_scope(source.module, self.within, swap.rewrite))


def _part(code: str) -> cst.CSTNode:
    """Parse an expression, or a statement without its line."""
    small = statement(code).body[0]
    return small.value if isinstance(small, cst.Expr) else small
