"""The cache of releases: a source distribution or a commit is in it whole, with the pinned hash, or not at all."""

from __future__ import annotations

import hashlib
import os
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import platformdirs
from filelock import FileLock, Timeout

from slimfork.processes.parts import clear_parts
from slimfork.releases.archive import File, read_sdist
from slimfork.releases.objects import read_commit
from slimfork.terminal import ui
from slimfork.terminal.errors import UsageError
from slimfork.terminal.paths import expanded

if TYPE_CHECKING:
    from collections.abc import Iterator

    from slimfork.releases.pins import Pin

Files = dict[str, File]

LOCK_SECONDS = 900  # longer than any download of an sdist (1.3 MB at most): another run hangs


def cache_root() -> Path:
    """Return the cache folder: `SLIMFORK_CACHE`, else where the system keeps caches."""
    named = os.environ.get("SLIMFORK_CACHE")
    if named:
        return expanded(named).absolute()
    path = Path(platformdirs.user_cache_dir("slimfork", appauthor=False))
    if not path.is_absolute():  # "~" stays "~" where no home folder is known, and would become a folder's name
        lacks = f"{path} is no place for downloads: no home folder is known, or XDG_CACHE_HOME is relative"
        raise UsageError(lacks, hint="name a folder: SLIMFORK_CACHE=FOLDER")
    return path


def fetch(
    pin: Pin,
    *,
    index_url: str | None = None,
    git: str | None = None,
    cache_dir: Path | None = None,
    show: bool = True,
) -> Path:
    """Return the path of a pin's file in the cache; it is fetched when it is not there.

    Args:
        pin: A source distribution (`.tar.gz`), or a tag, of which the commit is kept (see `objects`).
        index_url: The index to ask; else pip's (`PIP_INDEX_URL`, its configuration), else the public one.
        git: The repository to ask for a tag; else that of `SLIMFORK_YOLOV5_GIT`, else the official one.
        cache_dir: The folder to keep it in; else `sdists` or `commits` in `cache_root()`.
        show: Whether to draw the progress of a download.

    Raises:
        UsageError: The index or the repository does not have it, or another file of that name, or cannot be reached,
            or the download was cut. Nothing is left in the cache then.
    """
    folder = cache_dir or cache_root() / ("commits" if pin.is_tag else "sdists")
    path = folder / _name(pin)
    with _writing(folder):
        if _is_whole(path, pin):
            return path
        folder.mkdir(parents=True, exist_ok=True)
        with _alone(path):
            if not _is_whole(path, pin):  # another run may have fetched it while this one waited
                _fill(path, pin, index_url, git, show=show)
    return path


def is_cached(pin: Pin) -> bool:
    """Tell whether the cache has a file of a pin; whether it is whole is for `fetch` to say."""
    return (cache_root() / ("commits" if pin.is_tag else "sdists") / _name(pin)).is_file()


def release_files(pin: Pin, *, index_url: str | None = None, git: str | None = None, show: bool = True) -> Files:
    """Return the files of a release by their path, from the cache or from where `fetch` gets them."""
    return unpack(fetch(pin, index_url=index_url, git=git, show=show), pin)


def unpack(path: Path, pin: Pin) -> Files:
    """Return the files of a release by their path, from what `fetch` has returned."""
    return read_commit(path, pin.commit) if pin.is_tag else read_sdist(path)


def _name(pin: Pin) -> str:
    stem = f"{pin.upstream}-{pin.version}" if pin.is_tag else pin.filename.removesuffix(".tar.gz")
    return f"{stem}-{pin.proof[:16]}{'.objects.gz' if pin.is_tag else '.tar.gz'}"


def _fill(path: Path, pin: Pin, index_url: str | None, git: str | None, *, show: bool) -> None:
    clear_parts(path.parent)
    _clear_locks(path.parent, held=_lock_of(path))
    # The index client and GitPython take a quarter of a second to import, and a release in the cache needs neither.
    if pin.is_tag:
        from slimfork.releases import clone  # noqa: PLC0415

        clone.fill(path, pin, git, show=show)
    else:
        from slimfork.releases import download  # noqa: PLC0415

        download.fill(path, pin, index_url, show=show)


def _is_whole(path: Path, pin: Pin) -> bool:
    """Whether the cached file is there with the pinned size and hash."""
    if not path.is_file():
        return False
    if pin.is_tag:
        with suppress(UsageError):
            return bool(read_commit(path, pin.commit))
    else:
        content = path.read_bytes()
        if len(content) == pin.size and hashlib.sha256(content).hexdigest() == pin.sha256:
            return True
    ui.note(f"note: {path} is damaged; fetching it again")
    return False


def _lock_of(path: Path) -> Path:
    return path.with_name(f".{path.name}.lock")


def _clear_locks(folder: Path, *, held: Path) -> None:
    """Remove the lock files of runs that were killed: nobody holds them. One is ours."""
    for file in folder.glob(".*.lock"):
        if file != held:
            with suppress(Timeout, OSError), FileLock(file, timeout=0):
                file.unlink(missing_ok=True)


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Hold the lock of a cached file, so that two runs do not fetch it at once."""
    lock = FileLock(_lock_of(path))
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
