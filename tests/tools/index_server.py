"""A package index on 127.0.0.1 that speaks the simple API and fails in the ways real ones do."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
import threading
from dataclasses import dataclass, field
from datetime import date
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

from slimfork.releases.pins import Pin

if TYPE_CHECKING:
    from typing import Self

VERSION = "99.0.1"  # no such release: what these tests do cannot be mistaken for the real thing


def tiny_sdist(version: str = VERSION, text: bytes = b"print('hello')\n" * 9000) -> bytes:
    """Return a source distribution, the same bytes every time."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as tar:
        for name in ("PKG-INFO", "ultralytics/__init__.py"):
            member = tarfile.TarInfo(f"ultralytics-{version}/{name}")
            member.size = len(text)
            tar.addfile(member, io.BytesIO(text))
    return gzip.compress(raw.getvalue(), compresslevel=0, mtime=0)


def pin_of(content: bytes, version: str = VERSION, **changes: str | int) -> Pin:
    """Return the pin of a source distribution."""
    facts: dict[str, object] = {
        "upstream": "ultralytics",
        "version": version,
        "filename": f"ultralytics-{version}.tar.gz",
        "sha256": hashlib.sha256(content).hexdigest(),
        "size": len(content),
        "uploaded": date(2030, 1, 2),
        "requires_python": ">=3.8",
    }
    return Pin(**{**facts, **changes})


@dataclass(kw_only=True)
class LocalIndex:
    """The index; its fields may be changed while it serves.

    `claims` overrides the SHA-256 that it lists for a file, `yanked` marks one. `statuses` is used up, one for
    each request; `cut` closes each download after so many bytes; `stall` holds each there until `go_on` is set.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    claims: dict[str, str] = field(default_factory=dict)
    yanked: dict[str, str] = field(default_factory=dict)
    statuses: list[int] = field(default_factory=list)
    html: bool = False
    body: bytes | None = None
    cut: int | None = None
    stall: int | None = None
    encoding: str | None = None
    requests: list[str] = field(default_factory=list)
    stalled: threading.Event = field(default_factory=threading.Event)
    go_on: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        index = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                index.answer(self)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.go_on.set()
        self.server.shutdown()
        self.server.server_close()

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.server.server_port}"

    @property
    def url(self) -> str:
        return f"http://{self.host}/simple"

    def publish(self, content: bytes, version: str = VERSION) -> Pin:
        """Offer a file; return its pin."""
        pin = pin_of(content, version)
        self.files[pin.filename] = content
        return pin

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        self.requests.append(request.path)
        folder, name = request.path.strip("/").split("/", 1)
        if self.statuses and (status := self.statuses.pop(0)) >= 400:
            request.send_error(status)
        elif folder == "simple":
            self._send(request, *self._page(name))
        elif name in self.files:
            self._send(request, self.files[name], "application/octet-stream", part=True)
        else:
            request.send_error(404)

    def _page(self, project: str) -> tuple[bytes, str]:
        if self.body is not None:
            return self.body, "application/vnd.pypi.simple.v1+json"
        entries = [self._entry(name) for name in self.files]
        if self.html:
            links = [f'<a href="{e["url"]}#sha256={e["hashes"]["sha256"]}">{e["filename"]}</a>' for e in entries]
            return "\n".join(links).encode(), "text/html"
        page = {"meta": {"api-version": "1.1"}, "name": project, "versions": [], "files": entries}
        return json.dumps(page).encode(), "application/vnd.pypi.simple.v1+json"

    def _entry(self, name: str) -> dict[str, object]:
        return {
            "filename": name,
            "url": f"http://{self.host}/files/{name}",
            "hashes": {"sha256": self.claims.get(name, hashlib.sha256(self.files[name]).hexdigest())},
            "size": len(self.files[name]),
            "upload-time": "2030-01-02T03:04:05Z",
            "requires-python": ">=3.8",
            "yanked": self.yanked.get(name, False),
        }

    def _send(self, request: BaseHTTPRequestHandler, body: bytes, kind: str, *, part: bool = False) -> None:
        request.send_response(200)
        request.send_header("Content-Type", kind)
        request.send_header("Content-Length", str(len(body)))
        if part and self.encoding:
            request.send_header("Content-Encoding", self.encoding)
        request.end_headers()
        if part and self.stall is not None:
            request.wfile.write(body[: self.stall])
            self.stalled.set()
            self.go_on.wait(60)
            body = body[self.stall :]
        request.wfile.write(body[: self.cut] if part else body)
