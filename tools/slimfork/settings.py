"""Edits of configuration: keys of a settings YAML, members of a constant, the version's local part."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import libcst as cst

from slimfork.codemod import EditError, Sites, Source

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Elements = Sequence[cst.BaseElement]

_START = rb"(?:^|\A\xef\xbb\xbf)"  # of a line, or behind a byte-order mark


@dataclass(frozen=True, slots=True, kw_only=True)
class YamlKeys:
    """Add top-level lines to a YAML file after a given key; upstream's comments and order stay.

    Attributes:
        after: The key behind whose line the new lines go.
        lines: The new lines, each `key: value  # comment`, without line ends.
    """

    file: str
    after: str
    lines: tuple[str, ...]
    count: int = 1
    within: tuple[str, ...] = ()

    @property
    def anchor(self) -> str:
        """What is looked for."""
        return f"{self.after}:"

    @property
    def marks(self) -> tuple[str, ...]:
        """The new lines."""
        return self.lines

    def sites(self, source: Source) -> Sites:
        """Find the lines, or the key they go after."""
        keys = [line.split(":")[0].encode() for line in self.lines]
        present = sum(bool(_key_line(key, source.content)) for key in keys)
        if present == len(keys):
            return Sites(applied=1)
        anchors = len(re.findall(_START + re.escape(self.after.encode()) + rb":", source.content, re.MULTILINE))
        return Sites(pending=anchors, applied=1 if present else 0)

    def apply(self, source: Source) -> Source:
        """Add the lines, with the line end of the line before them."""
        match = _key_line(self.after.encode(), source.content)
        if match is None:
            return source
        end = match["end"] or (b"\r\n" if b"\r\n" in source.content else b"\n")
        new = b"".join(line.encode() + end for line in self.lines)
        head = source.content[: match.start("end")] + end
        tail = source.content[match.end() :]
        return Source(head + (new if match["end"] else new.removesuffix(end)) + tail)


def _key_line(key: bytes, content: bytes) -> re.Match[bytes] | None:
    return re.search(_START + re.escape(key) + rb":[^\r\n]*(?P<end>\r?\n|\Z)", content, re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Members:
    """Add string members to a module-level constant that is a tuple, set or frozenset of strings."""

    file: str
    name: str
    members: tuple[str, ...]
    count: int = 1
    within: tuple[str, ...] = ()

    @property
    def anchor(self) -> str:
        """What is looked for."""
        return f"{self.name} = ..."

    @property
    def marks(self) -> tuple[str, ...]:
        """The new members."""
        return self.members

    def sites(self, source: Source) -> Sites:
        """Find the constant, with or without the members."""
        missing: list[int] = []

        def look(elements: Elements) -> Elements:
            missing.append(len(self.members) - self._held(elements))
            return elements

        self._on_elements(source.module, look)
        # A constant that holds some of the members counts as both.
        return Sites(pending=sum(n > 0 for n in missing), applied=sum(n < len(self.members) for n in missing))

    def apply(self, source: Source) -> Source:
        """Put the members first, laid out like the one that was first."""

        def extend(elements: Elements) -> Elements:
            if self._held(elements):
                return elements
            first = elements[0] if elements else None
            if first is None or not isinstance(first.value, cst.SimpleString):
                raise EditError(f"{self.name} does not begin with a string")
            quote, comma = first.value.quote, _separator(elements)
            new = [
                first.with_changes(value=cst.SimpleString(f"{quote}{member}{quote}"), comma=comma)
                for member in self.members
            ]
            return [*new, *elements]

        return source.with_module(self._on_elements(source.module, extend))

    def _held(self, elements: Elements) -> int:
        values = {e.value.evaluated_value for e in elements if isinstance(e.value, cst.SimpleString)}
        return len(values.intersection(self.members))

    def _on_elements(self, module: cst.Module, change: Callable[[Elements], Elements]) -> cst.Module:
        body = [self._statement(node, change) for node in module.body]
        return module.with_changes(body=body)

    def _statement(
        self,
        node: cst.SimpleStatementLine | cst.BaseCompoundStatement,
        change: Callable[[Elements], Elements],
    ) -> cst.SimpleStatementLine | cst.BaseCompoundStatement:
        assign = node.body[0] if isinstance(node, cst.SimpleStatementLine) else None
        if not isinstance(assign, cst.Assign) or not _assigns(assign, self.name):
            return node
        value = assign.value
        if isinstance(value, cst.Call) and len(value.args) == 1:  # frozenset({...})
            inner = _with_elements(value.args[0].value, change)
            value = value.with_changes(args=[value.args[0].with_changes(value=inner)])
        else:
            value = _with_elements(value, change)
        return cast("cst.SimpleStatementLine", node.with_changes(body=[assign.with_changes(value=value)]))


def _with_elements(value: cst.BaseExpression, change: Callable[[Elements], Elements]) -> cst.BaseExpression:
    if not isinstance(value, (cst.Tuple, cst.Set, cst.List)):
        return value
    return cast("cst.BaseExpression", value.with_changes(elements=change(value.elements)))


def _separator(elements: Elements) -> cst.Comma:
    """Return the comma of the first element with its white space, but not its comment."""
    comma = elements[0].comma
    if isinstance(comma, cst.MaybeSentinel) or len(elements) == 1:  # none, or it ends the line
        return cst.Comma(whitespace_after=cst.SimpleWhitespace(" "))
    space = comma.whitespace_after
    if not isinstance(space, cst.ParenthesizedWhitespace) or space.first_line.comment is None:
        return comma
    line = space.first_line.with_changes(comment=None, whitespace=cst.SimpleWhitespace(""))
    return comma.with_changes(whitespace_after=space.with_changes(first_line=line))


def _assigns(assign: cst.Assign, name: str) -> bool:
    target = assign.targets[0].target
    return len(assign.targets) == 1 and isinstance(target, cst.Name) and target.value == name


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalVersion:
    """Give `__version__` a local part (PEP 440), so that a fork says what it is."""

    file: str
    local: str
    count: int = 1
    within: tuple[str, ...] = ()
    anchor: str = '__version__ = "..."'

    @property
    def marks(self) -> tuple[str, ...]:
        """The local part with its sign."""
        return (f"+{self.local}",)

    def sites(self, source: Source) -> Sites:
        """Find the version, with or without the local part."""
        parts = [local for _, _, local, _ in _VERSION.findall(source.content)]
        return Sites(pending=parts.count(b""), applied=parts.count(b"+" + self.local.encode()))

    def apply(self, source: Source) -> Source:
        """Add the local part."""
        return Source(_VERSION.sub(rb"\g<1>\g<2>+" + self.local.encode() + rb"\g<4>", source.content))


_VERSION = re.compile(
    rb"(" + _START + rb"__version__ *= *[\"'])([^\"'+\r\n]+)(\+[^\"'\r\n]*)?([\"'])",
    re.MULTILINE,
)
