"""A series in a folder: written whole or not at all, and never over files that are not of an earlier export."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from slimfork.forks.overlay import digest
from slimfork.git.guards import named
from slimfork.git.swap import exchange
from slimfork.processes.parts import clear_parts, part_of
from slimfork.processes.processes import clear
from slimfork.series.fork_file import FORK_FILE
from slimfork.terminal.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

OUT_ELSEWHERE = "--out a folder that is not there yet"
KEEP_BYTES = ".gitattributes"  # who keeps an export in git keeps its bytes
KEEP_BYTES_CONTENT = b"* -text\n"


def refuse_out(out: Path) -> None:
    """Refuse a folder that holds anything but an earlier export, untouched.

    Raises:
        UsageError: It does, or it is no folder; nothing was written.
    """
    if out.is_symlink() and not out.exists():
        raise UsageError(f"{out} is a link to {out.readlink()}, which is not there", hint=OUT_ELSEWHERE)
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out} is a file", hint=OUT_ELSEWHERE)
    if not out.exists():
        return
    if out.resolve() in (Path.cwd(), *Path.cwd().parents):  # whoever stands in it would stand in one that is gone
        raise UsageError(f"{out.resolve()} is the folder you are in", hint="--out patches")
    there = _read(out)
    known = _known(there)
    foreign = sorted(path for path, content in there.items() if digest(content) != known.get(path))
    if foreign and FORK_FILE in there and known:
        what = f"{out} holds an export and files that are not of it, or were edited since: {named(foreign, ', ')}"
        raise UsageError(what, hint=f"move them away, or {OUT_ELSEWHERE}")
    if foreign:
        raise UsageError(f"{out} is not empty: {named(foreign, ', ')}", hint=OUT_ELSEWHERE)


def _read(folder: Path) -> dict[str, bytes]:
    """Return the files of a folder; what is none, such as a link or an empty folder, counts as one without content."""
    found = {}
    for path in sorted(folder.rglob("*")):
        plain = path.is_file() and not path.is_symlink()
        if plain or path.is_symlink() or not path.is_dir() or not any(path.iterdir()):
            found[path.relative_to(folder).as_posix()] = path.read_bytes() if plain else b""
    return found


def _known(there: Mapping[str, bytes]) -> dict[str, str]:
    """Return what an earlier export has written, by what it says itself: path to SHA-256."""
    content = there.get(FORK_FILE, b"")
    try:
        listed = json.loads(content)["slimfork"]["commits"]
        known = {one["file"]: one["sha256"] for one in listed if one["file"]}
    except (ValueError, KeyError, TypeError, RecursionError):
        return {}
    return {**known, FORK_FILE: digest(content), KEEP_BYTES: digest(KEEP_BYTES_CONTENT)}


def is_there(out: Path, files: Mapping[str, bytes]) -> bool:
    """Tell whether a folder holds these files already, and nothing else."""
    return out.is_dir() and _read(out) == dict(files)


def put(out: Path, files: Mapping[str, bytes]) -> None:
    """Write files to a folder that `refuse_out` has not refused: in one step, in the place of what was there."""
    target = _target(out)
    part = part_of(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        tidy_out(out)
        clear(part)
        for path, content in files.items():
            (part / path).parent.mkdir(parents=True, exist_ok=True)
            (part / path).write_bytes(content)
        _land(part, target)
    except OSError as error:
        raise UsageError(f"cannot write {out}: {error.strerror or error}", hint=OUT_ELSEWHERE) from None
    finally:
        clear(part)


def tidy_out(out: Path) -> None:
    """Clear away what runs left beside a folder that were killed while they wrote it."""
    target = _target(out)
    clear_parts(target.parent, of=target.name)


def _target(out: Path) -> Path:
    return out.resolve() if out.is_symlink() else out.absolute()


def _land(part: Path, target: Path) -> None:
    if not target.exists():
        part.rename(target)
        return
    refuse_out(target)  # somebody may have put something there meanwhile
    exchange(part, target)
    foreign = None
    try:
        refuse_out(part)
    except UsageError as error:  # at this very moment
        foreign = error
    if foreign:
        exchange(part, target)
        raise foreign
