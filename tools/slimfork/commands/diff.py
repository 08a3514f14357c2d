"""`apply-patches diff PATH`: what `apply` would change, as a unified diff."""

from __future__ import annotations

import difflib
import re
import sys
from typing import TYPE_CHECKING

import click

from slimfork.forks import handwork
from slimfork.forks.fork import read_fork
from slimfork.git import skipping
from slimfork.git.recovery import heal
from slimfork.git.repo import open_repository
from slimfork.terminal import telling, ui
from slimfork.terminal.errors import CheckFailed
from slimfork.terminal.paths import PATH
from slimfork.terminal.words import shown, typed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LINE_COLOURS = {"+": "green", "-": "red", "@": "cyan"}


@click.command()
@click.argument("path", type=PATH)
@click.option("--compat/--no-compat", default=None, help="With or without what old releases need; default: as made.")
@click.option("--skip", metavar="ID", multiple=True, help="Leave a patch out, as `apply --skip` would.")
@click.option("--with", "put_in", metavar="ID", multiple=True, help="Put a patch in again, as `apply --with` would.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def command(path: Path, compat: bool | None, skip: tuple[str, ...], put_in: tuple[str, ...], as_json: bool) -> None:
    """Show what `apply` would change in PATH; exit with 1 if it would change anything."""
    with open_repository(path) as repository:
        heal(repository)
        fork = read_fork(repository, compat=compat, skip=skip, put_in=put_in)
        telling.say_found(path, fork.release)
        handwork.refuse(fork.handwork, path, replace=True)
        handwork.note(fork.handwork)
        telling.refuse_broken(
            fork.plan, path, as_json=as_json, hint=skipping.way_out(fork.plan, f"apply-patches apply {typed(path)}")
        )
        new: dict[str, bytes | None] = {**fork.handwork.changes, **fork.plan.changes, **fork.overlay.changes}
        diffs = {p: unified(p, fork.tree.get(p), new[p], fork.tree.mode(p)) for p in sorted(new)}
    if as_json:
        texts = {p: diff.decode("utf-8", "replace") for p, diff in diffs.items()}
        ui.result_json({"path": str(path), "version": fork.release.version, "diffs": texts})
    else:
        for diff in diffs.values():
            click.echo(b"".join(coloured(diff)) if sys.stdout.isatty() else diff, nl=False)
    if diffs:
        count = f"{len(diffs)} file{'' if len(diffs) == 1 else 's'}"
        option = " --replace-handmade" if fork.handwork.findings else ""
        raise CheckFailed(f"apply would change {count} in {path}", hint=f"apply-patches apply {typed(path)}{option}")


def unified(path: str, old: bytes | None, new: bytes | None, mode: str) -> bytes:
    """Return a diff that `git apply` takes; None is a file that is not there."""
    before = "/dev/null" if old is None else f"a/{path}"
    after = "/dev/null" if new is None else f"b/{path}"
    header = [f"diff --git a/{path} b/{path}\n"]
    if old is None:
        header.append(f"new file mode {mode}\n")
    elif new is None:
        header.append(f"deleted file mode {mode}\n")
    body = difflib.unified_diff(_lines(old or b""), _lines(new or b""), before, after)
    text = "".join([*header, *map(_ended, body)])
    return text.encode("utf-8", "surrogateescape")


def _lines(content: bytes) -> list[str]:
    """Split after line feeds alone: a form feed or a carriage return is part of its line, for git too."""
    return re.findall(r"[^\n]*\n|[^\n]+", content.decode("utf-8", "surrogateescape"))


def _ended(line: str) -> str:
    return line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n"


def coloured(diff: bytes) -> Iterator[bytes]:
    """Yield the lines of a diff with colours for a terminal."""
    for line in diff.split(b"\n")[:-1]:
        text = shown(line.decode("utf-8", "surrogateescape"))
        head = text.startswith(("diff ", "--- ", "+++ "))
        colour = None if head else LINE_COLOURS.get(text[:1])
        styled = click.style(text, fg=colour, bold=head or None) if head or colour else text
        yield styled.encode() + b"\n"
