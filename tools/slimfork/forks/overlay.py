"""What a fork gets beside the patches: the `slim` package and the prune script of its release line."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

from packaging.version import Version

from slimfork.releases import pins
from slimfork.terminal.content import overlay_root
from slimfork.terminal.naming import is_tag

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

MANIFEST = "overlay.sha256"
MANIFEST_LINE = re.compile(r"([0-9a-f]{64})  (\S.*)")


def package(upstream: str, version: str) -> str:
    """Return the package that a release installs; empty for YOLOv5's own repository, which is run where it lies."""
    return "" if is_tag(version) else upstream


def slim_folder(upstream: str, version: str) -> str:
    """Return where `slim` lies in a fork: inside the package where there is one, so that it is installed with it."""
    return "/".join(filter(None, [package(upstream, version), "slim"]))


def overlay_files(upstream: str, version: str) -> dict[str, bytes]:
    """Return path in the fork to content for a release, sorted by path, with the manifest of them all.

    A folder of release-line files is named by its closed range, `<first>..<last>`: of versions, or of tags in the order
    of the lock. A version that is newer than all of them gets those of the newest.
    """
    root = overlay_root()
    files: dict[str, bytes] = {}
    for name, content in _read(root / "slim"):
        files[f"{slim_folder(upstream, version)}/{name}"] = content
    for line in _lines(root / upstream, upstream, version):
        files.update(_read(line))
    files[manifest_path(upstream, version)] = write_manifest(digests(files))
    return dict(sorted(files.items()))


def manifest_path(upstream: str, version: str) -> str:
    """Return where the manifest lies in a fork."""
    return f"{slim_folder(upstream, version)}/{MANIFEST}"


def write_manifest(files: Mapping[str, str]) -> bytes:
    """Return the list of what we put into a fork, path to SHA-256, in the form of `sha256sum`.

    It lies in the tree, so that it goes where the files go: through amended, squashed and rebased commits. Which files
    are ours, and as we left them, is told by it and never by the commit that they came in.
    """
    return "".join(f"{known}  {path}\n" for path, known in sorted(files.items())).encode()


def read_manifest(content: bytes) -> dict[str, str]:
    """Return path to SHA-256 of the files of a manifest.

    Raises:
        ValueError: It is not as we write them, such as after a merge; the message has the line.
    """
    files = {}
    lines = content.decode("utf-8", "replace").splitlines() or [""]  # an empty one is damaged, too
    for number, line in enumerate(lines, start=1):
        match = MANIFEST_LINE.fullmatch(line)
        if match is None:
            raise ValueError(f"line {number} is not `<SHA-256>  <path>`")
        files[match[2]] = match[1]
    return files


def digest(content: bytes) -> str:
    """Return the SHA-256 of a content, as a manifest has it."""
    return hashlib.sha256(content).hexdigest()


def digests(files: Mapping[str, bytes]) -> dict[str, str]:
    """Return path to SHA-256 of files."""
    return {path: digest(content) for path, content in files.items()}


def _lines(root: Path, upstream: str, version: str) -> Iterator[Path]:
    """Yield the folders of the release lines that a release is in."""
    lines: list[tuple[Path, Version, Version]] = []
    for folder in sorted(root.glob("*..*")):
        if is_tag(folder.name) == is_tag(version):
            first, last = folder.name.split("..")
            lines.append((folder, _place(upstream, first), _place(upstream, last)))
    if not lines:
        return
    newest = max(last for _, _, last in lines)
    wanted = min(_place(upstream, version), newest)
    for folder, first_place, last_place in lines:
        if first_place <= wanted <= last_place:
            yield folder


def _place(upstream: str, version: str) -> Version:
    """Return where a release stands among those of its kind: a tag by its place in the lock."""
    if not is_tag(version):
        return Version(Version(version).public)
    tags = [pin.version for pin in pins.load(upstream) if pin.is_tag]
    return Version(str(tags.index(version) if version in tags else len(tags)))


def _read(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Yield path, below a folder, and content of its files."""
    for path in folder.rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts:  # pip byte-compiles what it installs
            yield path.relative_to(folder).as_posix(), path.read_bytes()
