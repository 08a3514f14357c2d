"""`apply-patches pins`: results on stdout, the rest on stderr, and a lock that changes whole or not at all.

Also of: `slimfork.releases.refresh`.
"""

from __future__ import annotations

import json
import re

import pytest

from slimfork.cli import run
from slimfork.releases import index, pins
from slimfork.releases.pins import load, save
from tests.tools.index_server import VERSION, LocalIndex, pin_of, tiny_sdist

SDIST = tiny_sdist()
OLD = pin_of(tiny_sdist("99.0.0"), "99.0.0")


@pytest.fixture(autouse=True)
def own_settings(monkeypatch, tmp_path):
    monkeypatch.setattr(index, "WAITS", (0.01, 0.01))
    monkeypatch.setenv("SLIMFORK_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("PIP_INDEX_URL", raising=False)


@pytest.fixture
def local():
    with LocalIndex() as server:
        server.publish(tiny_sdist("99.0.0"), "99.0.0")
        server.publish(SDIST)
        yield server


@pytest.fixture
def lock(tmp_path, monkeypatch):
    """A lock of ultralytics that pins one release, 99.0.0."""
    folder = tmp_path / "patches"
    folder.mkdir()
    monkeypatch.setattr(pins, "patches_root", lambda: folder)
    save("ultralytics", [OLD])
    return folder / "ultralytics.lock"


@pytest.fixture
def call(capsys):
    def run_it(*arguments):
        code = run(["pins", *arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run_it


def cached(tmp_path):
    return [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]


def test_list_shows_every_pin_newest_last(call):
    code, out, err = call("list", "ultralytics")
    lines = out.splitlines()
    assert (code, err) == (0, "")
    assert len(lines) == 1 + len(load("ultralytics"))
    assert lines[-1].split()[0] == load("ultralytics")[-1].spec
    assert any(re.search("==8.4.44 .* removes pretrained weights *$", line) for line in lines)


def test_list_for_machines(call):
    code, out, _ = call("list", "--json")
    listed = json.loads(out)
    assert code == 0
    assert len(listed) == len(load("ultralytics")) + len(load("yolov5"))
    assert [pin["spec"] for pin in listed[-2:]] == ["yolov5@v7.0", "yolov5@master"]


def test_list_of_an_unknown_upstream(call):
    code, out, err = call("list", "yolov7")
    assert (code, out) == (2, "")
    assert err.splitlines() == ["error: unknown upstream 'yolov7'", "  try: one of ultralytics, yolov5"]


@pytest.mark.usefixtures("lock")
def test_add_pins_one_release(call, local, tmp_path):
    code, out, err = call("add", f"ultralytics=={VERSION}", "--index-url", local.url)
    assert code == 0
    assert out == pins.format_line(pin_of(SDIST)) + "\n"
    assert f"pinned ultralytics=={VERSION}" in err
    assert load("ultralytics") == (OLD, pin_of(SDIST))
    assert [path.read_bytes() for path in cached(tmp_path)] == [SDIST]


def test_add_what_is_pinned_does_nothing(call, local, lock):
    before = lock.read_bytes()
    code, out, err = call("add", "ultralytics==99.0.0", "--index-url", local.url, "--json")
    assert (code, json.loads(out)["version"]) == (0, "99.0.0")
    assert "nothing to do" in err
    assert local.requests == []
    assert lock.read_bytes() == before


def test_add_dry_run_writes_nothing(call, local, lock, tmp_path):
    before = lock.read_bytes()
    code, out, _ = call("add", f"ultralytics=={VERSION}", "--index-url", local.url, "--dry-run", "--json")
    assert (code, json.loads(out)) == (0, pin_of(SDIST).as_json())
    assert lock.read_bytes() == before
    assert cached(tmp_path) == []


def break_hash(local):
    local.files[f"ultralytics-{VERSION}.tar.gz"] = SDIST[:-1] + b"?"
    local.claims[f"ultralytics-{VERSION}.tar.gz"] = pin_of(SDIST).sha256


def cut(local):
    local.cut = 1000


def fail(local):
    local.statuses = [503] * 9


def stop(local):
    local.server.shutdown()
    local.server.server_close()


def remove(local):
    del local.files[f"ultralytics-{VERSION}.tar.gz"]


@pytest.mark.parametrize(
    ("failure", "message"),
    [
        (break_hash, "is not what is pinned"),
        (cut, "the connection was cut"),
        (fail, "answered HTTP 503"),
        (stop, "connection refused"),
        (remove, "is not on the index; nearest: 99.0.0"),
    ],
)
def test_a_failed_add_is_one_line_and_leaves_nothing(call, local, lock, tmp_path, failure, message):
    before = lock.read_bytes()
    failure(local)
    code, out, err = call("add", f"ultralytics=={VERSION}", "--index-url", local.url)
    errors = [line for line in err.splitlines() if not line.startswith("  try: ")]
    assert (code, out) == (2, "")
    assert len(errors) == 1
    assert errors[0].startswith("error: ")
    assert message in errors[0]
    assert cached(tmp_path) == []
    assert lock.read_bytes() == before


@pytest.mark.usefixtures("lock")
def test_a_file_that_cannot_be_vendored_is_not_pinned(call, local):
    local.publish(b"not an archive")
    code, _, err = call("add", f"ultralytics=={VERSION}", "--index-url", local.url)
    assert code == 2
    assert "is not a whole gzip file" in err
    assert load("ultralytics") == (OLD,)


@pytest.mark.parametrize("spec", ["ultralytics", "ultralytics@v8.4.190", "8.4.191", "nothing==1"])
def test_add_wants_a_version_on_the_index(call, spec):
    code, out, err = call("add", spec)
    assert (code, out) == (2, "")
    assert err.startswith("error: ")


@pytest.mark.usefixtures("lock")
def test_refresh_adds_marks_and_keeps(call, local):
    gone, tag = pin_of(b"old", "98.0"), pins.Pin(upstream="ultralytics", version="v1.0", commit="a" * 40)
    save("ultralytics", [gone, OLD, tag])
    local.yanked[OLD.filename] = "it [bold]broke\x1b[2J\n  badly"
    code, out, _ = call("refresh", "ultralytics", "--index-url", local.url)
    assert code == 0
    assert out.splitlines() == [
        f"added     ultralytics=={VERSION}",
        "yanked    ultralytics==99.0.0: it [bold]broke [2J badly",
        "gone      ultralytics==98.0",
        "ultralytics: 4 pins; written",
    ]
    assert [pin.spec for pin in load("ultralytics")] == [
        "ultralytics==98.0",
        "ultralytics==99.0.0",
        f"ultralytics=={VERSION}",
        "ultralytics@v1.0",
    ]
    assert load("ultralytics")[1].yanked == "it [bold]broke [2J badly"


def test_refresh_again_changes_nothing(call, local, lock):
    call("refresh", "ultralytics", "--index-url", local.url)
    before = lock.stat().st_mtime_ns, lock.read_bytes()
    code, out, _ = call("refresh", "ultralytics", "--index-url", local.url)
    assert (code, out) == (0, "ultralytics: 2 pins; up to date\n")
    assert (lock.stat().st_mtime_ns, lock.read_bytes()) == before


@pytest.mark.usefixtures("lock")
def test_refresh_takes_back_a_yank(call, local):
    local.yanked[OLD.filename] = ""  # yanked, without a reason
    call("refresh", "ultralytics", "--index-url", local.url)
    assert load("ultralytics")[0].yanked == "no reason given"
    local.yanked.clear()
    _, out, _ = call("refresh", "ultralytics", "--index-url", local.url, "--json")
    result = json.loads(out)["ultralytics"]
    assert [pin["version"] for pin in result["restored"]] == ["99.0.0"]
    assert load("ultralytics")[0].yanked == ""


def test_refresh_dry_run_writes_nothing(call, local, lock):
    before = lock.read_bytes()
    code, out, _ = call("refresh", "ultralytics", "--index-url", local.url, "--dry-run", "--json")
    result = json.loads(out)["ultralytics"]
    assert (code, result["lock"]) == (0, "not written (dry run)")
    assert [pin["version"] for pin in result["added"]] == [VERSION]
    assert lock.read_bytes() == before


@pytest.mark.parametrize("flags", [[], ["--json"], ["--dry-run"]])
def test_a_changed_hash_is_refused(call, local, lock, flags):
    before = lock.read_bytes()
    local.claims[OLD.filename] = "f" * 64
    code, out, err = call("refresh", "ultralytics", "--index-url", local.url, *flags)
    assert code == 1
    assert "f" * 64 in out
    assert OLD.sha256 in out
    assert err.startswith("error: the index offers other files than those pinned; left as it was: ultralytics\n")
    assert lock.read_bytes() == before


def test_refresh_makes_a_lock_that_is_missing(call, local, lock):
    lock.unlink()
    code, _, _ = call("refresh", "ultralytics", "--index-url", local.url)
    assert code == 0
    assert load("ultralytics") == (OLD, pin_of(SDIST))


def test_refresh_does_not_repair_a_damaged_lock_in_silence(call, local, lock):
    lock.write_text(lock.read_text() + "99.9 what?\n")
    code, out, err = call("refresh", "ultralytics", "--index-url", local.url)
    assert (code, out) == (2, "")
    assert f"{lock}:4: not a pin" in err


@pytest.mark.usefixtures("lock")
def test_an_index_without_sizes_cannot_be_pinned(call, local):
    local.html = True
    code, _, err = call("refresh", "ultralytics", "--index-url", local.url)
    assert code == 2
    assert "gives no SHA-256 or no size" in err
    assert load("ultralytics") == (OLD,)
