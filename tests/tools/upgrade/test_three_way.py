"""What three trees are merged into, and where two sides disagree."""

from __future__ import annotations

import os
import shutil

import pytest

from slimfork.git.repo import open_repository
from slimfork.series.workbench import beside
from slimfork.upgrade.three_way import Clash, merge_trees
from tests.tools.conftest import write
from tests.tools.upgrade.conftest import CHANGED

TEXT = b"".join(b"line %d\n" % number for number in range(20))


@pytest.fixture
def tree(git, tmp_path):
    """Make a tree of files, path to content, in a repository beside another one."""
    git(tmp_path, "init", "-q", "-b", "main", "r")

    def make(files):
        git(tmp_path / "r", "rm", "-q", "-r", "-f", "--ignore-unmatch", ".")
        write(tmp_path / "r", files)
        git(tmp_path / "r", "add", "-A")
        return git(tmp_path / "r", "write-tree")

    return make


@pytest.fixture
def merged(tree, tmp_path):
    def merge(base, ours, theirs):
        trees = {name: tree(files) for name, files in (("base", base), ("ours", ours), ("theirs", theirs))}
        with open_repository(tmp_path / "r") as repository, beside(repository) as scratch:
            found = merge_trees(scratch, **trees)
            names = scratch.git("ls-tree", "-r", "--name-only", found.tree).decode().split()
            return found, {name: scratch.git("cat-file", "blob", f"{found.tree}:{name}") for name in names}

    return merge


def changed(old, new):
    return TEXT.replace(old, new)


def test_changes_of_both_sides_are_in_the_outcome(merged):
    base = {"a": TEXT, "b": TEXT, "gone": TEXT + b"gone\n"}
    ours = {"a": changed(b"line 2\n", b"ours\n"), "b": TEXT, "gone": TEXT + b"gone\n", "new": b"ours\n"}
    theirs = {"a": changed(b"line 15\n", b"theirs\n"), "b": b"theirs\n"}
    found, files = merged(base, ours, theirs)
    assert found.clashes == ()
    both = changed(b"line 2\n", b"ours\n").replace(b"line 15\n", b"theirs\n")
    assert files == {"a": both, "b": b"theirs\n", "new": b"ours\n"}


CLASHES = {
    "contents": (
        ({"a": TEXT}, {"a": changed(b"line 2\n", b"ours\n")}, {"a": changed(b"line 2\n", b"theirs\n")}),
        [Clash(path="a", kind="contents")],
    ),
    "modify/delete": (
        ({"a": TEXT, "b": b""}, {"b": b""}, {"a": changed(b"line 2\n", b"theirs\n"), "b": b""}),
        [Clash(path="a", kind="modify/delete")],
    ),
    "add/add": (
        ({"b": b""}, {"a": b"ours\n", "b": b""}, {"a": b"theirs\n", "b": b""}),
        [Clash(path="a", kind="contents")],
    ),
    "a name with spaces": (
        ({"a b": TEXT}, {"a b": changed(b"line 2\n", b"ours\n")}, {"a b": changed(b"line 2\n", b"theirs\n")}),
        [Clash(path="a b", kind="contents")],
    ),
    "binary": (
        ({"a": b"\0" + TEXT}, {"a": b"\0ours" + TEXT}, {"a": b"\0theirs" + TEXT}),
        [Clash(path="a", kind="binary")],
    ),
}


@pytest.mark.parametrize("kind", CLASHES)
def test_where_they_disagree_is_named(kind, tree, tmp_path):
    sides, clashes = CLASHES[kind]
    trees = dict(zip(("base", "ours", "theirs"), map(tree, sides), strict=True))
    with open_repository(tmp_path / "r") as repository, beside(repository) as scratch:
        assert list(merge_trees(scratch, **trees).clashes) == clashes


def test_a_git_that_cannot_merge_trees_is_named(clashing, call, git, tmp_path, monkeypatch):
    """A `git` that answers as 2.37 does, before the real one on the path."""
    real = shutil.which("git")
    old = (
        'case "$*" in *"merge-tree -h"*) echo "usage: git merge-tree <base-tree> <branch1> <branch2>"; exit 129;; esac'
    )
    write(tmp_path / "bin", {"git": f'#!/bin/sh\n{old}\nexec {real} "$@"\n'.encode()})
    (tmp_path / "bin" / "git").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    before = git(clashing, "for-each-ref")
    outcome = call("upgrade", clashing, "--to", CHANGED)
    assert outcome.code == 2
    assert "is too old to upgrade: git 2.38 merges trees" in outcome.err
    assert git(clashing, "for-each-ref") == before
