"""Files that are there whole or not at all: made under another name in the same folder, then renamed.

The other name is `.<name>-<process>.part`. What a killed run left under such a name goes when the next run writes to
the same name; a run that goes on is left alone.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ENDING = ".part"
NAME_BYTES = 255  # the longest, in every common file system
SPARE = len(".-1234567890.part")


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Yield the name to write a file under; it is renamed at the end, or gone if that fails.

    Raises:
        OSError: It cannot be written; names the file.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        sweep(path)
        part = part_of(path)
        try:
            yield part
            _settle(part)
            part.replace(path)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise OSError(f"{path}: cannot be written: {error.strerror or error}") from error


@contextmanager
def workshop(path: Path) -> Iterator[Path]:
    """Yield an empty folder beside a file that is to be, in the same file system; it is gone at the end.

    Raises:
        OSError: It cannot be made; names the file.
    """
    part = part_of(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        sweep(path)
        _remove(part)
        part.mkdir()
    except OSError as error:
        raise OSError(f"{path}: cannot be written: {error.strerror or error}") from error
    try:
        yield part
    finally:
        _remove(part)


@contextmanager
def scratch() -> Iterator[str]:
    """Yield an empty folder among the system's temporary ones, as a string; those of killed runs go as well."""
    for left in Path(tempfile.gettempdir()).glob("slim-*"):
        match = re.fullmatch(r"slim-(\d+)-\w+", left.name)
        if match and not _lives(int(match[1])) and _is_own(left):
            _remove(left)
    with tempfile.TemporaryDirectory(prefix=f"slim-{os.getpid()}-") as folder:
        yield folder


def _is_own(path: Path) -> bool:
    try:
        return path.lstat().st_uid == os.getuid()
    except OSError:  # another run has removed it
        return False


def part_of(path: Path) -> Path:
    """Return the name that this process makes a file under."""
    return path.with_name(f"{_prefix(path)}{os.getpid()}{ENDING}")


def _prefix(path: Path) -> str:
    name = path.name.encode()[: NAME_BYTES - SPARE].decode(errors="ignore")
    return f".{name}-"


def land(made: Path, path: Path) -> Path:
    """Move a file that is whole to its name.

    Raises:
        OSError: It cannot be; names the file.
    """
    try:
        _settle(made)
        made.replace(path)
    except OSError as error:
        raise OSError(f"{path}: cannot be written: {error.strerror or error}") from error
    return path


def sweep(path: Path) -> None:
    """Remove what killed runs left of a file, or of the folder that it was made in."""
    own = re.compile(re.escape(_prefix(path)) + r"(\d+)" + re.escape(ENDING))
    for entry in list(path.parent.glob(f".*{ENDING}")):
        match = own.fullmatch(entry.name)
        if match and not _lives(int(match[1])):
            _remove(entry)


def _lives(process: int) -> bool:
    if os.name == "nt":
        return True  # `os.kill` ends a process there, whatever the signal
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _settle(path: Path) -> None:
    """See to it that a file's bytes are on the disk before its name is."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())
