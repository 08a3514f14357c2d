"""One release from the index into the cache: to a temporary name, renamed when size and hash are right."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from slimfork.processes.parts import part_of
from slimfork.releases.index import Index, IndexUnreachableError, open_index, retrying
from slimfork.terminal import ui
from slimfork.terminal.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from pypi_simple import DistributionPackage

    from slimfork.releases.pins import Pin


def fill(path: Path, pin: Pin, index_url: str | None, *, show: bool) -> None:
    """Download a pin to a path; nothing is left there, or beside it, when that fails."""
    with open_index(index_url) as index:
        package = _offered(index, pin)
        retrying(lambda: _download(index, package, pin, path, show=show))


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


def _download(index: Index, package: DistributionPackage, pin: Pin, path: Path, *, show: bool) -> None:
    part = part_of(path)
    digest, size = hashlib.sha256(), 0
    try:
        with part.open("wb") as file, ui.download(f"fetching {pin.spec}", pin.size, show=show) as progress:
            for chunk in index.chunks(package):
                file.write(chunk)
                digest.update(chunk)
                size += len(chunk)
                progress.advance(progress.task_ids[0], len(chunk))
                if size > pin.size:
                    break
        if size < pin.size:
            raise IndexUnreachableError(
                f"the download of {pin.filename} from {index.host} was cut: {size} of {pin.size} bytes"
            )
        if size > pin.size or digest.hexdigest() != pin.sha256:
            raise _wrong_hash(index.host, pin, digest.hexdigest())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _wrong_hash(host: str, pin: Pin, actual: str) -> UsageError:
    message = f"{pin.filename} on {host} is not what is pinned: sha256 {actual[:16]}…, pinned {pin.sha256[:16]}…"
    return UsageError(message, hint="do not use that file; compare with another index: --index-url URL")
