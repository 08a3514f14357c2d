"""Whether an edit stands where it does what it is for: reached, once, with every name bound to what is meant. Pure.

An edit finds its anchor by structure. That is not enough where a local was renamed, a class is defined a second time, a
`return` stands above, or the module has a name of its own that is spelled like the one we import.
"""

from __future__ import annotations

import ast
import builtins
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

from slimfork.syntax import cst as tree
from slimfork.syntax.likeness import PREFIX, alike, is_alike, pattern
from slimfork.syntax.place_in import NodePlace, bound_before, unreached
from slimfork.syntax.scopes import (
    binders,
    declared_global,
    imported_as,
    loop_targets,
    names_among,
    names_read,
    of_kind,
    scopes_at,
    star_imports,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A piece of Python that an edit puts into a file.

    Attributes:
        code: What is put there; a name in braces stands for an argument of the anchor.
        kind: An import at the top, a statement beside its anchor, or what stands in the place of an expression.
        anchor: Where it goes; what that reads is there.
        within: The class and function that hold it, `*` for any.
        count: How often it is put there.
        former: The import that it takes the place of, if there was one.
    """

    code: str
    kind: Literal["import", "statement", "part"]
    anchor: str = ""
    within: tuple[str, ...] = ()
    count: int = 1
    former: str | None = None

    @property
    def new_names(self) -> list[str]:
        """The names that it reads and its anchor does not."""
        code = pattern(self.code)
        known = set(names_read(pattern(self.anchor))) if self.anchor else set()
        for parameter in of_kind(ast.walk(code), ast.arg):
            known.add(parameter.arg)
        known.update(names_among(loop_targets(ast.walk(code))))
        return [name for name in names_read(code) if name not in known and not name.startswith(PREFIX)]

    @property
    def imported(self) -> list[str]:
        """The names that it gives a meaning, where it is an import."""
        return _imported(self.code)

    def times_read(self, name: str) -> int:
        """Return how often a file reads a name for this piece."""
        return self.count * names_read(pattern(self.code)).count(name)


class StandingPieces:
    """The pieces that a patch has put into one file, and the file."""

    def __init__(self, content: bytes, pieces: Sequence[Piece]) -> None:
        self._tree, self._places = read(content)
        self._pieces = pieces
        self._imports: list[Piece] = []
        self._ours: list[str] = []
        for piece in pieces:
            if piece.kind == "import":
                self._imports.append(piece)
                self._ours += piece.imported

    def faults(self) -> Iterator[str]:
        """Yield what is wrong, in words that follow the path of the file."""
        for piece in self._imports:
            yield from self._import_faults(piece)
            yield from self._former_faults(piece)
        for piece in self._pieces:
            if piece.kind != "import":
                yield from self._piece_faults(piece)
        read = names_read(self._tree)
        for name in self._ours:
            wanted = sum(piece.times_read(name) for piece in self._pieces)
            if read.count(name) != wanted:
                yield f"uses our `{name}` in {read.count(name)} places, and {wanted} are ours"

    def _import_faults(self, piece: Piece) -> Iterator[str]:
        imports = [node for node in self._tree.body if is_alike(pattern(piece.code), node)]
        for node in imports:
            if why := unreached(self._places[node]):
                yield f"does not reach its import of `{', '.join(piece.imported)}`: {why}"
            for star in star_imports(self._tree):
                if star.lineno > node.lineno:
                    yield f"imports anything with `*` on line {star.lineno}, below ours"
                    break
        for name in piece.imported:
            others = [*_without(imports, binders(self._tree, name)), *declared_global(self._tree, name)]
            if others or len(imports) > 1:
                yield f"gives another meaning to `{name}` on line {_line((others or imports)[-1])}"

    def _former_faults(self, piece: Piece) -> Iterator[str]:
        """Yield where the user's own code reads a name that our import once gave it."""
        lost = {name for name in _imported(piece.former or "") if not binders(self._tree, name)}
        for node in of_kind(ast.walk(self._tree), ast.Name) if lost else ():
            if not isinstance(node.ctx, ast.Load) or node.id not in lost or self._places[node].shadows(node.id):
                continue
            yield f"reads `{node.id}` on line {node.lineno}, which our import no longer gives"

    def _piece_faults(self, piece: Piece) -> Iterator[str]:
        scopes = list(scopes_at(self._tree, piece.within))
        for node in alike(scopes, piece.code):
            place = self._places[node]
            if place.parent and isinstance(place.parent.node, ast.Expr):  # the call is all of its statement
                place = place.parent
            if piece.kind == "statement" and not _is_beside(place, piece.anchor):
                continue
            if piece.within or piece.kind == "statement":
                if why := unreached(place):
                    yield f"never reaches `{_short(node)}` on line {_line(node)}: {why}"
                yield from self._overridden(place)
            if piece.kind == "statement" and piece.within and place.function not in scopes:
                yield f"has `{_short(node)}` on line {_line(node)} in a function within {place.name}"
            yield from self._name_faults(place, piece.new_names)

    def _overridden(self, place: NodePlace) -> Iterator[str]:
        """Yield the classes and functions around a place that are something else in the end."""
        for node in place.definitions:
            named_so = binders(self._places[node].scope, node.name)
            others = _without([node], [*named_so, *self._assigned(node)])
            if others:
                yield f"defines {self._places[node].qualified(node.name)} again on line {_line(others[-1])}"

    def _assigned(self, node: ast.AST) -> Iterator[ast.AST]:
        """Yield what sets a method from outside of its class: `A.f = g`, `setattr(A, "f", g)`."""
        holder = self._places[node].scope
        if not isinstance(holder, ast.ClassDef):
            return
        name = getattr(node, "name", "")
        for other in ast.walk(self._tree):
            if isinstance(other, ast.Attribute) and not isinstance(other.ctx, ast.Load) and other.attr == name:
                if isinstance(other.value, ast.Name) and other.value.id == holder.name:
                    yield other
            elif isinstance(other, ast.Call) and is_alike(pattern(f"setattr({holder.name}, {name!r}, ...)"), other):
                yield other

    def _name_faults(self, place: NodePlace, names: Sequence[str]) -> Iterator[str]:
        for name in dict.fromkeys(names):
            shadows = place.shadows(name)
            if name in self._ours:
                if shadows:
                    yield f"gives another meaning to `{name}` in {place.name}, on line {_line(shadows[0])}"
            elif hasattr(builtins, name):
                if shadows or binders(self._tree, name):
                    yield f"gives another meaning to Python's `{name}`"
            elif not bound_before(place, name):
                there = "may have no value there" if shadows else "does not exist there"
                yield f"needs `{name}` on line {place.line}, which {there} in {place.name}"


def _without(known: Sequence[ast.AST], nodes: Iterable[ast.AST]) -> list[ast.AST]:
    return [node for node in nodes if node not in known]


def _is_beside(place: NodePlace, anchor: str) -> bool:
    """Tell whether a place is in one block with an anchor; statements of the user's may stand between them."""
    like = pattern(anchor)
    return any(is_alike(like, node.value if isinstance(node, ast.Expr) else node) for node in place.block)


def _imported(code: str) -> list[str]:
    node = pattern(code or "pass")
    names = node.names if isinstance(node, (ast.Import, ast.ImportFrom)) else []
    return list(map(imported_as, names))


def _short(node: ast.AST) -> str:
    return " ".join(ast.unparse(node).split())


def _line(node: ast.AST) -> int:
    return getattr(node, "lineno", 0) or getattr(getattr(node, "pattern", None), "lineno", 0)


@lru_cache(maxsize=16)  # a file is looked at for several patches, before and after
def module_of(content: bytes) -> ast.Module:
    """Return Python's own tree of a file."""
    return tree.parse_quietly(content)


@lru_cache(maxsize=16)
def read(content: bytes) -> tuple[ast.Module, dict[ast.AST, NodePlace]]:
    """Return Python's own tree of a file, and where everything stands in it."""
    module = module_of(content)
    return module, NodePlace.all_in(module)
