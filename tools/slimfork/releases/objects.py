"""A commit as a file of the cache: what `git cat-file --batch` prints of it, gzipped. Its hash proves every byte.

A commit's hash is the hash of its text, which names the hash of its tree, which names those of its files: so nothing
but the pinned commit is needed to tell whether the file is what was published, and git is not needed to read it.
"""

from __future__ import annotations

import hashlib
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from slimfork.git.gitout import EXECUTABLE, SYMLINK
from slimfork.releases.archive import File, name_fault, unzip
from slimfork.terminal.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import date
    from pathlib import Path

    Objects = Mapping[str, tuple[str, bytes]]

SUBTREE, SUBMODULE = "40000", "160000"  # as git writes them in a tree
HASH_BYTES = 20


def read_commit(path: Path, commit: str) -> dict[str, File]:
    """Return the files of a commit by their path.

    Links and submodules are left out: what a checkout makes of a link depends on the system, and a submodule is no
    content of the commit. Everything else is kept byte for byte.

    Raises:
        UsageError: The file is damaged, is another commit, or holds a path that no release has.
    """
    try:
        objects = parse_batch(unzip(path))
        files = sorted(_files(objects, _tree_of(objects, commit), ""))
    except RecursionError as error:
        raise _refuse(path, "has folders within folders without end") from error
    except (KeyError, ValueError) as error:
        raise _refuse(path, f"is not commit {commit[:12]}: {error} is missing or damaged") from error
    for name, _, _ in files:
        if fault := name_fault(name):
            raise _refuse(path, f"has a file that {fault}: {name!r}")
    return {name: File(content=objects[blob][1], executable=mode == EXECUTABLE) for name, mode, blob in files}


def commit_date(path: Path, commit: str) -> date:
    """Return the day (UTC) on which a commit that is whole was committed."""
    _, text = parse_batch(unzip(path))[commit]
    line = next(line for line in text.split(b"\n\n")[0].splitlines() if line.startswith(b"committer "))
    return datetime.fromtimestamp(int(line.split()[-2]), timezone.utc).date()


def _refuse(path: Path, why: str) -> UsageError:
    return UsageError(f"{path.name} {why}", hint=f"nothing was unpacked; do not use {path}")


def parse_batch(data: bytes) -> dict[str, tuple[str, bytes]]:
    """Parse `git cat-file --batch`: hash to kind and content, each of them with the hash that it has."""
    objects: dict[str, tuple[str, bytes]] = {}
    at = 0
    while at < len(data):
        end = data.find(b"\n", at)
        header = data[at:end].decode("ascii", "replace").split()
        if end < 0 or len(header) != 3 or not header[2].isdigit():  # noqa: PLR2004 - hash, kind, size
            raise ValueError(" ".join(header)[:60])
        name, kind, size = header[0], header[1], int(header[2])
        content = data[end + 1 : end + 1 + size]
        if object_hash(kind, content) != name:
            raise ValueError(name)
        objects[name] = kind, content
        at = end + 1 + size + 1
    return objects


def object_hash(kind: str, content: bytes) -> str:
    """Return the name that git gives an object."""
    return hashlib.sha1(f"{kind} {len(content)}\0".encode() + content, usedforsecurity=False).hexdigest()


def _tree_of(objects: Objects, commit: str) -> str:
    kind, text = objects[commit]
    first, _, _ = text.partition(b"\n")
    if kind != "commit" or not first.startswith(b"tree "):
        raise ValueError(commit)
    return first.removeprefix(b"tree ").decode("ascii")


def _files(objects: Objects, tree: str, folder: str) -> Iterator[tuple[str, str, str]]:
    """Yield path, mode and blob of every plain file below a tree."""
    kind, rest = objects[tree]
    if kind != "tree":
        raise ValueError(tree)
    while rest:
        mode, _, rest = rest.partition(b" ")
        name, _, rest = rest.partition(b"\0")
        sha, rest = rest[:HASH_BYTES].hex(), rest[HASH_BYTES:]
        path = folder + name.decode("utf-8", "surrogateescape")
        if mode.decode() == SUBTREE:
            yield from _files(objects, sha, f"{path}/")
        elif mode.decode() not in {SYMLINK, SUBMODULE}:
            if objects[sha][0] != "blob":
                raise ValueError(sha)
            yield path, mode.decode(), sha
