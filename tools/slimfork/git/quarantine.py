"""Objects that were written aside, moved into a repository as git itself moves what it has received.

A program that is killed while it writes objects leaves `tmp_pack_*` and `tmp_obj_*` where it wrote them, and git waits
two weeks before it clears those away. Written aside they go with the folder, and what is moved here is whole.
"""

from __future__ import annotations

import errno
import shutil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

# git sees a pack by its index: that comes last.
ORDER = {".keep": 0, ".pack": 1, ".rev": 2, ".idx": 4}
OTHER_SUFFIX = 3


def move_objects(source: Path, target: Path) -> None:
    """Move the packs and loose objects of one object folder into another, each in one step."""
    for folder in sorted(path for path in source.iterdir() if path.is_dir() and path.name != "info"):
        there = target / folder.name
        there.mkdir(exist_ok=True)
        for file in sorted(folder.iterdir(), key=_order):
            if not file.name.startswith("tmp_"):
                _move(file, there / file.name)


def _order(file: Path) -> tuple[int, str]:
    return ORDER.get(file.suffix, OTHER_SUFFIX), file.name


def _move(file: Path, target: Path) -> None:
    """Move one file; where there is one of that name it has the same content, since the name is a hash of it."""
    if target.exists():
        return
    try:
        file.replace(target)
    except OSError as error:
        if error.errno != errno.EXDEV:  # the folder of objects may be a link to another disk
            raise
        part = target.with_name(f"tmp_obj_{target.name}")
        shutil.copy2(file, part)
        part.replace(target)
