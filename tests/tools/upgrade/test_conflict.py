"""A commit that does not fit waits in the checkout as git leaves it; the branch does not move until all is done.

Also of: `slimfork.upgrade.checkout`, `slimfork.upgrade.moving`, `slimfork.upgrade.state`.
"""

from __future__ import annotations

import json

import pytest

from slimfork.git.guards import UPGRADE
from tests.tools.conftest import write
from tests.tools.upgrade.conftest import CHANGED, FOLDER, MODEL, MOVED, TASKS

RESOLVED = b"a10 = 'both'\n"


@pytest.fixture
def waiting(clashing, call, git):
    """An upgrade that waits for the user, and where the branch was."""
    (clashing / "untracked.txt").write_text("mine")
    old = git(clashing, "rev-parse", "slim")
    outcome = call("upgrade", clashing, "--to", CHANGED)
    assert outcome.code == 3
    assert "does not fit" in outcome.err
    assert "--continue" in outcome.err
    return clashing, old


def resolve(path):
    lines = (path / TASKS).read_bytes().split(b"\n")
    marks = [number for number, line in enumerate(lines) if line.startswith((b"<<<<<<<", b">>>>>>>"))]
    begin, end = marks
    write(path, {TASKS: b"\n".join([*lines[:begin], RESOLVED.rstrip(), *lines[end + 1 :]])})


def done(call, git, path, old):
    assert git(path, "rev-parse", "slim^2") == old
    assert git(path, "symbolic-ref", "HEAD") == "refs/heads/slim"
    assert git(path, "branch", "--list", "upgrade-*") == ""
    assert git(path, "status", "--porcelain") == "?? untracked.txt"
    assert not (path / ".git" / UPGRADE).exists()
    assert call("status", path, "--json").json["version"] == CHANGED
    for name in ("first.txt", "third.txt"):
        assert (path / name).read_bytes() == b"mine\n"


def test_it_is_git_s_own_conflict_on_a_branch_of_its_own(waiting, git):
    path, old = waiting
    assert git(path, "rev-parse", "slim") == old
    assert git(path, "symbolic-ref", "--short", "HEAD") == f"upgrade-to-{CHANGED}"
    assert set(git(path, "status", "--porcelain").split("\n")) == {f"UU {TASKS}", "A  second.txt", "?? untracked.txt"}
    content = (path / TASKS).read_bytes()
    assert b"a10 = 'mine'\n" in content
    assert b"a10 = 'theirs'\n" in content
    assert b"<<<<<<<" in content
    assert "second" in git(path, "log", "-1", "--format=%s", "CHERRY_PICK_HEAD")
    assert (path / "first.txt").is_file()
    assert not (path / "third.txt").exists()


def test_resolved_and_added_it_goes_on(waiting, call, git):
    path, old = waiting
    resolve(path)
    git(path, "add", TASKS)
    outcome = call("upgrade", path, "--continue")
    assert outcome.code == 0, outcome.err
    done(call, git, path, old)
    assert RESOLVED in (path / TASKS).read_bytes()
    assert git(path, "log", "-1", "--format=%an %ae", "slim~1^1") == "Ann ann@example.org"
    assert git(path, "log", "--format=%s", "-3", "slim^1").split("\n") == ["third", "second", "first"]


def test_a_commit_of_the_user_s_will_do_as_well(waiting, call, git):
    path, old = waiting
    resolve(path)
    git(path, "commit", "-q", "-a", "-m", "in my own words")
    assert call("upgrade", path, "--continue").code == 0
    done(call, git, path, old)
    assert git(path, "log", "-1", "--format=%s", "slim^1~1") == "in my own words"


@pytest.mark.parametrize("how", ["untouched", "added with markers", "not added", "undone", "elsewhere", "reset"])
def test_what_is_not_resolved_is_not_taken(waiting, call, git, how):
    path, old = waiting
    if how == "added with markers":
        git(path, "add", TASKS)
    elif how == "not added":
        git(path, "add", TASKS)
        resolve(path)
    elif how == "undone":
        git(path, "checkout", "-q", "--ours", TASKS)
        git(path, "rm", "-q", "--cached", "second.txt")
        git(path, "add", TASKS)
    elif how == "elsewhere":
        git(path, "checkout", "-q", "-f", "slim")
    elif how == "reset":
        git(path, "reset", "-q", "--hard", "slim")
    outcome = call("upgrade", path, "--continue")
    assert outcome.code == 2
    assert "try: " in outcome.err
    assert git(path, "rev-parse", "slim") == old
    assert call("upgrade", path, "--abort").code == 0
    assert git(path, "rev-parse", "slim", "HEAD").split() == [old, old]


def test_skipped_it_is_left_out(waiting, call, git):
    path, old = waiting
    resolve(path)
    outcome = call("upgrade", path, "--skip", "--json")
    assert outcome.code == 0
    assert [commit["fate"] for commit in outcome.json["commits"]] == ["kept", "skipped", "kept"]
    done(call, git, path, old)
    assert b"a10 = 'theirs'\n" in (path / TASKS).read_bytes()
    assert not (path / "second.txt").exists()


@pytest.mark.parametrize("how", ["at once", "half resolved", "with new files added", "committed"])
def test_aborted_all_is_as_it_was(waiting, call, git, how):
    path, old = waiting
    if how != "at once":
        resolve(path)
    if how == "with new files added":
        write(path, {"new.txt": b"mine\n"})
        git(path, "add", "new.txt", TASKS)
    if how == "committed":
        git(path, "commit", "-q", "-a", "-m", "resolved")
    outcome = call("upgrade", path, "--abort")
    assert outcome.code == 0, outcome.err
    assert git(path, "rev-parse", "slim", "HEAD").split() == [old, old]
    assert git(path, "symbolic-ref", "HEAD") == "refs/heads/slim"
    kept = ["?? new.txt"] if how == "with new files added" else []
    assert git(path, "status", "--porcelain").split("\n") == [*kept, "?? untracked.txt"]
    assert git(path, "branch", "--list", "upgrade-*") == ""
    assert git(path, "rev-parse", "upstream") == git(path, "rev-parse", "upstream/8.9.0")
    assert (path / "untracked.txt").read_text() == "mine"
    assert call("upgrade", path, "--to", CHANGED, "--dry-run").code == 3


@pytest.mark.parametrize("verb", ["apply", "revert", "upgrade --to newest"])
def test_nothing_else_is_done_meanwhile(waiting, call, verb):
    path, _ = waiting
    name, *more = verb.split()
    outcome = call(name, path, *more)
    assert outcome.code == 2
    assert "an upgrade is under way" in outcome.err
    assert "--continue, --skip or --abort" in outcome.err


def test_status_says_that_it_waits(waiting, call):
    path, _ = waiting
    assert "an upgrade is under way" in call("status", path).err


def test_a_branch_that_moved_meanwhile_is_not_moved_back(waiting, call, git):
    path, _ = waiting
    resolve(path)
    git(path, "add", TASKS)
    git(path, "branch", "-f", "slim", "upstream")
    outcome = call("upgrade", path, "--continue")
    assert outcome.code == 2
    assert "is not at" in outcome.err
    assert git(path, "rev-parse", "slim") == git(path, "rev-parse", "upstream")


def test_a_file_that_says_nothing_is_explained(waiting, call):
    path, _ = waiting
    for text in ("", "{}", "[]", json.dumps({"branch": 1})):
        (path / ".git" / UPGRADE).write_text(text)
        outcome = call("upgrade", path, "--continue")
        assert outcome.code == 2
        assert "does not say what was under way" in outcome.err


def test_a_branch_of_that_name_is_not_taken(clashing, call, git):
    git(clashing, "branch", f"upgrade-to-{CHANGED}")
    outcome = call("upgrade", clashing, "--to", CHANGED)
    assert outcome.code == 2
    assert "of its own" in outcome.err
    assert git(clashing, "status", "--porcelain") == ""
    assert not (clashing / ".git" / UPGRADE).exists()


def test_a_merge_that_does_not_fit_waits_as_well(fork, call, git, mine):
    git(fork, "config", "user.name", "Ann")
    git(fork, "config", "user.email", "ann@example.org")
    git(fork, "switch", "-q", "-c", "topic")
    mine(fork, {TASKS: (b"a20 = 20\n", b"a20 = 'topic'\n")}, "topic")
    git(fork, "switch", "-q", "slim")
    mine(fork, {"main.txt": b"mine\n"}, "main")
    git(fork, "merge", "-q", "--no-commit", "--no-ff", "topic")
    mine(fork, {TASKS: (b"a10 = 10\n", b"a10 = 'mine'\n")}, "merged", "-m", "merged")
    (fork / "untracked.txt").write_text("mine")
    outcome = call("upgrade", fork, "--to", CHANGED)
    assert outcome.code == 3
    resolve(fork)
    git(fork, "add", TASKS)
    assert call("upgrade", fork, "--continue").code == 0
    parents = git(fork, "log", "-1", "--format=%P", "slim^1").split()
    assert [git(fork, "log", "-1", "--format=%s", parent) for parent in parents] == ["main", "topic"]
    assert RESOLVED in (fork / TASKS).read_bytes()
    assert b"a20 = 'topic'\n" in (fork / TASKS).read_bytes()


def test_a_branch_that_another_work_tree_is_on_by_now_is_not_moved_under_it(clashing, call, git, tmp_path):
    git(clashing, "switch", "-q", "--detach")
    tree = tmp_path / "tree"
    git(clashing, "worktree", "add", "-q", str(tree), "slim")
    assert call("upgrade", tree, "--to", CHANGED).code == 3
    git(clashing, "switch", "-q", "slim")
    resolve(tree)
    git(tree, "add", TASKS)
    outcome = call("upgrade", tree, "--continue")
    assert outcome.code == 2
    assert "slim is checked out in" in outcome.err
    assert git(clashing, "status", "--porcelain") == ""
    git(clashing, "switch", "-q", "--detach")
    assert call("upgrade", tree, "--continue").code == 0
    assert git(tree, "symbolic-ref", "HEAD") == "refs/heads/slim"


def test_a_file_that_is_kept_though_the_release_has_it_not_is_met_by_the_next_commit(fork, call, git, mine):
    mine(fork, {MODEL: (b"- [5, Conv]\n", b"- [5, Mine]\n")}, "one")
    mine(fork, {MODEL: (b"- [15, Conv]\n", b"- [15, Mine]\n")}, "two")
    assert call("upgrade", fork, "--to", MOVED).code == 3
    write(fork, {MODEL: (fork / MODEL).read_bytes() + b"# kept\n"})
    git(fork, "add", MODEL)
    outcome = call("upgrade", fork, "--continue")
    assert outcome.code == 0, outcome.err
    for line in (b"- [5, Mine]\n", b"- [15, Mine]\n", b"# kept\n"):
        assert line in (fork / MODEL).read_bytes()


def test_a_file_in_a_folder_that_has_moved_waits_with_the_reason(fork, call, git, mine):
    mine(fork, {"ultralytics/nn/mine.py": b"mine = 1\n"})
    outcome = call("upgrade", fork, "--to", FOLDER, "--json")
    assert outcome.code == 3
    (clash,) = outcome.json["commits"][0]["clashes"]
    assert clash["why"] == f"{FOLDER} has moved the folder in which your commit adds it"
    git(fork, "add", clash["path"])
    assert call("upgrade", fork, "--continue").code == 0
    assert git(fork, "ls-files", "*/mine.py") == "ultralytics/net/mine.py"


@pytest.mark.parametrize("how", ["moved", "deleted"])
def test_aborted_a_branch_is_checked_out_where_it_is_by_now(waiting, call, git, how):
    path, old = waiting
    if how == "moved":
        git(path, "branch", "-q", "-f", "slim", "slim~1")
    else:
        git(path, "branch", "-q", "-D", "slim")
    outcome = call("upgrade", path, "--abort", "--json")
    assert outcome.code == 0, outcome.err
    wanted = old if how == "deleted" else git(path, "rev-parse", f"{old}~1")
    assert outcome.json["head"] == wanted
    assert git(path, "rev-parse", "slim", "HEAD").split() == [wanted, wanted]
    assert git(path, "symbolic-ref", "HEAD") == "refs/heads/slim"
    assert git(path, "status", "--porcelain") == "?? untracked.txt"
