"""The program git: whether it is there, works, and is new enough. Asked once, when git is first needed."""

from __future__ import annotations

import os
import re
import subprocess
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING

from slimfork.terminal.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

# `git fetch --no-write-fetch-head --no-auto-maintenance` are the newest that is used (release notes of 2.29, October
# 2020); `git init --object-format` and `git rev-parse --show-object-format` came shortly before.
MINIMUM = (2, 29)
ANSWER_SECONDS = 60.0


@contextmanager
def scrubbed(**instead: str) -> Iterator[None]:
    """Take `GIT_*` out of the environment: a hook or `git rebase -x` set them for another repository.

    Args:
        **instead: What of it is set meanwhile.
    """
    taken: dict[str, str] = {}
    for name in list(os.environ):
        if name.startswith("GIT_"):
            taken[name] = os.environ.pop(name)
    os.environ.update(instead)
    try:
        yield
    finally:
        for name in instead:
            os.environ.pop(name, None)
        os.environ.update(taken)


@cache
def check_git() -> None:
    """Refuse a git that cannot be used.

    Raises:
        UsageError: It is not there, does not start, does not understand the user's settings, or is too old.
    """
    answer = _ask()
    match = re.search(r"\bversion (\d+)\.(\d+)", answer)
    if not match:
        raise UsageError(f"`git version` answers {answer.strip()[:80]!r}", hint="see which git it is: command -v git")
    if (int(match[1]), int(match[2])) < MINIMUM:
        version, needed = answer.split("version ", 1)[1].split()[0], ".".join(map(str, MINIMUM))
        hint = "install a newer git, and see that it is the one that is found: command -v git"
        raise UsageError(f"git {version} is too old: slimfork needs git {needed} or newer", hint=hint)


def _ask() -> str:
    try:
        with scrubbed():
            done = subprocess.run(
                ["git", "version"],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="surrogateescape",
                check=False,
                timeout=ANSWER_SECONDS,
            )
    except (FileNotFoundError, NotADirectoryError):
        raise UsageError("git is not installed, or not on PATH", hint="install git and run this again") from None
    except (OSError, subprocess.TimeoutExpired) as error:
        why = getattr(error, "strerror", None) or f"no answer in {ANSWER_SECONDS:g} s"
        raise UsageError(f"git does not start: {why}", hint="see which git it is: command -v git") from None
    if done.returncode:
        raise _broken(done.stderr, done.returncode)
    return done.stdout


def complaint(said: str, status: int) -> str:
    """Return the line in which a git that failed says why."""
    lines = said.splitlines()
    for line in reversed(lines):
        if line.startswith("fatal: "):
            return line.removeprefix("fatal: ")
    return last_words(lines, status)


def last_words(lines: Sequence[str], status: int) -> str:
    """Return the last line that is not empty of what a git that failed said, or else its status."""
    return next(filter(str.strip, reversed(lines)), f"status {status}")


def _broken(said: str, status: int) -> UsageError:
    """Return what a git that fails complains of: as a rule a line of the user's settings, which it names."""
    why = complaint(said, status)
    hint = "mend that file; `git version` says whether git understands it" if "config" in why else "git version"
    return UsageError(f"git does not work here: {why}", hint=hint)
