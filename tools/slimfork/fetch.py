"""The cache of source distributions: a file is in it whole, with the pinned hash, or not at all."""

from __future__ import annotations

import hashlib
import os
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import platformdirs
from filelock import FileLock, Timeout

from slimfork import ui
from slimfork.errors import UsageError
from slimfork.index import Index, UnreachableError, open_index, retrying

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pypi_simple import DistributionPackage

    from slimfork.pins import Pin

LOCK_SECONDS = 900  # longer than any download of an sdist (1.3 MB at most): another run hangs


def cache_root() -> Path:
    """Return the cache folder: `SLIMFORK_CACHE`, else where the system keeps caches."""
    named = os.environ.get("SLIMFORK_CACHE")
    return Path(named) if named else Path(platformdirs.user_cache_dir("slimfork", appauthor=False))


def fetch(pin: Pin, *, index_url: str | None = None, cache_dir: Path | None = None) -> Path:
    """Return the path of a pin's source distribution, from the cache or, when it is not there, from the index.

    Args:
        pin: The pin of an artifact.
        index_url: The index to ask; else pip's (`PIP_INDEX_URL`, its configuration), else the public one.
        cache_dir: The folder to keep it in; else `sdists` in `cache_root()`.

    Raises:
        UsageError: The index does not have it, or another file of that name, or cannot be reached, or the
            download was cut. Nothing is left in the cache then.
    """
    if pin.is_tag:
        raise UsageError(f"{pin.spec} is a git tag, not a file on the index", hint=f"{pin.upstream}==VERSION")
    folder = cache_dir or cache_root() / "sdists"
    path = folder / f"{pin.filename.removesuffix('.tar.gz')}-{pin.sha256[:16]}.tar.gz"
    with _writing(folder):
        if _is_whole(path, pin):
            return path
        folder.mkdir(parents=True, exist_ok=True)
        with _alone(path):
            if not _is_whole(path, pin):  # another run may have fetched it while this one waited
                _fill(path, pin, index_url)
    return path


def _fill(path: Path, pin: Pin, index_url: str | None) -> None:
    for left in path.parent.glob(f".{path.name}.*.part"):  # a run was killed outright
        left.unlink(missing_ok=True)
    with open_index(index_url) as index:
        package = _offered(index, pin)
        retrying(lambda: _download(index, package, pin, path))


def _offered(index: Index, pin: Pin) -> DistributionPackage:
    """Return what the index offers under the pin's file name, if it claims the pinned hash."""
    refresh = f"apply-patches pins refresh {pin.upstream}, or another index: --index-url URL"
    for package in index.sdists(pin.upstream):
        if package.filename == pin.filename:
            claimed = package.digests.get("sha256", pin.sha256)
            if claimed != pin.sha256:
                raise _wrong_hash(index.host, pin, claimed)
            return package
    why = f" (it was yanked: {pin.yanked})" if pin.yanked else ""
    raise UsageError(f"{pin.filename} is not on {index.host}{why}", hint=refresh)


def _download(index: Index, package: DistributionPackage, pin: Pin, path: Path) -> None:
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    digest, size = hashlib.sha256(), 0
    try:
        with part.open("wb") as file, ui.download(f"fetching {pin.spec}", pin.size) as progress:
            for chunk in index.chunks(package):
                file.write(chunk)
                digest.update(chunk)
                size += len(chunk)
                progress.advance(progress.task_ids[0], len(chunk))
                if size > pin.size:
                    break
        if size < pin.size:
            raise UnreachableError(
                f"the download of {pin.filename} from {index.host} was cut: {size} of {pin.size} bytes"
            )
        if size > pin.size or digest.hexdigest() != pin.sha256:
            raise _wrong_hash(index.host, pin, digest.hexdigest())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _wrong_hash(host: str, pin: Pin, found: str) -> UsageError:
    message = f"{pin.filename} on {host} is not what is pinned: sha256 {found[:16]}…, pinned {pin.sha256[:16]}…"
    return UsageError(message, hint="do not use that file; compare with another index: --index-url URL")


def _is_whole(path: Path, pin: Pin) -> bool:
    """Whether the cached file is there with the pinned size and hash."""
    if not path.is_file():
        return False
    content = path.read_bytes()
    if len(content) == pin.size and hashlib.sha256(content).hexdigest() == pin.sha256:
        return True
    ui.note(f"note: {path} is damaged; fetching it again")
    return False


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Hold the lock of a cached file, so that two runs do not fetch it at once."""
    lock = FileLock(path.with_name(f".{path.name}.lock"))
    try:
        lock.acquire(timeout=1)
    except Timeout:
        ui.note(f"waiting for another run that fetches {path.name}")
        try:
            lock.acquire(timeout=LOCK_SECONDS)
        except Timeout as error:
            hint = f"end it, or delete {lock.lock_file}"
            raise UsageError(f"another run has been fetching {path.name} for too long", hint=hint) from error
    try:
        yield
    finally:
        # Under the lock: who waits for it notices that the file is gone and makes a new one (filelock does).
        with suppress(OSError):  # Windows refuses while it is open; filelock deletes it there
            Path(lock.lock_file).unlink(missing_ok=True)
        lock.release()


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    """Turn a full disk or a cache that is not ours into one line."""
    try:
        yield
    except OSError as error:
        hint = "free some space, or name another folder in SLIMFORK_CACHE"
        raise UsageError(f"cannot use the cache {folder}: {error.strerror or error}", hint=hint) from error
