"""The package index: what it offers, and its files as bytes. Every failure is one line that names the host."""

from __future__ import annotations

import ast
import math
import os
import re
import socket
import ssl
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

import requests
from packaging.version import InvalidVersion, Version
from pypi_simple import (
    PYPI_SIMPLE_ENDPOINT,
    NoSuchProjectError,
    PyPISimple,
    UnsupportedContentTypeError,
    UnsupportedRepoVersionError,
)
from requests.exceptions import InvalidSchema, InvalidURL, MissingSchema
from urllib3.exceptions import HTTPError as Urllib3Error
from urllib3.exceptions import ProtocolError
from urllib3.exceptions import TimeoutError as Urllib3TimeoutError

from slimfork import __version__
from slimfork.processes.processes import last_line
from slimfork.releases import pins
from slimfork.releases.pins import LARGEST, Pin
from slimfork.releases.transfer import FILE_SECONDS, pieces, session
from slimfork.terminal import ui
from slimfork.terminal.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pypi_simple import DistributionPackage
    from typing_extensions import TypeGuard

T = TypeVar("T")

WAITS = (0.5, 2.0)  # seconds before the second and before the third try
CONNECT_SECONDS = 15.0  # pip's own default for both
READ_SECONDS = 60.0  # a mirror may have to get the file first
READ_SECONDS_MOST = 3600.0  # the clock of a socket ends where numbers of seconds do not
PASSING_STATUS = {408, 429, *range(500, 600)}
REQUEST_CAUSES: tuple[tuple[type[Exception] | tuple[type[Exception], ...], str, bool], ...] = (
    (requests.JSONDecodeError, "it does not answer with JSON, though it says so", False),
    ((InvalidSchema, InvalidURL, MissingSchema), "not an http(s) address", False),
    (ssl.SSLError, "its certificate was not accepted (PIP_CERT names a file of certificates)", False),
    (socket.gaierror, "its name cannot be resolved", True),
    (ConnectionRefusedError, "connection refused", True),
    ((TimeoutError, requests.Timeout, Urllib3TimeoutError), "no answer in time", True),
    ((ConnectionError, requests.ConnectionError, ProtocolError), "the connection was cut", True),
)
UNREADABLE = (UnsupportedContentTypeError, UnsupportedRepoVersionError, ValueError, RecursionError, OverflowError)
OTHER_INDEX = "check the network, or name another index: --index-url URL or PIP_INDEX_URL"


class IndexUnreachableError(UsageError):
    """The index did not answer as it should; `transient` when another try may help."""

    def __init__(self, message: str, *, transient: bool = True) -> None:
        super().__init__(message, hint=OTHER_INDEX)
        self.transient = transient


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """An open connection to a package index."""

    client: PyPISimple
    read_seconds: float

    @property
    def host(self) -> str:
        """The host as a person knows it, without credentials."""
        return _host(self.client.endpoint)

    def sdists(self, project: str) -> list[DistributionPackage]:
        """Return the source distributions (`.tar.gz`) of a project, in the order of the index."""
        timeout = (CONNECT_SECONDS, self.read_seconds)

        def ask() -> list[DistributionPackage]:
            with _plainly(self.client.endpoint, f"the list of {project}"):
                page = self.client.get_project_page(project, timeout=timeout)
            return [p for p in page.packages if p.package_type == "sdist" and p.filename.endswith(".tar.gz")]

        packages = retrying(ask)
        if not packages:
            raise IndexUnreachableError(f"{self.host} offers no source distribution of {project}", transient=False)
        return packages

    def chunks(self, package: DistributionPackage) -> Iterator[bytes]:
        """Yield the bytes of a file as they are on the server."""
        timeout = (CONNECT_SECONDS, self.read_seconds)
        # Some servers declare the gzip of a .tar.gz as transfer encoding; decoding it would change the file.
        plain = {"Accept-Encoding": "identity"}
        get = self.client.s.get
        with (
            _plainly(package.url, package.filename),
            get(package.url, stream=True, timeout=timeout, headers=plain) as response,
        ):
            response.raise_for_status()
            yield from pieces(response, limit=LARGEST, seconds=FILE_SECONDS, decode=False)


@contextmanager
def open_index(index_url: str | None = None) -> Iterator[Index]:
    """Open the index that was named, else the one pip uses (environment, then its files), else the public one."""
    files = {} if index_url or os.environ.get("PIP_INDEX_URL") else _pip_files()
    url = _address(
        index_url or os.environ.get("PIP_INDEX_URL") or files.get("global.index-url") or PYPI_SIMPLE_ENDPOINT
    )
    read_seconds = _read_seconds()
    asking = session()
    asking.headers["User-Agent"] = f"slimfork/{__version__}"
    asking.verify = os.environ.get("PIP_CERT") or files.get("global.cert") or True
    with PyPISimple(url, session=asking) as client:
        yield Index(client=client, read_seconds=read_seconds)


def _address(url: str) -> str:
    """Return the address of an index, or refuse what is none."""
    try:
        parts = urlsplit(url)
        known = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0  # asking for it may raise
    except ValueError:
        known = False
    if not known:
        raise IndexUnreachableError(f"cannot use the index {_host(url)}: not an http(s) address", transient=False)
    return url


def as_pin(upstream: str, package: DistributionPackage) -> Pin:
    """Return the pin of a file that the index offers."""
    sha256 = package.digests.get("sha256")
    if not (package.version and sha256 and package.size):
        lacks = f"{_host(package.url)} gives no SHA-256 or no size for {package.filename}"
        raise UsageError(lacks, hint="an index with the JSON interface (PEP 691 and 700): --index-url URL")
    if package.size > LARGEST or not re.fullmatch(pins.FILENAME, package.filename) or not _is_version(package.version):
        odd = f"{_host(package.url)} offers {package.filename!r} with {package.size} bytes, which is no release"
        raise UsageError(odd, hint="another index: --index-url URL")
    reason = " ".join(_printable(package.yanked_reason or "").split()) or "no reason given"
    return Pin(
        upstream=upstream,
        version=package.version,
        filename=package.filename,
        sha256=sha256,
        size=package.size,
        uploaded=package.upload_time.date() if package.upload_time else None,
        requires_python="".join((package.requires_python or "").split()),
        yanked=reason if package.is_yanked else "",
    )


def offered(upstream: str, version: str, index_url: str | None) -> Pin:
    """Return what an index offers as a release that is not pinned: nobody has reviewed its hash."""
    with open_index(index_url) as index:
        for package in index.sdists(upstream):
            if _is_version(package.version) and Version(package.version) == Version(version):
                return as_pin(upstream, package)
        raise UsageError(f"{upstream} {version} is not on {index.host}", hint=f"apply-patches pins list {upstream}")


def _is_version(text: str | None) -> TypeGuard[str]:
    try:
        return bool(text and Version(text))
    except InvalidVersion:
        return False


def _printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else " " for letter in text)


def retrying(action: Callable[[], T], waits: tuple[float, ...] | None = None) -> T:
    """Run an action, and again after each of `waits` (seconds) while the index fails in a way that may pass."""
    waits = WAITS if waits is None else waits
    try:
        return action()
    except IndexUnreachableError as failure:
        if not (failure.transient and waits):
            raise
    time.sleep(waits[0])
    return retrying(action, waits[1:])


@contextmanager
def _plainly(url: str, what: str) -> Iterator[None]:
    """Turn what can go wrong on the way to `url` into one line."""
    host = _host(url)
    try:
        yield
    except NoSuchProjectError as error:
        raise IndexUnreachableError(f"{host} has no project {error.project}", transient=False) from error
    except requests.HTTPError as error:
        status = error.response.status_code
        passes = status in PASSING_STATUS
        raise IndexUnreachableError(f"{host} answered HTTP {status} for {what}", transient=passes) from error
    except (requests.RequestException, Urllib3Error, OSError) as error:
        reason, passes = _reason(error)
        raise IndexUnreachableError(f"cannot get {what} from {host}: {reason}", transient=passes) from error
    except UNREADABLE as error:
        raise IndexUnreachableError(f"{host} is not a package index that can be read", transient=False) from error


def _reason(error: Exception) -> tuple[str, bool]:
    """Return why a request failed, in words, and whether that may pass."""
    chain: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and link not in chain:
        chain.append(link)
        link = link.__cause__ or link.__context__
    for kinds, reason, passes in REQUEST_CAUSES:
        if any(isinstance(cause, kinds) for cause in chain):
            return reason, passes
    return " ".join(str(error).split()), False


def _host(url: str) -> str:
    """Return the host and port of an address: it may hold a password, which must not be printed."""
    try:
        return urlsplit(url).netloc.rpartition("@")[2] or url
    except ValueError:
        return url.rpartition("@")[2]


def _read_seconds() -> float:
    """Return how long to wait for an answer: people behind slow mirrors have told pip already."""
    text = os.environ.get("PIP_DEFAULT_TIMEOUT") or "0"
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        hint = "unset it, or set it to a number such as 60"
        raise UsageError(f"PIP_DEFAULT_TIMEOUT is {text!r}, and no number of seconds", hint=hint)
    return min(max(READ_SECONDS, seconds), READ_SECONDS_MOST)


def _pip_files() -> dict[str, str]:
    """Return what pip's configuration files say, as `global.index-url` → value; nothing without pip."""
    command = [sys.executable, "-m", "pip", "config", "list"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False, timeout=30)
        if done.returncode and "No module named pip" not in done.stderr:
            ui.note(f"note: pip's configuration cannot be read, and has no say: {last_line(done.stderr, ('ERROR',))}")
        settings = {}
        for line in done.stdout.splitlines():
            name, equals, value = line.partition("=")
            if equals:
                settings[name] = str(ast.literal_eval(value))
    except (OSError, subprocess.SubprocessError, ValueError, SyntaxError, RecursionError, MemoryError):
        return {}
    return settings
