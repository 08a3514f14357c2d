"""Reading a source distribution: everything in it is checked before anything of it is used."""

from __future__ import annotations

import gzip
import io
import re
import tarfile
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from slimfork.terminal.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

MAX_BYTES = 512 << 20  # unpacked; 8.4.190 has 4.6 MB
MAX_MEMBERS = 50_000  # 8.4.190 has 438


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A file of a release."""

    content: bytes
    executable: bool


def contents_of(files: Mapping[str, File]) -> dict[str, bytes]:
    """Return path to content of files, in their order."""
    return {path: file.content for path, file in files.items()}


def read_sdist(path: Path) -> dict[str, File]:
    """Return the files of a source distribution by their path below its one top folder.

    `*.egg-info` is left out: it is generated, and an editable install would change it in the fork's tree.
    Everything else is kept byte for byte. Any link is refused, also one that stays inside: no release has
    any, and what a checkout makes of one depends on the system. `tarfile` only lists the members: it extracts none,
    so that its filters, which Python 3.11.2 has not (Debian 12's), would add nothing to the checks here.

    Raises:
        UsageError: The archive is damaged, or a member is not a plain file or folder below one top folder.
    """
    data = unzip(path)
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as tar:
            members = _members(tar, path)
            _check_end(data, members, path)
            files = _files(data, members)
    except (tarfile.TarError, EOFError, ValueError, OverflowError) as error:
        raise _refuse(path, f"is not a whole tar archive ({error})") from error
    except RecursionError as error:  # tarfile follows headers that each announce another one
        raise _refuse(path, "has headers upon headers") from error
    if not files:
        raise _refuse(path, "holds no files")
    return files


def _refuse(path: Path, why: str) -> UsageError:
    return UsageError(f"{path.name} {why}", hint=f"nothing was unpacked; do not use {path}")


def unzip(path: Path) -> bytes:
    """Return what a gzip file holds, or refuse one that is damaged or unpacks to too much."""
    try:
        with gzip.open(path) as stream:
            data = stream.read(MAX_BYTES + 1)
    except (EOFError, zlib.error, OSError) as error:
        raise _refuse(path, f"is not a whole gzip file ({error})") from error
    if len(data) > MAX_BYTES:
        raise _refuse(path, f"unpacks to more than {MAX_BYTES >> 20} MiB")
    return data


def _members(tar: tarfile.TarFile, path: Path) -> list[tarfile.TarInfo]:
    """Return the members, each of them checked by itself and against those before it."""
    members: list[tarfile.TarInfo] = []
    seen: dict[str, bool] = {}  # name: whether it is a file
    for member in tar:
        why = _fault(member) or _misplaced(member, seen)
        if why:
            raise _refuse(path, f"has a member that {why}: {member.name!r}")
        seen[member.name] = member.isreg()
        members.append(member)
        if len(members) > MAX_MEMBERS:
            raise _refuse(path, f"has more than {MAX_MEMBERS} members")
    for name in seen:
        if any(map(seen.get, folders_above(name))):
            raise _refuse(path, f"has a member that lies below a file: {name!r}")
    return members


def folders_above(name: str) -> Iterator[str]:
    """Yield the folders that a member lies in, from the inside out."""
    folder = name.rpartition("/")[0]
    while folder:
        yield folder
        folder = folder.rpartition("/")[0]


def name_fault(name: str) -> str | None:
    """Return what is wrong with the path of a file, wherever it comes from."""
    parts = name.split("/")
    faults = {
        "has an unprintable name": not name.isprintable(),
        "has an absolute path": name.startswith("/"),
        "has a drive letter": bool(re.match(r"[A-Za-z]:", name)),
        "has a backslash": "\\" in name,
        "climbs out with ..": ".." in parts,
        "has no plain path": "" in parts or "." in parts,
        "would write into git's own folder": ".git" in map(str.casefold, parts),
    }
    for words, holds in faults.items():
        if holds:
            return words
    return None


def _fault(member: tarfile.TarInfo) -> str | None:
    """Return what is wrong with a member by itself."""
    if fault := name_fault(member.name):
        return fault
    if member.issym() or member.islnk():
        return f"is a link to {member.linkname!r}"
    if member.issparse() or not (member.isreg() or member.isdir()):
        return "is neither a plain file nor a folder"
    return None


def _misplaced(member: tarfile.TarInfo, seen: dict[str, bool]) -> str | None:
    """Return what is wrong with a member beside the members before it."""
    top, _, below = member.name.partition("/")
    if member.name in seen:
        return "comes twice"
    if seen and top != next(iter(seen)).partition("/")[0]:
        return "is not in the one top folder"
    if not below and member.isreg():
        return "is beside the top folder, not in it"
    return None


def _check_end(data: bytes, members: list[tarfile.TarInfo], path: Path) -> None:
    """Refuse what tarfile takes for the end but is a damaged header, or an archive that just stops."""
    end = 0
    for member in members:
        blocks = -(-member.size // tarfile.BLOCKSIZE) if member.isreg() else 0
        end = member.offset_data + blocks * tarfile.BLOCKSIZE
    rest = data[end:]
    if len(rest) < tarfile.BLOCKSIZE or rest.strip(b"\0"):
        last = f" after {members[-1].name!r}" if members else ""
        raise _refuse(path, f"is not a whole tar archive: it is cut or damaged{last}")


def _files(data: bytes, members: list[tarfile.TarInfo]) -> dict[str, File]:
    files = {}
    for member in members:
        name = member.name.partition("/")[2]
        generated = any(folder.endswith(".egg-info") for folder in folders_above(name))
        if member.isreg() and not generated:
            content = data[member.offset_data : member.offset_data + member.size]
            files[name] = File(content=content, executable=bool(member.mode & 0o100))
    return files
