"""An index, and what is said about it in the environment, may be anything: one line, exit code 2, and a limit."""

from __future__ import annotations

import gzip
import json
import time

import pytest

from slimfork.releases import pins, transfer
from slimfork.terminal import content
from tests.tools.index_server import LocalIndex, tiny_sdist

JSON = "application/vnd.pypi.simple.v1+json"
START = b'{"meta": {"api-version": "1.1"}, "name": "ultralytics", "files": '


class Strange(LocalIndex):
    """An index whose page is sent piece by piece, with a header of its own."""

    def __init__(self, pieces, encoding=None):
        super().__init__()
        self.pieces, self.packed = pieces, encoding

    def answer(self, request):
        request.send_response(200)
        request.send_header("Content-Type", JSON)
        if self.packed:
            request.send_header("Content-Encoding", self.packed)
        request.end_headers()
        try:
            for piece in self.pieces():
                request.wfile.write(piece)
        except OSError:  # the reader has had enough
            pass


@pytest.fixture
def refused(call, monkeypatch, tmp_path):
    """Refresh the pins from an index, and return what is said: one line and a hint, and the lock is as it was."""
    monkeypatch.setenv("SLIMFORK_CACHE", str(tmp_path / "cache"))
    lock = content.patches_root() / "ultralytics.lock"
    before = lock.read_bytes()

    def check(url):
        outcome = call("pins", "refresh", "ultralytics", "--index-url", url)
        assert (outcome.code, outcome.out) == (2, "")
        assert [line[:6] for line in outcome.err.splitlines()] == ["error:", "  try:"], outcome.err
        assert lock.read_bytes() == before
        return outcome.err

    return check


def endless():
    while True:
        yield b" " * (1 << 20)


def test_a_page_without_end_is_read_up_to_a_limit(refused):
    with Strange(endless) as index:
        assert "it sends more than 64 MiB" in refused(index.url)


def test_a_page_that_unpacks_without_end_is_no_better(refused):
    bomb = gzip.compress(bytes(transfer.PAGE_BYTES + 1))
    assert len(bomb) < 1 << 17
    with Strange(lambda: [bomb], "gzip") as index:
        assert "it sends more than 64 MiB" in refused(index.url)
    with Strange(lambda: [gzip.compress(bomb)], "gzip, gzip") as index:
        assert "it packs its answer more than once" in refused(index.url)


def test_a_page_that_drips_is_given_up(refused, monkeypatch):
    monkeypatch.setattr(transfer, "PAGE_SECONDS", 0.3)

    def drops():
        for _ in range(200):
            time.sleep(0.05)
            yield b" "

    start = time.monotonic()
    with Strange(drops) as index:
        assert "and is not done" in refused(index.url)
    assert time.monotonic() - start < 5


@pytest.mark.parametrize(
    "page", [START + b"[" * 200_000, b'{"a":' * 100_000, START + b"[1, 2]}", START + b'"x"}', b"[]"]
)
def test_a_page_of_strange_json_is_refused(refused, page):
    with Strange(lambda: [page]) as index:
        refused(index.url)


def offer(**changes):
    entry = {
        "filename": "ultralytics-99.0.1.tar.gz",
        "url": "http://127.0.0.1:9/x",
        "hashes": {"sha256": "0" * 64},
        "size": 10,
        "upload-time": "2030-01-02T03:04:05Z",
        **changes,
    }
    return START + json.dumps([entry]).encode() + b"}"


@pytest.mark.parametrize(
    "changes",
    [
        {"filename": "../../ultralytics-99.0.1.tar.gz"},
        {"filename": "ultralytics-\x1b[31m.tar.gz"},
        {"filename": "ultralytics-latest.tar.gz"},
        {"size": pins.LARGEST + 1},
        {"size": -1},
        {"hashes": {"sha256": "short"}},
        {"requires-python": "\x1b]0;title\x07"},
    ],
)
def test_a_file_that_no_release_is_cannot_be_pinned(call, refused, changes):
    with Strange(lambda: [offer(**changes)]) as index:
        said = refused(index.url)
        assert "\x1b" not in said
        added = call("pins", "add", "ultralytics==99.0.1", "--index-url", index.url)
        assert added.code == 2
        assert "bug" not in added.err


@pytest.mark.parametrize(
    "url",
    [
        *("http://[::1", "http://[", "http://]", "http://h:99999999", "http://h:port", "http://", "//h", "h", ":", "%"),
        *("ftp://h/simple", "file:///simple", "http:///simple", "http://ann:secret@[::1", "\x1b[31mred"),
    ],
)
def test_an_address_that_is_none_is_refused_before_anybody_is_asked(refused, url, monkeypatch):
    said = refused(url)
    assert "not an http(s) address" in said
    assert "secret" not in said
    assert "\x1b" not in said
    monkeypatch.setenv("PIP_INDEX_URL", url)
    refused("")


@pytest.mark.parametrize("seconds", ["1e999", "inf", "-inf", "nan", "-1", "abc", "1 minute", "\x1b[31m", "0x10"])
def test_a_timeout_that_is_no_number_of_seconds_is_refused(refused, monkeypatch, seconds):
    monkeypatch.setenv("PIP_DEFAULT_TIMEOUT", seconds)
    with LocalIndex() as index:
        said = refused(index.url)
    assert "PIP_DEFAULT_TIMEOUT" in said
    assert index.requests == []


@pytest.mark.parametrize("seconds", ["", "0", "180", "2.5", "1e300"])
def test_any_number_of_seconds_is_a_timeout(call, monkeypatch, seconds):
    monkeypatch.setenv("PIP_DEFAULT_TIMEOUT", seconds)
    with LocalIndex() as index:
        index.publish(tiny_sdist())
        outcome = call("pins", "refresh", "ultralytics", "--dry-run", "--index-url", index.url)
    assert outcome.code == 0, outcome.err
    assert "added     ultralytics==99.0.1" in outcome.out


@pytest.mark.parametrize(
    "proxy", ["http://[::1", "::::", "http://proxy.invalid:port", "ftp://h", "http://", "\x1b[31m"]
)
def test_a_proxy_that_is_none_is_one_line(refused, monkeypatch, proxy):
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("slimfork.releases.index.WAITS", ())
    monkeypatch.setenv("http_proxy", proxy)
    assert "\x1b" not in refused("http://index.invalid/simple")
