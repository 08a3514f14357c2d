"""A small release of its own, pinned, cached and with patches, for the tests that are about git and not about YOLO."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

import pytest

from slimfork.cli import run
from slimfork.codemods.patch import load_series
from slimfork.releases import pins
from slimfork.releases.fetch import cache_root
from slimfork.terminal import content
from tests.tools import small_repository
from tests.tools.small_release import CLONED, OVERLAY, PATCHES, VERSION, sdist

if TYPE_CHECKING:
    from pathlib import Path

IDENTITY = ("-c", "user.name=Ann", "-c", "user.email=ann@example.org")


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str

    @property
    def json(self):
        return json.loads(self.out)


@dataclass(frozen=True)
class Upstream:
    path: Path
    commits: dict[str, str]


@pytest.fixture
def no_settings_of_this_machine(tmp_path_factory, monkeypatch):
    """Git must work for somebody who has configured nothing, and must not read what the developer has configured."""
    if "SLIMFORK_CACHE" not in os.environ:
        monkeypatch.setenv("SLIMFORK_CACHE", str(cache_root()))  # real releases stay where they are
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / ".config"))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    return home


@pytest.fixture
def call(capfd, no_settings_of_this_machine):
    """Run the command line: its code, stdout and stderr."""
    assert no_settings_of_this_machine.is_dir()

    def run_it(*arguments):
        capfd.readouterr()
        code = run([str(a) for a in arguments])
        seen = capfd.readouterr()
        return Outcome(code, seen.out, seen.err)

    return run_it


@pytest.fixture
def git(no_settings_of_this_machine):
    """Run git as the user would."""
    assert no_settings_of_this_machine.is_dir()

    def run_it(folder, *arguments, stdin=None):
        command = ["git", "-C", str(folder), *IDENTITY, *arguments]
        done = subprocess.run(command, input=stdin, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode("utf-8", "surrogateescape").rstrip("\n")

    return run_it


@pytest.fixture
def world(tmp_path, monkeypatch):
    """Patches, overlay, pins and a cached archive: everything that `vendor` needs, in a folder of its own."""
    root = tmp_path / "world"
    write(root, {**PATCHES, **OVERLAY})
    monkeypatch.setattr(content, "content_root", lambda: root)
    monkeypatch.setenv("SLIMFORK_CACHE", str(tmp_path / "cache"))
    load_series.cache_clear()
    publish(tmp_path / "cache", {version: sdist(version) for version in (VERSION, "8.9.1")})
    yield root
    load_series.cache_clear()


def publish(cache, archives):
    """Pin releases, given as version to source distribution, and put them into the cache."""
    known = []
    for version, archive in archives.items():
        sha256 = hashlib.sha256(archive).hexdigest()
        name = f"ultralytics-{version}.tar.gz"
        facts = {"filename": name, "sha256": sha256, "size": len(archive), "uploaded": date(2030, 1, 2)}
        known.append(pins.Pin(upstream="ultralytics", version=version, requires_python=">=3.8", **facts))
        write(cache / "sdists", {f"ultralytics-{version}-{sha256[:16]}.tar.gz": archive})
    pins.save("ultralytics", known)


@pytest.fixture
def tagged(tmp_path, monkeypatch, no_settings_of_this_machine):
    """An upstream that is a git repository, with patches, overlay and pins of its own and an empty cache.

    The folder of the repository; `commits` is name to commit, of tags and of what lies between them.
    """
    assert no_settings_of_this_machine.is_dir()
    root = tmp_path / "world"
    write(root, small_repository.CONTENT)
    monkeypatch.setattr(content, "content_root", lambda: root)
    monkeypatch.setenv("SLIMFORK_CACHE", str(tmp_path / "cache"))
    origin = tmp_path / "origin"
    monkeypatch.setenv("SLIMFORK_YOLOV5_GIT", str(origin))
    commits = small_repository.make(origin)
    load_series.cache_clear()
    pins.save("yolov5", small_repository.pins_of(commits))
    yield Upstream(origin, commits)
    load_series.cache_clear()


@pytest.fixture
def fork(world, call, tmp_path):
    """The small release, vendored."""
    assert world.is_dir()
    path = tmp_path / "fork"
    assert call("vendor", f"ultralytics=={VERSION}", "--into", path).code == 0
    return path


@pytest.fixture
def clone(world, git, tmp_path):
    """A checkout with a history of its own, as a user has it."""
    assert world.is_dir()
    path = tmp_path / "clone"
    path.mkdir()
    git(path, "init", "-q", "-b", "main")
    write(path, CLONED)
    git(path, "add", "-A", "-f")
    git(path, "commit", "-q", "-m", "everything so far")
    return path


@pytest.fixture
def exported(fork, call, git, tmp_path):
    """An export of the small release with a commit of the user's."""
    write(fork, {"mine.txt": b"mine\n"})
    git(fork, "add", "mine.txt")
    git(fork, "commit", "-q", "-m", "mine")
    assert call("export", fork, "--out", tmp_path / "out").code == 0
    return tmp_path / "out"


def write(folder: Path, files):
    """Write files, given as path to bytes."""
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def in_child(work):
    """Run `work` in a forked process and return its wait status: it may change the process, or be killed."""
    pid = os.fork()
    if pid == 0:
        try:
            code = work()
        except BaseException:  # noqa: BLE001 - pytest must not run on in two processes
            code = 99
        os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def run_and_die(arguments, point, watched):
    """Run the command line, and kill it at the n-th line of code of some files: the process that is at it, and ours.

    Args:
        arguments: What is run.
        point: The n.
        watched: What the paths of these files begin with.
    """
    left = [point]

    def work():
        ours = os.getpid()

        def trace(frame, event, arg):
            del arg
            if not frame.f_code.co_filename.startswith(watched):
                return None
            left[0] -= event == "line"
            if left[0] == 0:
                os.kill(ours, signal.SIGKILL)
                os.kill(os.getpid(), signal.SIGKILL)
            return trace

        sys.settrace(trace)
        return run(list(map(str, arguments)))

    return in_child(work)
