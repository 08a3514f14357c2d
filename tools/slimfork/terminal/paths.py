"""Paths that a person types: `~` is the home folder, and a name like an option's is no option."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from slimfork.terminal.errors import UsageError
from slimfork.terminal.words import typed

DEEPEST = 256  # folders; a path of the system has 4096 bytes at most


class TypedPath(click.Path):
    """A path on the command line.

    A leading `~` or `~user` is expanded: no shell does so in `--into=~/fork`, nor within quotes. Who means a folder
    called `~` types `./~`. A path that begins like an option or a home folder is made absolute, so that git and the
    commands in our hints take it for what it is.
    """

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path, or refuse one that names nothing."""
        text = os.fspath(value)
        if not text:
            raise UsageError(f"{_name(param)} is empty", hint="name a folder; is a variable of your script not set?")
        path = Path(os.fsdecode(super().convert(str(expanded(text)), param, ctx)))
        if len(path.parts) > DEEPEST:
            raise UsageError(f"{_name(param)} lies {len(path.parts)} folders deep", hint="a shorter path")
        return path.absolute() if str(path).startswith(("-", "~")) else path


def _name(param: click.Parameter | None) -> str:
    if param is None:
        return "the path"
    return param.opts[0] if isinstance(param, click.Option) else str(param.human_readable_name)


def expanded(text: str) -> Path:
    """Return a path with its leading `~` expanded.

    Raises:
        UsageError: There is no such user, or no home folder is known.
    """
    try:
        return Path(text).expanduser() if text.startswith("~") else Path(text)
    except RuntimeError:
        user = text.partition("/")[0]
        raise UsageError(f"{user} names no home folder", hint=f"./{text}, for a folder of that name") from None


PATH = TypedPath()


def repository_around(path: Path) -> Path | None:
    """Return the nearest folder above an absolute path that is a repository's, if there is one."""
    for folder in path.parents:
        if (folder / ".git").exists():
            return folder
    return None


def not_a_repository(path: Path) -> UsageError:
    """Return what a folder is that is no repository, and what to type instead."""
    if not any(path.iterdir()):
        return UsageError(f"{path} is empty", hint=f"apply-patches vendor ultralytics --into {typed(path)}")
    outer = repository_around(path.absolute())
    if outer:
        return UsageError(
            f"{path} is a folder inside the repository {outer}", hint=f"apply-patches apply {typed(outer)}"
        )
    hint = f"git init {typed(path)}, add and commit its files there; or apply-patches vendor ultralytics --into fork"
    return UsageError(f"{path} is not a git repository", hint=hint)
