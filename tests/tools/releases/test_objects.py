"""A commit in the cache: every byte of it is proved by the commit's own hash."""

from __future__ import annotations

import gzip
import subprocess
from datetime import date

import pytest

from slimfork.releases.archive import File
from slimfork.releases.objects import commit_date, object_hash, parse_batch, read_commit
from slimfork.terminal.errors import UsageError
from tests.tools import small_repository


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    folder = tmp_path_factory.mktemp("repository") / "git"
    return folder, small_repository.make(folder)


def batch(folder, commit, *more):
    """Return what git itself prints of a commit and everything below it."""
    listed = small_repository.git(folder, "ls-tree", "-r", "-t", commit).splitlines()
    names = [commit, f"{commit}^{{tree}}", *(line.split()[2] for line in listed if " commit " not in line), *more]
    command = ["git", "-C", str(folder), "cat-file", "--batch"]
    return subprocess.run(command, input="\n".join(names).encode(), capture_output=True, check=True).stdout


@pytest.fixture
def cached(repository, tmp_path):
    """Write a commit, changed in some way, to a file."""
    folder, commits = repository

    def write(name, change=lambda data: data):
        path = tmp_path / "some.objects.gz"
        path.write_bytes(gzip.compress(change(batch(folder, commits[name]))))
        return path, commits[name]

    return write


@pytest.mark.parametrize("name", small_repository.TAGS)
def test_a_commit_is_its_plain_files(cached, name):
    executable = small_repository.EXECUTABLE
    expected = {p: File(content=d, executable=p in executable) for p, d in small_repository.files_of(name).items()}
    assert read_commit(*cached(name)) == expected
    assert list(read_commit(*cached(name))) == sorted(expected)


def test_a_link_is_in_the_commit_and_left_out(repository):
    folder, commits = repository
    assert f"120000 blob {object_hash('blob', b'README.md')}" in small_repository.git(
        folder, "ls-tree", commits["v2.0"]
    )


def test_the_day_is_that_of_the_commit_in_utc(cached):
    assert {name: commit_date(*cached(name)) for name in small_repository.TAGS} == small_repository.DAYS
    assert small_repository.DAYS["v2.0"] == date(2022, 11, 21)  # half past midnight in its own time zone


def test_any_other_byte_is_refused(cached):
    path, commit = cached("v1.0")
    whole = gzip.decompress(path.read_bytes())
    for at in range(0, len(whole) - 1, 37):
        path.write_bytes(gzip.compress(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :]))
        refused = []
        try:
            found = read_commit(path, commit)
            assert {name: file.content for name, file in found.items()} == small_repository.files_of("v1.0")
        except UsageError as error:
            refused.append(error.message)
        separator = whole[at : at + 1] == b"\n"  # between two objects; git writes one byte there, whichever
        assert separator or refused
        assert all(message.startswith("some.objects.gz is not commit ") and "\n" not in message for message in refused)


@pytest.mark.parametrize("part", [0.1, 0.5, 0.95])
def test_a_part_is_refused(cached, part):
    path, commit = cached("trunk", lambda data: data[: int(len(data) * part)])
    with pytest.raises(UsageError, match="is missing or damaged"):
        read_commit(path, commit)


def test_another_commit_is_refused(cached, repository):
    path, _ = cached("v1.0")
    with pytest.raises(UsageError, match=f"is not commit {repository[1]['v2.0'][:12]}"):
        read_commit(path, repository[1]["v2.0"])


def test_what_is_no_gzip_is_refused(tmp_path):
    (tmp_path / "x").write_bytes(b"not gzip")
    with pytest.raises(UsageError, match="is not a whole gzip file"):
        read_commit(tmp_path / "x", "0" * 40)


def packed(*objects):
    """Return objects, given as kind and content, as git prints them; the first is the commit."""
    text = b"".join(f"{object_hash(k, c)} {k} {len(c)}\n".encode() + c + b"\n" for k, c in objects)
    assert parse_batch(text)
    return gzip.compress(text), object_hash(*objects[0])


@pytest.mark.parametrize(
    ("mode", "name", "words"),
    [
        ("100644", "..", "climbs out"),
        ("100644", ".GIT", "git's own folder"),
        ("100644", "a\\b", "backslash"),
        ("100644", "a\nb", "unprintable"),
        ("160000", "submodule", None),
        ("120000", "link", None),
    ],
)
def test_a_path_that_no_release_has_is_refused(tmp_path, mode, name, words):
    blob = ("blob", b"content")
    entries = [("100644", "a.py"), (mode, name)]
    tree = ("tree", b"".join(f"{m} {n}\0".encode() + bytes.fromhex(object_hash(*blob)) for m, n in entries))
    data, commit = packed(("commit", f"tree {object_hash(*tree)}\n\nx\n".encode()), tree, blob)
    (tmp_path / "x").write_bytes(data)
    if words:
        with pytest.raises(UsageError, match=words):
            read_commit(tmp_path / "x", commit)
    else:
        assert list(read_commit(tmp_path / "x", commit)) == ["a.py"]


def test_a_tree_where_a_file_should_be_is_refused(tmp_path):
    tree = ("tree", b"")
    top = ("tree", b"100644 a.py\0" + bytes.fromhex(object_hash(*tree)))
    data, commit = packed(("commit", f"tree {object_hash(*top)}\n\nx\n".encode()), top, tree)
    (tmp_path / "x").write_bytes(data)
    with pytest.raises(UsageError, match="is missing or damaged"):
        read_commit(tmp_path / "x", commit)
