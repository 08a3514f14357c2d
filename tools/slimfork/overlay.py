"""What a fork gets beside the patches: the `slim` package and the prune script of its release line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from packaging.version import Version

from slimfork.content import overlay_root

if TYPE_CHECKING:
    from pathlib import Path

# Where `slim` lies in a fork: inside the package where there is one, so that it is installed with it.
SLIM_IN = {"ultralytics": "ultralytics/slim", "yolov5": "slim"}


def overlay_files(upstream: str, version: str) -> dict[str, bytes]:
    """Return path in the fork to content for a release, sorted by path.

    A folder of release-line files is named by its closed range, `<first>..<last>`.
    """
    root = overlay_root()
    files = {f"{SLIM_IN[upstream]}/{name}": data for name, data in _read(root / "slim").items()}
    for line in sorted((root / upstream).iterdir()) if (root / upstream).is_dir() else []:
        first, dots, last = line.name.partition("..")
        if dots and Version(first) <= Version(Version(version).public) <= Version(last):
            files |= _read(line)
    return dict(sorted(files.items()))


def _read(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts  # pip byte-compiles what it installs
    }
