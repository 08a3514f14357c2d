"""The text of a commit is its name, and whatever stands in it is kept."""

from __future__ import annotations

import pytest

from slimfork.series.raw_commits import main_line, parse_commit

TREE, ONE, TWO = "4b825dc642cb6eb9a060e54bf8d69288fbee4904", "1" * 40, "2" * 40
WHO = "Ann <ann@example.org> 1700000000 +0100"


def text(*more, parents=(ONE,), message="mine\n\nbody"):
    head = [f"tree {TREE}", *(f"parent {sha}" for sha in parents), f"author {WHO}", f"committer {WHO}", *more]
    return "\n".join(head).encode() + b"\n\n" + message.encode()


def test_a_commit_is_read():
    raw = parse_commit(text(parents=(ONE, TWO)))
    assert (raw.tree, raw.parents, raw.author, raw.when) == (TREE, (ONE, TWO), WHO, 1700000000)
    assert (raw.subject, raw.message) == ("mine", "mine\n\nbody")


def test_its_hash_is_the_one_that_git_gives_it(git, tmp_path):
    git(tmp_path, "init", "-q")
    content = text("gpgsig -----BEGIN", " tree 12", " -----END", parents=())
    assert parse_commit(content).sha == git(tmp_path, "hash-object", "-t", "commit", "--stdin", stdin=content)
    assert parse_commit(content).tree == TREE


@pytest.mark.parametrize(("encoding", "message"), [("ISO-8859-1", "größer"), ("none-such", "gr\ufffd\ufffder")])
def test_a_message_is_read_as_its_encoding_says(encoding, message):
    content = text(f"encoding {encoding}", message="").decode().encode() + "größer".encode("latin-1")
    assert parse_commit(content).message == message
    assert parse_commit(content).text == content


@pytest.mark.parametrize("content", [b"", b"tree 1\n\nmine", text().replace(b"committer", b"commmitter"), b"\xff" * 9])
def test_what_is_no_commit_is_refused(content):
    with pytest.raises(ValueError, match="not the text of a commit"):
        parse_commit(content)


def test_the_main_line_goes_by_the_parent_that_has_the_same_files_or_else_the_first():
    root = parse_commit(text(parents=()))
    side = parse_commit(text(parents=(root.sha,), message="side").replace(b"tree 4", b"tree 5"))
    line = parse_commit(text(parents=(root.sha,), message="line").replace(b"tree 4", b"tree 6"))
    for files, way in ((b"tree 7", "line"), (b"tree 5", "side"), (b"tree 6", "line")):
        head = parse_commit(text(parents=(line.sha, side.sha), message="head").replace(b"tree 4", files))
        raws = [root, side, line, head]
        assert [raw.message for raw in main_line(raws, root.sha)] == ["mine\n\nbody", way, "head"]
    assert [raw.message for raw in main_line(raws, line.sha)] == ["line", "head"]
