"""Whatever a user has in a fork is there after any of our commands, or the command was refused and changed nothing."""

from __future__ import annotations

import os

import pytest

from tests.tools.users_work import KEPT, REFUSED


def files(root):
    """Return every file, link and folder of a folder and of its neighbours, without what git keeps for itself."""
    seen = {}
    for folder, names, plain in os.walk(root):
        names[:] = [name for name in names if name not in {".git", "world", "cache"}]
        for name in (*names, *plain):
            path = os.path.join(folder, name)  # noqa: PTH118 - many, and as strings
            if os.path.islink(path):  # noqa: PTH114
                seen[path] = os.readlink(path)  # noqa: PTH115
            elif os.path.isfile(path):  # noqa: PTH113
                with open(path, "rb") as file:  # noqa: PTH123
                    seen[path] = file.read()
    return seen


def mine(seen):
    """Return how often the user's mark stands in each file."""
    return {
        path: content.count(b"mine")
        for path, content in seen.items()
        if isinstance(content, bytes) and b"mine" in content
    } | {path: content for path, content in seen.items() if isinstance(content, str)}


def facts(git, path):
    """Return what git knows: refs, index with its flags, stashes, what is under way."""
    under_way = sorted(p.name for p in (path / ".git").iterdir() if p.name.isupper() or p.name.startswith("rebase"))
    return (
        git(path, "for-each-ref", "--format=%(refname) %(objectname)"),
        git(path, "ls-files", "-v", "-s"),
        git(path, "status", "--porcelain", "--ignored", "-uall"),
        [name for name in under_way if name not in {"ORIG_HEAD", "FETCH_HEAD"}],
    )


def leftovers(path):
    return [p.name for p in (path / ".git").iterdir() if "slimfork-" in p.name or p.name == "index.lock"]


@pytest.mark.parametrize("name", KEPT)
def test_work_that_is_committed_stays(fork, call, git, tmp_path, name):
    call("revert", fork, "--patch", "penalty")
    KEPT[name](git, fork)
    tip = git(fork, "rev-parse", "HEAD")
    theirs = mine(files(tmp_path))
    assert theirs
    codes = []
    for verb in ("status", "diff", "apply", "status", "revert", "apply"):
        before = facts(git, fork), files(tmp_path)
        codes.append(call(verb, fork).code)
        assert codes[-1] in {0, 1, 2, 3}
        if codes[-1]:
            assert (facts(git, fork), files(tmp_path)) == before, verb
        assert mine(files(tmp_path)) == theirs, verb
        assert leftovers(fork) == []
    assert codes[2] == codes[3] == codes[5] == 0  # it is patched as well, as it should be
    git(fork, "merge-base", "--is-ancestor", tip, "HEAD")
    assert git(fork, "status", "--porcelain", "--ignore-submodules") == ""


@pytest.mark.parametrize("verb", ["apply", "revert"])
@pytest.mark.parametrize("name", REFUSED)
def test_work_that_could_be_lost_is_refused(fork, call, git, tmp_path, name, verb):
    call("revert", fork, "--patch", "penalty")
    REFUSED[name](git, fork)
    before = facts(git, fork), files(tmp_path)
    outcome = call(verb, fork)
    if outcome.code == 0:  # it did not have to touch what is in the way of the other
        assert verb == ("apply" if name == "skip-worktree: a file of the overlay" else "revert")
        assert mine(files(tmp_path)) == mine(before[1])
    else:
        assert outcome.code in {2, 3}
        assert outcome.out == ""
        assert outcome.err.startswith("error: ")
        assert "  try: " in outcome.err
        assert (facts(git, fork), files(tmp_path)) == before
    assert leftovers(fork) == []
