"""A sparsity penalty written by hand into the training: in any wording, with its helpers, imports and options. Pure."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from slimfork.handmade.handmade import Change, HandEdit, has_shape
from slimfork.handmade.keys import HandmadeKey, members
from slimfork.handmade.script import Function, Script, key, loads, read, statements, target
from slimfork.handmade.tracing import Flow, HelperKind, helper_kind, trace

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from slimfork.handmade.handmade import Files
    from slimfork.handmade.script import Scope

SEED = re.compile(rb"\.grad\b|_foreach_|norm\(|abs\(|absolute\(|l1_loss|sign\(|shrink")
ABOUT = re.compile(rb"BatchNorm|Norm2d|\bbn|bn\b|\.weight\b|\.gamma\b")
STRENGTH_NAME = re.compile(r"^(sl|sr|st|l1|s|bn_l1)$|l1_|_l1|lambda|spars|prun|slim|penalt|^sl_|^sr_")


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
        paths = [p for p in files if p.endswith(".py") and (self._trains(p) or _is_seeded(files[p]))]
        scripts = [s for path in paths if (s := read(path, files[path])) is not None]
        seeded = [s for s in scripts if _is_seeded(files[s.path])]
        helpers = _helpers(seeded)
        defined = {name: script.path for name, (script, _, _) in helpers.items()}
        for script in (s for s in scripts if self._trains(s.path)):
            own = {n: k for n, (_, _, k) in helpers.items() if _knows(script, n, defined[n])}
            if not own and script not in seeded and not self.option:
                continue
            edits = list(self._in(script, own, patch, (pristine or {}).get(script.path)))
            yield from edits
            changes = [change for edit in edits for change in edit.changes]
            gone = {number for change in changes for number in change.going}
            for name in _settings(script, gone):
                yield from self._keys(name, patch, files, pristine)

    def _keys(self, name: str, patch: str, files: Files, pristine: Files | None) -> Iterator[HandEdit]:
        """Find a setting that gave the penalty its strength."""
        shapes = tuple(shape for shape in self.files if shape.endswith(".yaml"))
        where = list(
            HandmadeKey(files=shapes, key=name, own=self.own, section=self.section).find(patch, files, pristine)
        )
        yield from where
        for path in (p for p in files if where and p.endswith("cfg/__init__.py")):
            yield from members(patch, path, files[path], name, self.section)

    def _trains(self, path: str) -> bool:
        return has_shape(path, self.files)

    def _in(
        self, script: Script, helpers: Mapping[str, HelperKind], patch: str, original: bytes | None
    ) -> Iterator[HandEdit]:
        flows = [f for scope in script.scopes() if (f := _trace(script, scope, helpers)) is not None]
        defs = [
            f.scope for f in flows if getattr(f.scope, "name", "") in helpers and not isinstance(f.scope, ast.Module)
        ]
        going: list[ast.stmt] = []
        for flow in flows:
            if flow.scope in defs or not (flow.presses or flow.bad):
                continue
            finding = self._finding(flow, patch, original)
            going += flow.inside()
            yield finding
        for scope in defs:
            if isinstance(scope, Function):
                change = script.cut(scope)
                yield self._at(script, scope, patch, "the function of a sparsity penalty", [change], [scope])
                going += [scope, *statements(scope)]
        for node, change in _imports(script, helpers, going):
            yield self._at(script, node, patch, "the import of a sparsity penalty", [change])
        for node in _options(script, going, self.option):
            yield self._at(script, node, patch, "the strength of a sparsity penalty", [script.cut(node)], [node])

    def _finding(self, flow: Flow, patch: str, original: bytes | None) -> HandEdit:
        roots = flow.roots()
        first = min([*flow.bad, *(s for s in flow.gone)], key=lambda s: s.lineno)
        whole = self._at(flow.script, first, patch, "a sparsity penalty", [flow.script.cut(r) for r in roots], roots)
        if flow.bad:
            line = min(s.lineno for s in flow.bad)
            return whole.refused(f"line {line} mixes it with something else")
        if any(s not in flow.inside() for s in flow.gone):
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
        changes: Sequence[Change | None],
        going: Sequence[ast.stmt] = (),
    ) -> HandEdit:
        kept = tuple(c for c in changes if c is not None)
        edit = HandEdit(patch=patch, path=script.path, line=node.lineno, what=f"{what} ({self.section})", changes=kept)
        if len(kept) < len(changes):
            return edit.refused("it shares a line with something else")
        return edit.refused("nothing else stands in its block") if script.empties(going) else edit


def _settings(script: Script, gone: set[int]) -> set[str]:
    """Return the settings, `sl` of `self.args.sl`, that nothing reads any more when these lines go."""
    reads: dict[str, list[int]] = {}
    for node in script.parents:
        text = key(node) if isinstance(node, ast.Attribute) else ""
        owner, _, name = text.rpartition(".")
        if owner.rpartition(".")[2] == "args" and STRENGTH_NAME.search(name):
            reads.setdefault(name, []).append(cast("ast.Attribute", node).lineno - 1)
    return {name for name, lines in reads.items() if gone.issuperset(lines)}


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
    known = {line.strip() for line in original.split(b"\n")}
    lines = [script.lines[i].strip() for c in changes for i in c.going]
    said = [line for line in lines if re.search(rb"\w", line) and line not in {b"continue", b"pass", b"else:"}]
    return bool(said) and all(line in known for line in said)


def _helpers(scripts: Sequence[Script]) -> dict[str, tuple[Script, ast.AST, HelperKind]]:
    """Return the functions that serve a penalty alone by their names, those that call one another too."""
    helpers: dict[str, tuple[Script, ast.AST, HelperKind]] = {}
    for _ in range(3):
        kinds = {name: kind for name, (_, _, kind) in helpers.items()}
        for script in scripts:
            for scope in script.scopes():
                if isinstance(scope, Function) and (flow := _trace(script, scope, kinds)) is not None:
                    kind = helper_kind(flow)
                    if kind is not None and not scope.name.startswith("__"):
                        helpers.setdefault(scope.name, (script, scope, kind))
        if len(kinds) == len(helpers):
            break
    return helpers


def _knows(script: Script, name: str, path: str) -> bool:
    """Tell whether a name means that function in a file: it is defined there, or imported from where it is."""
    if script.path == path:
        return True
    stem = path.removesuffix(".py").rpartition("/")[2]
    for node in script.parents:
        if isinstance(node, ast.ImportFrom):
            names = {a.name for a in node.names}
            module = (node.module or "").rpartition(".")[2]
            if (name in names or "*" in names) and stem in {module, "__init__"}:
                return True
            if stem in names:
                return True
        if isinstance(node, ast.Import) and any(a.name.rpartition(".")[2] == stem for a in node.names):
            return True
    imports = [node for node in script.parents if isinstance(node, ast.ImportFrom)]
    return name in {alias.name for node in imports for alias in node.names}  # through a package that passes it on


def _imports(
    script: Script, helpers: Mapping[str, HelperKind], going: Sequence[ast.stmt]
) -> Iterator[tuple[ast.stmt, Change | None]]:
    """Yield the imports of helpers that nothing reads any more, and what takes the names out."""
    nodes = [n for s in going for n in ast.walk(s)]
    gone = set(map(id, nodes))
    read_names = {n.id for n in script.parents if isinstance(n, ast.Name) and id(n) not in gone}
    was_read = {n.id for n in nodes if isinstance(n, ast.Name)}
    for node in script.parents:
        if not isinstance(node, (ast.Import, ast.ImportFrom)) or id(node) in gone:
            continue
        bound = {a: (a.asname or a.name).partition(".")[0] for a in node.names}
        away = [
            a
            for a, name in bound.items()
            if name not in read_names and (a.name in helpers or (name in was_read and "BatchNorm" in name))
        ]
        if len(away) == len(node.names):
            yield node, script.cut(node)
        elif away:
            yield node, _shortened(script, node, [a.name for a in away])


def _shortened(script: Script, node: ast.stmt, names: Sequence[str]) -> Change | None:
    """Return an import without some of its names, where it stands on one line."""
    start, end = node.lineno - 1, node.end_lineno or node.lineno
    lines = []
    for line in script.lines[start:end]:
        for name in names:
            line = re.sub(rb"\s*,\s*%b\b(?=\s*(,|\)|#|$|\r?\n))" % name.encode(), b"", line)  # noqa: PLW2901
            line = re.sub(rb"(?<=[ (])%b\b\s*,[ \t]*" % name.encode(), b"", line)  # noqa: PLW2901
        lines.append(line)
    if any(re.search(rb"\b%b\b" % n.encode(), line) for n in names for line in lines):
        return None
    return Change(start=start, end=end, lines=tuple(line for line in lines if line.strip()))


def _options(script: Script, going: Sequence[ast.stmt], option: str) -> Iterator[ast.stmt]:
    """Yield the statements that only give the penalty its strength: an option, an attribute, a hyperparameter."""
    gone = {id(n) for s in going for n in ast.walk(s)}
    read_by = set().union(*map(loads, going)) if going else set()
    names = {re.split(r"[.\[]", text)[-1].rstrip("]") for text in read_by if "." in text or "[" in text}
    names = {name for name in names if STRENGTH_NAME.search(name)}
    givers: dict[str, list[ast.stmt]] = {}
    for node in script.parents:
        name = _given(node) if isinstance(node, ast.stmt) and id(node) not in gone else ""
        if name in names or (name == option and name and isinstance(node, ast.Expr)):
            givers.setdefault(name, []).append(cast("ast.stmt", node))
    for name, nodes in givers.items():
        own = gone | {id(n) for node in nodes for n in ast.walk(node)}
        others = (n for n in script.parents if id(n) not in own and _last(key(n)) == name)
        is_read = any(isinstance(getattr(n, "ctx", None), ast.Load) for n in others)
        yield from (n for n in nodes if not is_read or (name == option and isinstance(n, ast.Expr)))


def _given(node: ast.stmt) -> str:
    """Return the option, the attribute or the hyperparameter that a statement gives a value, or ""."""
    return _flag(node) or (_last(target(node)) if isinstance(node, ast.Assign) else "")


def _last(text: str) -> str:
    """Return the last part of a key that has several: `sl` of `opt.sl` and of `hyp[sl]`."""
    return re.split(r"[.\[]", text)[-1].rstrip("]") if re.search(r"[.\[]", text) else ""


def _flag(node: ast.stmt) -> str:
    """Return the option that a statement adds to a parser, without dashes, or ""."""
    call = node.value if isinstance(node, ast.Expr) else None
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Attribute) or call.func.attr != "add_argument":
        return ""
    flags = [a.value for a in call.args if isinstance(a, ast.Constant) and isinstance(a.value, str)]
    return flags[-1].lstrip("-").replace("-", "_") if flags else ""
