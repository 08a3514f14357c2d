"""A sparsity penalty written by hand into the training: in any wording, with its helpers, imports and options. Pure."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from slimfork.handmade.handmade import Change, HandEdit, has_shape, numbers_of, stripped
from slimfork.handmade.keys import HandmadeKey, members
from slimfork.handmade.penalty_needs import imports, knows, options, settings
from slimfork.handmade.script import Function, Script, read, statements
from slimfork.handmade.tracing import helper_kind, trace

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from slimfork.handmade.handmade import Files
    from slimfork.handmade.penalty_flow import Flow, HelperKind
    from slimfork.handmade.script import Scope

SEED = re.compile(rb"\.grad\b|_foreach_|norm\(|abs\(|absolute\(|l1_loss|sign\(|shrink")
ABOUT = re.compile(rb"BatchNorm|Norm2d|\bbn|bn\b|\.weight\b|\.gamma\b")


class PenaltyHelper(NamedTuple):
    """A function that serves a penalty alone: the file that it stands in, and what it is to its callers."""

    path: str
    kind: HelperKind


@dataclass(frozen=True, slots=True, kw_only=True)
class HandmadePenalty:
    """The penalty, in files of the release; what it calls may stand in any other.

    Attributes:
        files: Shapes of the paths of what trains: in these it is a penalty, elsewhere a helper, if it is called.
        section: Where a write-up has it.
        option: The command-line option that the write-up adds, without its dashes.
        own: The lines that the patch adds to settings, which are no person's.
    """

    files: tuple[str, ...]
    section: str
    option: str = ""
    own: tuple[str, ...] = ()

    def find(self, patch: str, files: Files, pristine: Files | None) -> Iterator[HandEdit]:
        """Find it, and what only it needs."""
        training, seeded = self._scripts(files)
        helpers = _helpers(seeded)
        for script in training:
            known = {name: each.kind for name, each in helpers.items() if knows(script, name, each.path)}
            if not known and script not in seeded and not self.option:
                continue
            gone: set[int] = set()
            for edit in self._in(script, known, patch, (pristine or {}).get(script.path)):
                yield edit
                gone.update(numbers_of(edit.changes))
            for name in settings(script, gone):
                yield from self._keys(name, patch, files, pristine)

    def _scripts(self, files: Files) -> tuple[list[Script], list[Script]]:
        """Return the scripts that train, and those of all that have what a penalty needs."""
        training, seeded = [], []
        for path in files:
            if not path.endswith(".py"):
                continue
            trains, is_seeded = has_shape(path, self.files), _is_seeded(files[path])
            script = read(path, files[path]) if trains or is_seeded else None
            if script is None:
                continue
            if trains:
                training.append(script)
            if is_seeded:
                seeded.append(script)
        return training, seeded

    def _keys(self, name: str, patch: str, files: Files, pristine: Files | None) -> Iterator[HandEdit]:
        """Find a setting that gave the penalty its strength."""
        shapes = tuple(shape for shape in self.files if shape.endswith(".yaml"))
        setting = HandmadeKey(files=shapes, key=name, own=self.own, section=self.section)
        where = list(setting.find(patch, files, pristine))
        yield from where
        if not where:
            return
        for path in files:
            if path.endswith("cfg/__init__.py"):
                yield from members(patch, path, files[path], name, self.section)

    def _in(
        self, script: Script, helpers: Mapping[str, HelperKind], patch: str, original: bytes | None
    ) -> Iterator[HandEdit]:
        functions: list[ast.stmt] = []
        going: list[ast.stmt] = []
        for scope in script.scopes():
            flow = _trace(script, scope, helpers)
            if flow is None:
                continue
            if isinstance(scope, Function) and scope.name in helpers:
                functions.append(scope)
            elif flow.presses or flow.bad:
                yield self._finding(flow, patch, original)
                going += flow.inside()
        for function in functions:
            cuts = script.cuts([function])
            yield self._at(script, function, patch, "the function of a sparsity penalty", cuts, [function])
            going += [function, *statements(function)]
        for node, changes in imports(script, helpers, going):
            yield self._at(script, node, patch, "the import of a sparsity penalty", changes)
        for node in options(script, going, self.option):
            cuts = script.cuts([node])
            yield self._at(script, node, patch, "the strength of a sparsity penalty", cuts, [node])

    def _finding(self, flow: Flow, patch: str, original: bytes | None) -> HandEdit:
        roots = flow.roots()
        first = _first([*flow.bad, *flow.gone])
        whole = self._at(flow.script, first, patch, "a sparsity penalty", flow.script.cuts(roots), roots)
        if flow.bad:
            return whole.refused(f"line {_first(flow.bad).lineno} mixes it with something else")
        if not flow.gone <= flow.inside():
            return whole.refused("it shares a branch with something else")
        if original is not None and _takes_upstreams(flow.script, whole.changes, original):
            return whole.refused("it stands on lines of the release")
        return whole

    def _at(
        self,
        script: Script,
        node: ast.stmt,
        patch: str,
        what: str,
        changes: tuple[Change, ...] | None,
        going: Sequence[ast.stmt] = (),
    ) -> HandEdit:
        edit = HandEdit(patch=patch, path=script.path, line=node.lineno, what=f"{what} ({self.section})")
        if changes is None:
            return edit.refused("it shares a line with something else")
        if script.empties(going):
            return edit.refused("nothing else stands in its block")
        return replace(edit, changes=changes)


def _first(nodes: Iterable[ast.stmt]) -> ast.stmt:
    return min(nodes, key=lambda node: node.lineno)


def _trace(script: Script, scope: Scope, helpers: Mapping[str, HelperKind]) -> Flow | None:
    """Trace a scope whose text has what a penalty needs: tracing takes time, and nearly no scope has it."""
    if isinstance(scope, ast.Module):
        text = b"".join(script.lines)
    else:
        text = b"".join(script.lines[scope.lineno - 1 : scope.end_lineno])
    if _is_seeded(text) or any(name.encode() in text for name in helpers):
        return trace(script, scope, helpers)
    return None


def _is_seeded(content: bytes) -> bool:
    return SEED.search(content) is not None and ABOUT.search(content) is not None


def _takes_upstreams(script: Script, changes: Iterable[Change], original: bytes) -> bool:
    """Tell whether what would go is the release's own, a blank line or a closing bracket aside."""
    known = stripped(original)
    says = False
    for number in numbers_of(changes):
        line = script.lines[number].strip()
        if not re.search(rb"\w", line) or line in {b"continue", b"pass", b"else:"}:
            continue
        if line not in known:
            return False
        says = True
    return says


def _helpers(scripts: Sequence[Script]) -> dict[str, PenaltyHelper]:
    """Return the functions that serve a penalty alone by their names, those that call one another too."""
    helpers: dict[str, PenaltyHelper] = {}
    for _ in range(3):
        kinds = {name: helper.kind for name, helper in helpers.items()}
        for script in scripts:
            for name, kind in _serving(script, kinds):
                helpers.setdefault(name, PenaltyHelper(script.path, kind))
        if len(kinds) == len(helpers):
            break
    return helpers


def _serving(script: Script, kinds: Mapping[str, HelperKind]) -> Iterator[tuple[str, HelperKind]]:
    """Yield the functions of a script that serve a penalty alone, and what they are to their callers."""
    for function in script.scopes():
        if not isinstance(function, Function) or function.name.startswith("__"):
            continue
        flow = _trace(script, function, kinds)
        kind = helper_kind(flow) if flow is not None else None
        if kind is not None:
            yield function.name, kind
