"""Whatever a user has in a fork is there after any of our commands, or the command was refused and changed nothing.

Also of: `slimfork.git.guards`, `slimfork.git.quarantine`.
"""

from __future__ import annotations

import os

import pytest

from tests.sampling import sampled
from tests.tools.conftest import write
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


@pytest.mark.parametrize("name", sampled(KEPT, by_default=[*KEPT][::2]))
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


def test_a_fork_that_is_a_submodule_or_has_its_git_folder_elsewhere_is_like_any_other(fork, call, git, tmp_path):
    git(tmp_path, "init", "-q", "super")
    local = ("-c", "protocol.file.allow=always")
    git(tmp_path / "super", *local, "submodule", "add", "-q", "-b", "slim", str(fork), "sub")
    git(tmp_path, "clone", "-q", "--separate-git-dir", str(tmp_path / "elsewhere"), str(fork), "apart")
    for path in (tmp_path / "super/sub", tmp_path / "apart"):
        for verb in ("revert", "apply"):
            assert call(verb, path).code == 0
            assert git(path, "status", "--porcelain") == ""


def test_what_desktops_and_notebooks_leave_is_in_nobodys_way(fork, call):
    write(fork / "ultralytics/slim", {".DS_Store": b"", ".ipynb_checkpoints/a.py": b"", "__pycache__/a.pyc": b""})
    assert call("revert", fork).code == 0
    assert call("apply", fork).code == 0
    assert (fork / "ultralytics/slim/.DS_Store").exists()


def test_an_edited_file_stays_and_is_ours_again_when_the_edit_is_taken_back(fork, world, call, git):
    plan, ours = fork / "ultralytics/slim/pruning/plan.py", (fork / "ultralytics/slim/pruning/plan.py").read_bytes()
    plan.write_bytes(ours + b"# mine\n")
    git(fork, "commit", "-q", "-a", "-m", "mine")
    write(world, {"overlay/slim/pruning/plan.py": ours + b"NEWER = 1\n", "overlay/slim/new.py": b"NEW = 1\n"})
    applied = call("apply", fork)
    assert applied.code == 0
    assert "kept as you have changed them" in applied.err
    assert plan.read_bytes() == ours + b"# mine\n"
    assert call("status", fork).code == 0
    git(fork, "revert", "--no-edit", "HEAD~1")
    assert call("status", fork, "--json").json["overlay"]["files"]["ultralytics/slim/pruning/plan.py"] == "outdated"
    assert call("apply", fork).code == 0
    assert plan.read_bytes() == ours + b"NEWER = 1\n"
    assert call("revert", fork).code == 0
    assert not (fork / "ultralytics/slim").exists()


def test_files_that_a_newer_toolkit_has_dropped_are_taken_out_too(fork, world, call, git):
    (world / "overlay/slim/pruning/plan.py").unlink()
    assert call("revert", fork).code == 0
    assert git(fork, "rev-parse", "HEAD^{tree}") == git(fork, "rev-parse", "upstream^{tree}")


def test_a_damaged_manifest_is_refused_by_name(fork, call, git):
    manifest = fork / "ultralytics/slim/overlay.sha256"
    manifest.write_bytes(b"<<<<<<< HEAD\n" + manifest.read_bytes())
    git(fork, "commit", "-q", "-a", "-m", "a bad merge")
    for verb in ("status", "apply", "revert"):
        outcome = call(verb, fork)
        assert (outcome.code, outcome.out) == (2, "")
        assert "overlay.sha256" in outcome.err
        assert "line 1" in outcome.err


def test_a_line_upstream_of_the_users_does_not_become_the_import(fork, call, git):
    before = call("status", fork, "--json").json
    for subject in ("mine", "Import ultralytics 8.9.1"):
        write(fork, {"mine.txt": subject.encode()})
        git(fork, "add", "mine.txt")
        git(fork, "commit", "-q", "-m", subject, "-m", f"Upstream: ultralytics==8.9.1 sha256={'0' * 64}")
    after = call("status", fork, "--json").json
    assert {key: after[key] for key in ("import", "version", "complete")} == {
        key: before[key] for key in ("import", "version", "complete")
    }
    assert [commit["subject"] for commit in after["own"]] == ["mine", "Import ultralytics 8.9.1"]
