"""What the user sees: results on stdout, everything else on stderr.

Progress and tables are drawn by rich. Progress is silent when stderr is not a terminal, so logs stay clean. All text
for a person goes through here, and none of it is taken for markup or reaches the terminal with control characters.
"""

from __future__ import annotations

import io
import json
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich import table
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.text import Text

from slimfork.terminal.words import one_line, shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    import click
    from rich.progress import Task

    from slimfork.terminal.errors import SlimforkError

err = Console(stderr=True, highlight=False, soft_wrap=True)


class Table(table.Table):
    """A table whose cells and title are text as it is: no markup, no control characters; a `Text` brings its style."""

    def __init__(self, *headers: str, title: str | None = None, **more: Any) -> None:
        super().__init__(*headers, title=None if title is None else Text(one_line(title)), **more)

    def add_row(self, *cells: Any, **more: Any) -> None:
        """Add a row of texts."""
        super().add_row(*map(_cell, cells), **more)


def _cell(cell: str | Text) -> Text:
    return Text(shown(cell)) if isinstance(cell, str) else Text(shown(cell.plain), cell.style)


class _Title(TextColumn):
    """The title of a task: it may hold the address of a repository."""

    def render(self, task: Task) -> Text:
        """Return it as text."""
        return Text(one_line(task.description))


def note(text: str) -> None:
    """Print a line for the person, to stderr."""
    err.print(shown(text), markup=False)


def result(text: str) -> None:
    """Print a line of the result, to stdout."""
    sys.stdout.write(shown(text) + "\n")


def result_json(value: Any) -> None:
    """Print the result as JSON, to stdout: sorted keys, one document."""
    json.dump(value, sys.stdout, indent=2, sort_keys=True)
    sys.stdout.write("\n")


def result_table(shown_table: Table) -> None:
    """Print a table, to stdout; as wide as it needs to be when stdout is not a terminal."""
    console = Console(file=sys.stdout, highlight=False)
    if not console.is_terminal:
        console.width = 160
    console.print(shown_table)


def failure(error: SlimforkError) -> None:
    """Print an error and the next thing to type, to stderr."""
    err.print(f"error: {shown(error.message)}", style="red", markup=False)
    if error.hint:
        err.print(f"  try: {shown(error.hint)}", markup=False)


def usage(error: click.ClickException) -> None:
    """Print what is wrong with a command line, to stderr: it repeats what was typed."""
    said = io.StringIO()
    error.show(file=said)
    err.print(shown(said.getvalue()), markup=False, end="")


@contextmanager
def steps(title: str, total: int | None = None) -> Iterator[Progress]:
    """Yield a progress display of counted steps with one task, number 0."""
    columns = (
        SpinnerColumn(),
        _Title(""),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as progress:
        progress.add_task(title, total=total)
        yield progress


@contextmanager
def download(title: str, total: int | None = None, *, show: bool = True) -> Iterator[Progress]:
    """Yield a progress display of bytes with one task, number 0."""
    columns = (_Title(""), BarColumn(), DownloadColumn(), TimeElapsedColumn())
    with Progress(*columns, console=err, transient=True, disable=not (show and err.is_terminal)) as progress:
        progress.add_task(title, total=total)
        yield progress
