"""Releases after the small one, pinned and cached: one moves a folder, one changes files, one moves them."""

from __future__ import annotations

import pytest

from tests.tools.conftest import publish, write
from tests.tools.small_release import TRAINER, release_files, sdist

FOLDER, CHANGED, MOVED, EMPTY = "8.9.1", "8.9.2", "8.9.3", "8.9.4"
TASKS, DEFAULTS, MODEL = "ultralytics/nn/tasks.py", "ultralytics/cfg/default.yaml", "ultralytics/models/v8n.yaml"
MOVED_DEFAULTS = "ultralytics/new/cfg/default.yaml"
LIKE_MODEL = "ultralytics/models/v8-seg.yaml"
LINES = [f"key{number}: {number}\n" for number in range(40)]
FIRST: dict[str, bytes] = {
    TASKS: "".join(f"a{number} = {number}\n" for number in range(30)).encode(),
    DEFAULTS: "".join(LINES).encode(),
    MODEL: "".join(f"- [{number}, Conv]\n" for number in range(20)).encode(),
}


def later(version):
    """Return the files of a later release."""
    files = {**release_files(version), **FIRST}
    if version == CHANGED:
        files[TASKS] = files[TASKS].replace(b"a10 = 10\n", b"a10 = 'theirs'\n").replace(b"a3 = 3\n", b"a3 = 'new'\n")
        files[TRAINER] = files[TRAINER].replace(b"return os.getcwd()", b"return os.getcwd() + '/'")
        del files["crlf.txt"]
        files["come.txt"] = b"come\n"
    if version == FOLDER:
        files["ultralytics/net/tasks.py"] = files.pop(TASKS)
    if version == MOVED:
        files[MOVED_DEFAULTS] = "".join([*LINES[:20], *(f"other{n}: {n}\n" for n in range(200))]).encode()
        del files[DEFAULTS]
        files[LIKE_MODEL] = files.pop(MODEL).replace(b"[19, Conv]", b"[19, Seg]")
    return files


@pytest.fixture
def releases(world, tmp_path):
    """Pin the later releases, and give the first one what they change."""
    assert world.is_dir()
    versions = ("8.9.0", FOLDER, CHANGED, MOVED, EMPTY)
    publish(tmp_path / "cache", {version: sdist(version, later(version)) for version in versions})
    return world


@pytest.fixture
def fork(releases, call, tmp_path):
    """The first of these releases, vendored."""
    assert releases.is_dir()
    path = tmp_path / "fork"
    assert call("vendor", "ultralytics==8.9.0", "--into", path).code == 0
    return path


@pytest.fixture
def mine(git):
    """Commit a change of the user's: path to bytes, or to a pair of what stands there and what shall."""

    def commit(path, changes, message="mine", *arguments):
        for name, change in changes.items():
            if isinstance(change, tuple):
                content = (path / name).read_bytes()
                assert change[0] in content
                write(path, {name: content.replace(*change)})
            elif change is None:
                (path / name).unlink()
            else:
                write(path, {name: change})
        git(path, "add", "-A", "-f")
        git(path, "commit", "-q", *(arguments or ("-m", message)))
        return git(path, "rev-parse", "HEAD")

    return commit


@pytest.fixture
def clashing(fork, mine, git):
    """A fork with three commits, of which the second does not fit the release that changes files."""
    mine(fork, {"first.txt": b"mine\n"}, "first")
    mine(fork, {TASKS: (b"a10 = 10\n", b"a10 = 'mine'\n"), "second.txt": b"mine\n"}, "second")
    mine(fork, {"third.txt": b"mine\n"}, "third")
    git(fork, "config", "user.name", "Ann")
    git(fork, "config", "user.email", "ann@example.org")
    return fork
