"""The cache holds a file whole, with the pinned hash, or not at all; each failure is one line.

Also of: `slimfork.releases.download`, `slimfork.processes.seconds`.
"""

from __future__ import annotations

import socket
import threading
from dataclasses import replace

import pytest

from slimfork.releases import fetch, index
from slimfork.releases.index import open_index
from slimfork.releases.pins import find
from slimfork.terminal.errors import UsageError
from tests.tools.index_server import VERSION, LocalIndex, pin_of, tiny_sdist

SDIST = tiny_sdist()


@pytest.fixture(autouse=True)
def own_settings(monkeypatch):
    monkeypatch.setattr(index, "WAITS", (0.01, 0.01))
    for name in ("PIP_INDEX_URL", "SLIMFORK_CACHE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def local():
    with LocalIndex() as server:
        yield server


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache"


def refusal(pin, url, cache):
    """Return the error of a fetch that fails, after checking that it left nothing."""
    with pytest.raises(UsageError) as caught:
        fetch.fetch(pin, index_url=url, cache_dir=cache)
    assert caught.value.code == 2
    assert caught.value.hint
    assert "\n" not in caught.value.message
    assert not cache.exists() or list(cache.iterdir()) == []
    return caught.value.message


@pytest.mark.parametrize("html", [False, True], ids=["json", "html"])
def test_a_release_is_fetched_once(local, cache, html):
    local.html = html
    pin = local.publish(SDIST)
    path = fetch.fetch(pin, index_url=local.url, cache_dir=cache)
    assert path.read_bytes() == SDIST
    assert list(cache.iterdir()) == [path]
    assert path.name == f"ultralytics-{VERSION}-{pin.sha256[:16]}.tar.gz"
    asked = len(local.requests)
    assert fetch.fetch(pin, index_url=local.url, cache_dir=cache) == path
    assert len(local.requests) == asked == 2


def test_the_real_release_is_what_is_pinned():
    pin = find("ultralytics==8.4.190")
    path = fetch.fetch(pin)
    assert path.stat().st_size == pin.size == 1283701
    assert fetch.fetch(pin, index_url="http://127.0.0.1:1") == path  # no network for what is in the cache


def test_the_index_is_the_argument_else_pips(local, cache, monkeypatch, tmp_path):
    pin = local.publish(SDIST)
    monkeypatch.setenv("PIP_INDEX_URL", local.url)
    assert fetch.fetch(pin, cache_dir=cache / "a").read_bytes() == SDIST
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:1/simple")
    assert fetch.fetch(pin, index_url=local.url, cache_dir=cache / "b").read_bytes() == SDIST
    monkeypatch.delenv("PIP_INDEX_URL")
    (tmp_path / "pip.conf").write_text(f"[global]\nindex-url = {local.url}\n")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "pip.conf"))
    assert fetch.fetch(pin, cache_dir=cache / "c").read_bytes() == SDIST


def test_the_certificates_are_those_pip_was_told(monkeypatch):
    monkeypatch.setenv("PIP_CERT", "some.pem")
    with open_index("http://127.0.0.1:1") as opened:
        assert opened.client.s.verify == "some.pem"


def test_the_cache_is_where_the_environment_says(local, monkeypatch, tmp_path):
    monkeypatch.setenv("SLIMFORK_CACHE", str(tmp_path / "here"))
    path = fetch.fetch(local.publish(SDIST), index_url=local.url)
    assert path.parent == tmp_path / "here" / "sdists"


@pytest.mark.parametrize("damage", [SDIST[:100], SDIST[:-1] + b"?", b""], ids=["cut", "changed", "empty"])
def test_a_damaged_copy_in_the_cache_is_not_used(local, cache, damage, capsys):
    pin = local.publish(SDIST)
    path = fetch.fetch(pin, index_url=local.url, cache_dir=cache)
    path.write_bytes(damage)
    assert fetch.fetch(pin, index_url=local.url, cache_dir=cache).read_bytes() == SDIST
    assert "is damaged; fetching it again" in capsys.readouterr().err


def test_a_file_with_another_hash_is_refused_before_it_is_fetched(local, cache):
    pin = replace(local.publish(SDIST), sha256="0" * 64)
    message = refusal(pin, local.url, cache)
    assert f"{pin.filename} on {local.host} is not what is pinned" in message
    assert not any(path.startswith("/files") for path in local.requests)


@pytest.mark.parametrize("served", [SDIST[:-1] + b"?", SDIST + b"more"], ids=["changed", "longer"])
def test_a_server_that_lies_about_the_hash_is_refused(local, cache, served):
    pin = pin_of(SDIST)
    local.files[pin.filename] = served
    local.claims[pin.filename] = pin.sha256
    assert "is not what is pinned" in refusal(pin, local.url, cache)


@pytest.mark.parametrize("cut", [0, 1, len(SDIST) // 2, len(SDIST) - 1])
def test_a_cut_download_is_refused(local, cache, cut):
    pin = local.publish(SDIST)
    local.cut = cut
    assert f"cannot get {pin.filename} from {local.host}: the connection was cut" in refusal(pin, local.url, cache)
    assert local.requests.count(f"/files/{pin.filename}") == 3


def test_a_shorter_file_is_refused(local, cache):
    pin = pin_of(SDIST)
    local.files[pin.filename] = SDIST[:1000]
    local.claims[pin.filename] = pin.sha256
    assert f"was cut: 1000 of {pin.size} bytes" in refusal(pin, local.url, cache)


def test_the_bytes_are_taken_as_they_are(local, cache):
    local.encoding = "gzip"  # a .tar.gz declared so would be unpacked on the way by most clients
    assert fetch.fetch(local.publish(SDIST), index_url=local.url, cache_dir=cache).read_bytes() == SDIST


def test_a_passing_failure_is_tried_again(local, cache):
    pin = local.publish(SDIST)
    local.statuses = [503, 502, 200, 500, 429, 200]
    assert fetch.fetch(pin, index_url=local.url, cache_dir=cache).read_bytes() == SDIST
    assert len(local.requests) == 6


@pytest.mark.parametrize(("status", "tries"), [(503, 3), (500, 3), (403, 1), (401, 1)])
def test_a_server_error_is_refused(local, cache, status, tries):
    pin = local.publish(SDIST)
    local.statuses = [status] * 9
    assert f"{local.host} answered HTTP {status} for the list of ultralytics" in refusal(pin, local.url, cache)
    assert len(local.requests) == tries


def test_a_listed_file_that_is_not_there_is_refused(local, cache):
    pin = local.publish(SDIST)
    local.statuses = [200, 404]
    assert f"{local.host} answered HTTP 404 for {pin.filename}" in refusal(pin, local.url, cache)


def test_a_project_that_is_not_there_is_refused(local, cache):
    local.statuses = [404]
    assert f"{local.host} has no project ultralytics" in refusal(pin_of(SDIST), local.url, cache)


def test_a_release_that_is_not_there_is_refused(local, cache):
    local.publish(SDIST, "99.0.2")
    assert f"ultralytics-{VERSION}.tar.gz is not on {local.host}" in refusal(pin_of(SDIST), local.url, cache)
    yanked = pin_of(SDIST, yanked="eats weights")
    assert f"is not on {local.host} (it was yanked: eats weights)" in refusal(yanked, local.url, cache)


@pytest.mark.parametrize("body", [b"<h1>Welcome</h1>", b"[]", b'{"files": 3}'])
def test_something_else_than_an_index_is_refused(local, cache, body):
    local.body = body
    message = refusal(pin_of(SDIST), local.url, cache)
    assert local.host in message
    assert len(local.requests) == 1


def test_an_empty_index_is_refused(local, cache):
    assert f"{local.host} offers no source distribution of ultralytics" in refusal(pin_of(SDIST), local.url, cache)


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_a_refused_connection_is_one_line(cache):
    host = f"127.0.0.1:{closed_port()}"
    message = refusal(pin_of(SDIST), f"http://{host}/simple", cache)
    assert message == f"cannot get the list of ultralytics from {host}: connection refused"


def test_a_name_that_cannot_be_resolved_is_one_line(cache, monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    message = refusal(pin_of(SDIST), "http://index.invalid/simple", cache)
    assert message == "cannot get the list of ultralytics from index.invalid: its name cannot be resolved"


def test_a_server_that_does_not_answer_is_one_line(local, cache, monkeypatch):
    pin = local.publish(SDIST)
    local.stall = 10
    monkeypatch.setattr(index, "READ_SECONDS", 0.1)
    monkeypatch.setenv("PIP_DEFAULT_TIMEOUT", "0")
    assert refusal(pin, local.url, cache).endswith("no answer in time")


@pytest.mark.parametrize("url", ["index", "ftp://127.0.0.1/simple", "file:///simple", "http://"])
def test_an_address_that_is_none_is_one_line(cache, url):
    assert "not an http(s) address" in refusal(pin_of(SDIST), url, cache)


def test_a_password_in_the_address_is_not_printed(cache):
    message = refusal(pin_of(SDIST), f"http://me:secret@127.0.0.1:{closed_port()}/simple", cache)
    assert "secret" not in message


def test_certificates_that_are_not_there_are_one_line(cache, monkeypatch):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere.pem")
    message = refusal(pin_of(SDIST), f"https://127.0.0.1:{closed_port()}/simple", cache)
    assert "/nowhere.pem" in message
    assert "cache" not in message


def test_a_cache_that_cannot_be_used_is_one_line(tmp_path, local):
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    pin = local.publish(SDIST)
    with pytest.raises(UsageError, match="cannot use the cache") as caught:
        fetch.fetch(pin, index_url=local.url, cache_dir=blocked / "cache")
    assert "SLIMFORK_CACHE" in caught.value.hint


def test_two_at_once_fetch_it_once(local, cache):
    pin = local.publish(SDIST)
    local.stall = 100
    paths = []
    runs = [
        threading.Thread(target=lambda: paths.append(fetch.fetch(pin, index_url=local.url, cache_dir=cache)))
        for _ in range(3)
    ]
    for run in runs:
        run.start()
    assert local.stalled.wait(20)
    local.go_on.set()
    for run in runs:
        run.join(30)
    assert len(set(paths)) == 1
    assert local.requests.count(f"/files/{pin.filename}") == 1
    assert list(cache.iterdir()) == [paths[0]]
