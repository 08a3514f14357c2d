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
from slimfork.syntax.scopes import FUNCTIONS, binders, names_read, star_imports

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


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
        known |= {part.arg for part in ast.walk(code) if isinstance(part, ast.arg)}
        targets = [part.target for part in ast.walk(code) if isinstance(part, ast.comprehension)]
        inner = [part for target in targets for part in ast.walk(target)]
        known |= {part.id for part in inner if isinstance(part, ast.Name)}
        return [n for n in names_read(code) if n not in known and not n.startswith(PREFIX)]


class StandingPieces:
    """The pieces that a patch has put into one file, and the file."""

    def __init__(self, content: bytes, pieces: Sequence[Piece]) -> None:
        self._tree, self._places = read(content)
        self._pieces = pieces
        self._imports = [piece for piece in pieces if piece.kind == "import"]
        self._ours = [name for piece in self._imports for name in _imported(piece.code)]

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
            wanted = sum(piece.count * names_read(pattern(piece.code)).count(name) for piece in self._pieces)
            if read.count(name) != wanted:
                yield f"uses our `{name}` in {read.count(name)} places, and {wanted} are ours"

    def _import_faults(self, piece: Piece) -> Iterator[str]:
        imports = [node for node in self._tree.body if is_alike(pattern(piece.code), node)]
        for node in imports:
            if why := unreached(self._places[node]):
                yield f"does not reach its import of `{', '.join(_imported(piece.code))}`: {why}"
            stars = [star.lineno for star in star_imports(self._tree) if star.lineno > node.lineno]
            if stars:
                yield f"imports anything with `*` on line {stars[0]}, below ours"
        for name in _imported(piece.code):
            others = [node for node in binders(self._tree, name) if node not in imports]
            others += [n for n in ast.walk(self._tree) if isinstance(n, ast.Global) and name in n.names]
            if others or len(imports) > 1:
                yield f"gives another meaning to `{name}` on line {_line((others or imports)[-1])}"

    def _former_faults(self, piece: Piece) -> Iterator[str]:
        """Yield where the user's own code reads a name that our import once gave it."""
        lost = {name for name in _imported(piece.former or "") if not binders(self._tree, name)}
        for node in ast.walk(self._tree) if lost else ():
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id in lost:
                if any(binders(scope, node.id) for scope in self._places[node].scopes):
                    continue
                yield f"reads `{node.id}` on line {node.lineno}, which our import no longer gives"

    def _piece_faults(self, piece: Piece) -> Iterator[str]:
        scopes = self._scopes(piece.within)
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

    def _scopes(self, within: Sequence[str]) -> list[ast.AST]:
        scopes: list[ast.AST] = [self._tree]
        for name in within:
            children = [child for scope in scopes for child in getattr(scope, "body", [])]
            scopes = [c for c in children if isinstance(c, (*FUNCTIONS, ast.ClassDef)) and name in {"*", c.name}]
        return scopes

    def _overridden(self, place: NodePlace) -> Iterator[str]:
        """Yield the classes and functions around a place that are something else in the end."""
        around = [node for node in place.around if isinstance(node, (*FUNCTIONS, ast.ClassDef))]
        for node in around:
            others = [other for other in binders(self._places[node].scope, node.name) if other is not node]
            others += [other for other in self._assigned(node) if other is not node]
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
            shadows = [each for scope in place.scopes for each in binders(scope, name)]
            if name in self._ours:
                if shadows:
                    yield f"gives another meaning to `{name}` in {place.name}, on line {_line(shadows[0])}"
            elif hasattr(builtins, name):
                if shadows or binders(self._tree, name):
                    yield f"gives another meaning to Python's `{name}`"
            elif not bound_before(place, name):
                there = "may have no value there" if shadows else "does not exist there"
                yield f"needs `{name}` on line {place.line}, which {there} in {place.name}"


def _is_beside(place: NodePlace, anchor: str) -> bool:
    """Tell whether a place is in one block with an anchor; statements of the user's may stand between them."""
    like = pattern(anchor)
    return any(is_alike(like, node.value if isinstance(node, ast.Expr) else node) for node in place.block)


def _imported(code: str) -> list[str]:
    node = pattern(code or "pass")
    names = node.names if isinstance(node, (ast.Import, ast.ImportFrom)) else []
    return [name.asname or name.name.partition(".")[0] for name in names]


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
