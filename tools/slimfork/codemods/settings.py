"""Edits of configuration: keys of a settings YAML, members of a constant, the version's local part."""

from __future__ import annotations

import ast
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import libcst as cst
import yaml

from slimfork.codemods.codemod import EditError, Sites, Source
from slimfork.codemods.stated_version import VersionError, parsed, statements, with_local_part
from slimfork.syntax.scopes import binders
from slimfork.syntax.standing import Piece, module_of
from slimfork.syntax.yaml_place import Entry, YamlError, decoded, encoded, entries, insertion, loaded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    Elements = Sequence[cst.BaseElement]

MUTATORS = {
    *("add", "append", "clear", "difference_update", "discard", "extend", "insert", "intersection_update", "pop"),
    *("remove", "reverse", "sort", "symmetric_difference_update", "update"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What these edits share: one place in a file, and nothing put in that reads a name."""

    file: str
    count: int = 1
    within: tuple[str, ...] = ()

    @property
    def pieces(self) -> tuple[Piece, ...]:
        """Nothing that reads a name."""
        return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class YamlKeys(Setting):
    """Add top-level lines to a YAML file after a given key; upstream's comments and order stay.

    Attributes:
        after: The key behind whose line the new lines go.
        lines: The new lines, each `key: value  # comment`, without line ends.
    """

    after: str
    lines: tuple[str, ...]

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
        keys = Counter(entry.key for entry in _read(source.content))
        wanted = self._wanted
        present = [keys[key] for key in wanted if keys[key]]
        if len(present) == len(wanted):
            return Sites(applied=max(present))
        return Sites(pending=keys[self.after], applied=1 if present else 0)

    @property
    def _wanted(self) -> dict[str, object]:
        return yaml.safe_load("\n".join(self.lines))  # type: ignore[no-any-return]

    def apply(self, source: Source) -> Source:
        """Add the lines behind the value of the key, with the line end and the indentation that stand there.

        Raises:
            EditError: The file would not say what it said before and our keys, and nothing else.
        """
        entry = _entry(source.content, self.after)
        if entry is None:
            return source
        text = decoded(source.content)
        place, end = insertion(text, entry)
        line_end = end or ("\r\n" if "\r\n" in text else "\n")
        lines = [" " * entry.column + line for line in self.lines]
        new = line_end.join(lines)
        new = f"{new}{line_end}" if end else f"{line_end}{new}"
        content = encoded(text[:place] + new + text[place:])
        self._check(source.content, content)
        return Source(content)

    def _check(self, old: bytes, new: bytes) -> None:
        try:
            before, after = loaded(old), loaded(new)
        except YamlError as error:
            raise EditError(f"with the new keys, {error}") from error
        wanted, ours, theirs = self._wanted, {}, dict(after)
        for key in wanted:
            if key in before:
                raise EditError(f"it has a key {key!r} of its own")
            ours[key] = theirs.pop(key, None)
        if (repr(theirs), repr(ours)) != (repr(before), repr(wanted)):
            raise EditError(f"the new keys have no place behind {self.after!r} that leaves the others what they are")


def _read(content: bytes) -> tuple[Entry, ...]:
    try:
        return entries(content)
    except YamlError as error:
        raise EditError(str(error)) from error


def _entry(content: bytes, key: str) -> Entry | None:
    for entry in _read(content):
        if entry.key == key:
            return entry
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Members(Setting):
    """Add string members to a module-level constant that is a tuple, set or frozenset of strings."""

    name: str
    members: tuple[str, ...]

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
        held: list[int] = []

        def look(elements: Elements) -> Elements:
            held.append(self._held(elements))
            return elements

        self._on_elements(source.module, look)
        if len(held) == 1 and (line := self._changed_on(source)):
            raise EditError(f"{self.name} is set or changed again on line {line}")
        # A constant that holds some of the members counts as both.
        having_all, having_none = held.count(len(self.members)), held.count(0)
        return Sites(pending=len(held) - having_all, applied=len(held) - having_none)

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

    def _changed_on(self, source: Source) -> int:
        """Return the line that gives the constant another value than the one statement at the top, or 0."""
        return getattr(next(self._changes(module_of(source.content)), None), "lineno", 0)

    def _changes(self, module: ast.Module) -> Iterator[ast.AST]:
        """Yield what may give the constant another value: the statements below the top first."""
        binding = binders(module, self.name)
        for node in binding:
            if node not in module.body:
                yield node
        yield from binding[1:]
        yield from filter(self._may_change, ast.walk(module))

    def _may_change(self, node: ast.AST) -> bool:
        """Tell whether a node is a member or an item of the constant that is set or changes it, or a `global`."""
        if isinstance(node, ast.Global):
            return self.name in node.names
        if not isinstance(node, (ast.Attribute, ast.Subscript)) or not isinstance(node.value, ast.Name):
            return False
        changes = getattr(node, "attr", "") in MUTATORS or not isinstance(node.ctx, ast.Load)
        return changes and node.value.id == self.name

    def _held(self, elements: Elements) -> int:
        values = {e.value.evaluated_value for e in elements if isinstance(e.value, cst.SimpleString)}
        return len(values.intersection(self.members))

    def _on_elements(self, module: cst.Module, change: Callable[[Elements], Elements]) -> cst.Module:
        return module.with_changes(body=[self._statement(node, change) for node in module.body])

    def _statement(
        self,
        node: cst.SimpleStatementLine | cst.BaseCompoundStatement,
        change: Callable[[Elements], Elements],
    ) -> cst.SimpleStatementLine | cst.BaseCompoundStatement:
        line = node if isinstance(node, cst.SimpleStatementLine) else None
        assign = line.body[0] if line else None
        if line is None or not isinstance(assign, cst.Assign) or not _assigns(assign, self.name):
            return node
        value = assign.value
        if isinstance(value, cst.Call) and len(value.args) == 1 and _makes_collection(value):  # frozenset({...})
            inner = _with_elements(value.args[0].value, change)
            value = value.with_changes(args=[value.args[0].with_changes(value=inner)])
        else:
            value = _with_elements(value, change)
        return cast(
            "cst.SimpleStatementLine", node.with_changes(body=[assign.with_changes(value=value), *line.body[1:]])
        )


def _makes_collection(call: cst.Call) -> bool:
    return isinstance(call.func, cst.Name) and call.func.value in {"frozenset", "list", "set", "tuple"}


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
class LocalVersion(Setting):
    """Give `__version__` a local part (PEP 440), so that a fork says what it is."""

    local: str
    anchor: str = '__version__ = "..."'

    @property
    def marks(self) -> tuple[str, ...]:
        """The local part with its sign."""
        return (f"+{self.local}",)

    def sites(self, source: Source) -> Sites:
        """Find the version, with or without the local part."""
        try:
            parts = [statement.value.partition("+")[2] for statement in statements(parsed(source.content))]
        except VersionError as error:
            raise EditError(str(error)) from error
        return Sites(pending=parts.count(""), applied=parts.count(self.local))

    def apply(self, source: Source) -> Source:
        """Add the local part to the text of the version, however that is written."""
        try:
            return Source(with_local_part(source.content, self.local))
        except VersionError as error:
            raise EditError(str(error)) from error
