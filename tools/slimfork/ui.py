"""What the user sees: results on stdout, everything else on stderr.

Progress and tables are drawn by rich. Progress is silent when stderr is not a terminal, so logs stay clean.
"""

from __future__ import annotations

import json
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

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

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.table import Table

    from slimfork.errors import SlimforkError

err = Console(stderr=True, highlight=False, soft_wrap=True)


def note(text: str) -> None:
    """Print a line for the person, to stderr."""
    err.print(text, markup=False)


def result(text: str) -> None:
    """Print a line of the result, to stdout."""
    sys.stdout.write(text + "\n")


def result_json(value: Any) -> None:
    """Print the result as JSON, to stdout: sorted keys, one document."""
    json.dump(value, sys.stdout, indent=2, sort_keys=True)
    sys.stdout.write("\n")


def result_table(table: Table) -> None:
    """Print a table, to stdout; as wide as it needs to be when stdout is not a terminal."""
    console = Console(file=sys.stdout, highlight=False)
    if not console.is_terminal:
        console.width = 160
    console.print(table)


def failure(error: SlimforkError) -> None:
    """Print an error and the next thing to type, to stderr."""
    err.print(f"error: {error.message}", style="red", markup=False)
    if error.hint:
        err.print(f"  try: {error.hint}", markup=False)


@contextmanager
def steps(title: str, total: int | None = None) -> Iterator[Progress]:
    """Yield a progress display of counted steps with one task, number 0."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
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
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeElapsedColumn())
    with Progress(*columns, console=err, transient=True, disable=not (show and err.is_terminal)) as progress:
        progress.add_task(title, total=total)
        yield progress
