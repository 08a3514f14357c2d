"""Files and folders under a temporary name, renamed when they are whole: and what a killed run left of them.

The name says which process writes: what belongs to one that has ended is cleared away by the next run that comes by.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from typing import TYPE_CHECKING

from slimfork.processes.processes import clear

if TYPE_CHECKING:
    from pathlib import Path

_made: set[Path] = set()  # by this process, which may have the number of one that was killed
PART_NAME = re.compile(r"\..+\.(?P<pid>\d{1,10})\.part", re.DOTALL)


def part_of(path: Path) -> Path:
    """Return the name under which this process writes what is to be at a path: hidden, beside it."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    _made.add(part)
    return part


def clear_parts(folder: Path, *, of: str = "") -> None:
    """Remove the parts in a folder whose processes have ended, of all files or of one.

    A process that has ended may have left its number to another one that has nothing to do with it: then its part
    stays until that one has ended, too.
    """
    with suppress(OSError):  # a folder that is not there, or not ours, holds nothing of ours
        for left in sorted(folder.iterdir()):
            match = PART_NAME.fullmatch(left.name)
            wanted = not of or left.name.startswith(f".{of}.")
            if match and wanted and left not in _made and has_ended(int(match["pid"])):
                _remove(left)


def has_ended(pid: int) -> bool:
    """Tell whether there is no process of a number any more, but for this one, which knows what it has made."""
    if pid == os.getpid():
        return True
    if os.name == "nt":  # pragma: no cover - signal 0 would end it there
        return False
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return True
    except OSError:  # somebody else's
        return False
    return False


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        clear(path)
    else:
        path.unlink(missing_ok=True)
