"""The folder in which the files of a landing wait: on the file system of the work tree, where renaming is one step."""

from __future__ import annotations

import os
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING

from slimfork.processes.processes import KilledError
from slimfork.terminal.errors import SlimforkError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from slimfork.git.repo import Repository

FOLDER = "slimfork-landing"
IGNORE_FILE, IGNORE_ALL = ".gitignore", b"# made by apply-patches, which removes it again\n*\n"


class NotPutBackError(SlimforkError):
    """What was begun could be neither ended nor taken back; the folder that holds the user's files stays."""


@contextmanager
def workshop(repository: Repository) -> Iterator[Path]:
    """Yield a folder for one landing; it stays where what it holds is needed to put the work tree right."""
    within, beside = places(repository)
    folder = within if _is_one_disk(repository) else beside
    folder.mkdir()
    try:
        (folder / IGNORE_FILE).write_bytes(IGNORE_ALL)
        yield folder
    except (NotPutBackError, KilledError):
        raise
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)  # it may be gone already
        raise
    shutil.rmtree(folder, ignore_errors=True)


def places(repository: Repository) -> tuple[Path, Path]:
    """Return where the folder may lie: in git's, or in the work tree where that is on another disk."""
    return repository.git_dir / FOLDER, repository.root / f".{FOLDER}"


def left_folders(repository: Repository) -> list[Path]:
    """Return the folders of killed runs. In the work tree, only one that says that it is ours."""
    within, beside = places(repository)
    folders = [within] if os.path.lexists(within) else []
    mark = beside / IGNORE_FILE
    return [*folders, beside] if mark.is_file() and mark.read_bytes() == IGNORE_ALL else folders


def _is_one_disk(repository: Repository) -> bool:
    """Tell whether a file can be renamed from git's folder to the work tree: a mount of its own has the same number."""
    probe = repository.git_dir / f"slimfork-probe-{os.getpid()}"
    probe.write_bytes(b"")
    moved = repository.root / f".{probe.name}"
    try:
        probe.rename(moved)
    except OSError:
        return False
    else:
        return True
    finally:
        probe.unlink(missing_ok=True)
        moved.unlink(missing_ok=True)
