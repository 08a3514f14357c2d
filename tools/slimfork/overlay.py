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

    A folder of release-line files is named by its closed range, `<first>..<last>`. A version that is newer than all
    of them gets those of the newest.
    """
    root = overlay_root()
    files = {f"{SLIM_IN[upstream]}/{name}": data for name, data in _read(root / "slim").items()}
    lines = {line: [Version(end) for end in line.name.split("..")] for line in sorted((root / upstream).glob("*..*"))}
    wanted = min([Version(Version(version).public), max([last for _, last in lines.values()], default=Version("0"))])
    for line, (first, last) in lines.items():
        if first <= wanted <= last:
            files |= _read(line)
    return dict(sorted(files.items()))


def _read(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts  # pip byte-compiles what it installs
    }
