"""What an index may send, and for how long: it is somebody else's machine, and its answer is read into memory."""

from __future__ import annotations

import io
import time
from typing import TYPE_CHECKING, Any

import requests

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE_BYTES = 64 << 20  # unpacked; PyPI's list of ultralytics has 0.7 MB
PAGE_SECONDS = 300.0
FILE_SECONDS = 600.0  # for the largest that is pinned, 1.3 MB, that is 2 kB a second
CHUNK = 1 << 14  # bytes that are asked for at once; packed, they may be a thousand times as many


class LimitError(requests.RequestException):
    """An answer is too long, or takes too long."""


class _Body(io.BytesIO):
    """An answer that has been read; requests looks for its cookies where it looks in one that has not."""

    _original_response: Any = None


def session() -> requests.Session:
    """Return a session that reads no more than `PAGE_BYTES` of an answer that is not streamed."""
    made = requests.Session()
    made.hooks["response"].append(_read)
    return made


def _read(response: requests.Response, *_: object, **settings: Any) -> None:
    if settings.get("stream"):
        return
    try:
        body = _Body(b"".join(pieces(response, limit=PAGE_BYTES, seconds=PAGE_SECONDS, decode=True)))
    except BaseException:
        response.close()
        raise
    body._original_response = getattr(response.raw, "_original_response", None)  # noqa: SLF001 - as requests does
    response.raw = body


def pieces(response: requests.Response, *, limit: int, seconds: float, decode: bool) -> Iterator[bytes]:
    """Yield the body of an answer as it comes in.

    Args:
        response: An answer of which nothing was read.
        limit: How many bytes it may have.
        seconds: How long it may take from now on.
        decode: Whether to unpack what is packed for the way.

    Raises:
        LimitError: It has more, or takes longer.
    """
    if decode and "," in response.headers.get("Content-Encoding", ""):
        raise LimitError("it packs its answer more than once")
    end = time.monotonic() + seconds
    read = getattr(response.raw, "read1", response.raw.read)  # the former does not wait for a whole chunk
    size = 0
    while piece := read(CHUNK, decode_content=decode):
        size += len(piece)
        if size > limit:
            raise LimitError(f"it sends more than {limit >> 20} MiB")
        if time.monotonic() > end:
            raise LimitError(f"it has sent {size} bytes in {seconds:g} s, and is not done")
        yield piece
