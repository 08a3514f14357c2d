"""What a killed run leaves behind is gone after the next one, and what belongs to a run at work is not."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys

import pytest

from slimfork.matrix.store import Store
from slimfork.processes.parts import clear_parts, has_ended, part_of
from slimfork.releases import pins
from slimfork.releases.fetch import fetch
from tests.tools.conftest import in_child
from tests.tools.index_server import LocalIndex, tiny_sdist

# Lets the first bytes of a fast-import through, then kills it and whoever started it.
KILLER = """#!/bin/sh
case "$*" in
*fast-import*)
    (head -c 600; sleep 30) | {git} "$@" &
    sleep 0.5
    ls {objects} >> {log}
    kill -9 $! $PPID
    ;;
*) exec {git} "$@" ;;
esac
"""


def dead():
    """Return the number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def temporary(folder):
    return [path for path in folder.rglob("*") if path.name.startswith(("tmp_", "slimfork-refs"))]


@pytest.mark.parametrize("verb", ["apply", "revert"])
def test_a_kill_while_objects_are_written_leaves_none_in_the_repository(fork, call, git, tmp_path, monkeypatch, verb):
    if verb == "apply":
        assert call("revert", fork).code == 0
    head = git(fork, "rev-parse", "HEAD")
    scratch, log = fork / ".git" / "slimfork-refs.git", tmp_path / "log"
    (tmp_path / "bin").mkdir()
    fake = tmp_path / "bin" / "git"
    fake.write_text(KILLER.format(git=shutil.which("git"), objects=scratch / "objects" / "pack", log=log))
    fake.chmod(0o755)

    def killed():
        monkeypatch.setenv("PATH", f"{fake.parent}:{os.environ['PATH']}")
        return call(verb, fork).code

    assert in_child(killed) == -signal.SIGKILL
    assert "tmp_pack_" in log.read_text()  # it was killed in the middle of it
    assert temporary(fork / ".git" / "objects") == []
    assert git(fork, "rev-parse", "HEAD") == head
    assert git(fork, "status", "--porcelain") == ""

    assert call(verb, fork, "--dry-run").code == 0  # any command that may write clears it away
    assert temporary(fork / ".git") == []
    assert call(verb, fork).code == 0
    assert temporary(fork / ".git") == []
    git(fork, "fsck", "--strict")


def test_what_is_written_stands_in_the_repository_whether_it_is_packed_or_not(fork, call, git):
    """git packs a hundred objects or more, and leaves fewer loose."""
    for limit in ("1", "100000"):
        git(fork, "config", "fastimport.unpackLimit", limit)
        assert call("revert", fork).code == 0
        assert call("apply", fork).code == 0
        git(fork, "fsck", "--strict", "--connectivity-only")
        assert call("status", fork).code == 0
    assert "garbage: 0" in git(fork, "count-objects", "-v")


@pytest.mark.usefixtures("world")
def test_the_parts_of_dead_processes_go_with_the_next_save():
    lock = pins.lock_path("ultralytics")
    gone = lock.with_name(f".{lock.name}.{dead()}.part")
    of_a_run_at_work = lock.with_name(f".{lock.name}.{os.getppid()}.part")
    mine = lock.with_name(f".{lock.name}.mine.part")
    other = lock.with_name(f".yolov5.lock.{dead()}.part")
    for path in (gone, of_a_run_at_work, mine, other):
        path.write_text("half")
    pins.save("ultralytics", pins.load("ultralytics"))
    assert [path.exists() for path in (gone, of_a_run_at_work, mine, other)] == [False, True, True, True]


def test_the_next_download_clears_the_cache_of_what_others_left(tmp_path):
    """Of any release: whoever fetched that one may never come back."""
    cache = tmp_path / "cache"
    cache.mkdir()
    half, folder, lock = (cache / f".x-1.tar.gz.{dead()}.part", cache / f".y.{dead()}.part", cache / ".x-1.tar.gz.lock")
    half.write_text("half")
    (folder / "git" / "objects").mkdir(parents=True)
    lock.touch()
    at_work = cache / f".z.{os.getppid()}.part"
    at_work.write_text("half")
    with LocalIndex() as index:
        pin = index.publish(tiny_sdist())
        path = fetch(pin, index_url=index.url, cache_dir=cache)
    assert sorted(cache.iterdir()) == sorted([path, at_work])


def test_a_store_is_tidied(tmp_path):
    store = Store(tmp_path)
    store.put("abcdef", {"a": 1})
    left = part_of(store._path("abcdef")).with_name(f".cdef.json.{dead()}.part")
    left.write_text("half")
    store.tidy()
    assert not left.exists()
    assert store.get("abcdef") == {"a": 1}


@pytest.mark.parametrize("name", [".x.1x.part", ".x.part", "x.1.part", ".x.-1.part", ".x.1.part.txt", "..1.part"])
def test_only_parts_of_ours_are_cleared_away(tmp_path, name):
    (tmp_path / name).write_text("mine")
    clear_parts(tmp_path)
    assert (tmp_path / name).exists()


def test_a_part_under_our_own_number_is_ours_only_if_we_made_it(tmp_path):
    """In a container, every run has the same number."""
    old, new = tmp_path / f".old.{os.getpid()}.part", part_of(tmp_path / "new")
    for path in (old, new):
        path.write_text("half")
    clear_parts(tmp_path)
    assert [old.exists(), new.exists()] == [False, True]


def test_a_process_has_ended_or_not():
    assert has_ended(dead())
    assert not has_ended(os.getppid())
    assert has_ended(10**9)
