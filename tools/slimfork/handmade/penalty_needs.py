"""What a penalty that somebody wrote by hand needs beside its own lines: imports, options and settings. Pure."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

from slimfork.handmade.handmade import Change
from slimfork.handmade.script import all_parts, imported, key, loads, target

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from slimfork.handmade.script import Script

STRENGTH_NAME = re.compile(r"^(sl|sr|st|l1|s|bn_l1)$|l1_|_l1|lambda|spars|prun|slim|penalt|^sl_|^sr_")


def knows(script: Script, name: str, path: str) -> bool:
    """Tell whether a name means that function in a file: it is defined there, or imported from where it is."""
    if script.path == path:
        return True
    stem = path.removesuffix(".py").rpartition("/")[2]
    for node in script.nodes(ast.ImportFrom):
        names = imported(node)
        if name in names or stem in names:  # maybe through a package that passes it on
            return True
        if "*" in names and stem in {(node.module or "").rpartition(".")[2], "__init__"}:
            return True
    for whole in script.nodes(ast.Import):
        for module in imported(whole):
            if module.rpartition(".")[2] == stem:
                return True
    return False


def settings(script: Script, gone: set[int]) -> set[str]:
    """Return the settings, `sl` of `self.args.sl`, that nothing reads any more when these lines go."""
    reads: dict[str, set[int]] = {}
    for node in script.nodes(ast.Attribute):
        owner, _, name = key(node).rpartition(".")
        if owner.rpartition(".")[2] == "args" and STRENGTH_NAME.search(name):
            reads.setdefault(name, set()).add(node.lineno - 1)
    return {name for name, lines in reads.items() if lines <= gone}


def imports(
    script: Script, helpers: Collection[str], going: Iterable[ast.stmt]
) -> Iterator[tuple[ast.stmt, tuple[Change, ...] | None]]:
    """Yield the imports of helpers that nothing reads any more, and what takes the names out, if anything can."""
    gone = all_parts(going)
    read, was_read = _names(script.parents.keys() - gone), _names(gone)
    for node in script.parents:
        if not isinstance(node, (ast.Import, ast.ImportFrom)) or node in gone:
            continue
        away = []
        for alias in node.names:
            name = (alias.asname or alias.name).partition(".")[0]
            if name in read:
                continue
            if alias.name in helpers or (name in was_read and "BatchNorm" in name):
                away.append(alias.name)
        if len(away) == len(node.names):
            yield node, script.cuts([node])
        elif away:
            yield node, _shortened(script, node, away)


def _names(nodes: Iterable[ast.AST]) -> set[str]:
    return {node.id for node in nodes if isinstance(node, ast.Name)}


def _shortened(script: Script, node: ast.stmt, names: Sequence[str]) -> tuple[Change, ...] | None:
    """Return what takes some names out of an import, or None where not all of them can be."""
    start, end = node.lineno - 1, node.end_lineno or node.lineno
    lines = []
    for line in script.lines[start:end]:
        kept = line
        for name in names:
            kept = re.sub(rb"\s*,\s*%b\b(?=\s*(,|\)|#|$|\r?\n))" % name.encode(), b"", kept)
            kept = re.sub(rb"(?<=[ (])%b\b\s*,[ \t]*" % name.encode(), b"", kept)
        if any(re.search(rb"\b%b\b" % name.encode(), kept) for name in names):
            return None
        if kept.strip():
            lines.append(kept)
    return (Change(start=start, end=end, lines=tuple(lines)),)


def options(script: Script, going: Iterable[ast.stmt], option: str) -> Iterator[ast.stmt]:
    """Yield the statements that only give the penalty its strength: an option, an attribute, a hyperparameter."""
    gone = all_parts(going)
    read = map(_last, loads(*going))
    names = set(filter(STRENGTH_NAME.search, read))
    givers: dict[str, list[ast.stmt]] = {}
    for node in script.nodes(ast.stmt):
        name = _given(node) if node not in gone else ""
        if name in names or (name == option and name and isinstance(node, ast.Expr)):
            givers.setdefault(name, []).append(node)
    for name, nodes in givers.items():
        is_read = _is_read(script, name, gone | all_parts(nodes))
        for node in nodes:
            if not is_read or (name == option and isinstance(node, ast.Expr)):
                yield node


def _is_read(script: Script, name: str, own: Collection[ast.AST]) -> bool:
    """Tell whether anything but these nodes reads an attribute or an item of a name."""
    for node in script.parents:
        if isinstance(getattr(node, "ctx", None), ast.Load) and node not in own and _last(key(node)) == name:
            return True
    return False


def _given(node: ast.stmt) -> str:
    """Return the option, the attribute or the hyperparameter that a statement gives a value, or ""."""
    return _flag(node) or (_last(target(node)) if isinstance(node, ast.Assign) else "")


def _last(text: str) -> str:
    """Return the last part of a key that has several: `sl` of `opt.sl` and of `hyp[sl]`."""
    return re.split(r"[.\[]", text)[-1].rstrip("]") if re.search(r"[.\[]", text) else ""


def _flag(node: ast.stmt) -> str:
    """Return the last option that a statement adds to a parser, without dashes, or ""."""
    call = node.value if isinstance(node, ast.Expr) else None
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Attribute) or call.func.attr != "add_argument":
        return ""
    flag = ""
    for argument in call.args:
        if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
            flag = argument.value
    return flag.lstrip("-").replace("-", "_")
