"""What git writes as it picks a commit, and no more, is written: all else in the checkout is the user's."""

from __future__ import annotations

import json
import subprocess

import pytest

from slimfork.git.guards import UPGRADE
from tests.tools.conftest import write
from tests.tools.upgrade.conftest import CHANGED, TASKS
from tests.tools.upgrade.test_conflict import RESOLVED, resolve

CLASH = {TASKS: (b"a10 = 10\n", b"a10 = 'mine'\n")}


@pytest.fixture
def stopped(clashing, call):
    """An upgrade that waits, and has just been begun."""
    assert call("upgrade", clashing, "--to", CHANGED).code == 3
    return clashing


def forget_that_it_is_laid_out(path):
    """Do as if the run had been killed right after git had picked the commit."""
    file = path / ".git" / UPGRADE
    file.write_text(json.dumps({**json.loads(file.read_text()), "laid_out": False}))


@pytest.mark.parametrize("way", ["--skip", "--abort"])
@pytest.mark.parametrize("staged", [False, True])
def test_changes_elsewhere_are_refused_and_the_hint_saves_them(stopped, call, git, tmp_path, monkeypatch, way, staged):
    (stopped / "first.txt").write_text("precious\n")
    if staged:
        git(stopped, "add", "first.txt")
    outcome = call("upgrade", stopped, way)
    assert outcome.code == 2
    assert "your changes in first.txt have no part in this conflict" in outcome.err
    assert (stopped / "first.txt").read_text() == "precious\n"
    monkeypatch.chdir(tmp_path)
    for command in outcome.err.split("try: ")[1].split(", then ")[:2]:
        subprocess.run(command.strip(), shell=True, check=True)  # noqa: S602 - as it is typed
    assert call("upgrade", stopped, way).code == 0
    git(stopped, "apply", str(tmp_path / "mine.patch"))
    assert (stopped / "first.txt").read_text() == "precious\n"


@pytest.mark.parametrize("name", ["big.dat", "big.txt"])
def test_a_file_that_git_does_not_know_any_more_is_not_overwritten(fork, mine, call, git, name):
    """`git cherry-pick` writes over files that are ignored, such as `*.dat` here."""
    mine(fork, {**CLASH, name: b"old\n"}, "second")
    git(fork, "rm", "-q", "--cached", name)
    old = git(fork, "commit", "-q", "-m", "forgotten") or git(fork, "rev-parse", "HEAD")
    write(fork, {name: b"precious\n"})
    outcome = call("upgrade", fork, "--to", CHANGED)
    assert outcome.code == 2
    assert f"untracked files are in the way: {name}" in outcome.err
    assert (fork / name).read_bytes() == b"precious\n"
    assert git(fork, "symbolic-ref", "HEAD") == "refs/heads/slim"
    assert git(fork, "rev-parse", "HEAD") == old
    (fork / name).rename(fork / "elsewhere.txt")
    assert call("upgrade", fork, "--to", CHANGED).code == 3
    assert call("upgrade", fork, "--abort").code == 0


@pytest.mark.parametrize("how", ["added", "committed"])
def test_what_was_resolved_after_a_kill_is_kept(stopped, call, git, how):
    forget_that_it_is_laid_out(stopped)
    resolve(stopped)
    git(stopped, *(("add", TASKS) if how == "added" else ("commit", "-q", "-a", "-m", "in my own words")))
    outcome = call("upgrade", stopped, "--continue")
    assert outcome.code == 0, outcome.err
    assert RESOLVED in (stopped / TASKS).read_bytes()


@pytest.mark.parametrize("way", ["--continue", "--skip", "--abort"])
def test_files_of_the_user_s_may_lie_beside_commits_that_come_later(fork, mine, call, git, way):
    mine(fork, CLASH, "second")
    mine(fork, {"project/code.py": b"mine = 1\n"}, "third")
    (fork / "project" / "notes.txt").write_text("precious")
    assert call("upgrade", fork, "--to", CHANGED).code == 3
    if way == "--continue":
        resolve(fork)
        git(fork, "add", TASKS)
    outcome = call("upgrade", fork, way)
    assert outcome.code == 0, outcome.err
    assert (fork / "project" / "notes.txt").read_text() == "precious"
    assert (fork / "project" / "code.py").read_bytes() == b"mine = 1\n"


def add_links(path, git, tmp_path):
    del git, tmp_path
    (path / "link").symlink_to("run.sh")
    (path / "dangling").symlink_to("nowhere")
    (path / "folder").symlink_to("ultralytics")


def add_submodule(path, git, tmp_path):
    git(tmp_path, "init", "-q", "-b", "main", "sub")
    git(tmp_path / "sub", "commit", "-q", "--allow-empty", "-m", "sub")
    (tmp_path / "sub" / "s.txt").write_text("sub")
    git(tmp_path / "sub", "add", "s.txt")
    git(tmp_path / "sub", "commit", "-q", "-m", "more")
    git(path, "-c", "protocol.file.allow=always", "submodule", "-q", "add", str(tmp_path / "sub"), "sub")


@pytest.mark.parametrize("way", ["--continue", "--skip", "--abort"])
@pytest.mark.parametrize("when", ["with it", "after it"])
@pytest.mark.parametrize("add", [add_links, add_submodule])
def test_links_and_submodules_come_and_go(fork, mine, call, git, tmp_path, add, when, way):
    mine(fork, {"zero.txt": b"mine\n"}, "zero")
    if when == "after it":
        mine(fork, CLASH, "second")
    add(fork, git, tmp_path)
    mine(fork, CLASH if when == "with it" else {}, "with more than files")
    before = git(fork, "ls-files", "-s")
    assert call("upgrade", fork, "--to", CHANGED).code == 3
    if way == "--continue":
        resolve(fork)
        git(fork, "add", TASKS)
    outcome = call("upgrade", fork, way)
    assert outcome.code == 0, outcome.err
    if way == "--abort":
        assert git(fork, "ls-files", "-s") == before
    left = "?? sub/" if (when, way, add) == ("with it", "--skip", add_submodule) else ""
    assert git(fork, "status", "--porcelain") == left
    if add is add_submodule:
        assert (fork / "sub" / "s.txt").is_file()
    elif (when, way) != ("with it", "--skip"):
        assert str((fork / "dangling").readlink()) == "nowhere"


def test_the_hint_for_a_checkout_elsewhere_works(stopped, call, git):
    old = git(stopped, "rev-parse", "slim")
    git(stopped, "checkout", "-q", "-f", "--detach")
    git(stopped, "branch", "-q", "-D", f"upgrade-to-{CHANGED}")
    outcome = call("upgrade", stopped, "--abort")
    assert outcome.code == 2
    assert f"git -C {stopped} switch slim, then what you did again" in outcome.err
    git(stopped, "switch", "-q", "slim")
    assert call("upgrade", stopped, "--abort").code == 0
    assert git(stopped, "rev-parse", "HEAD") == old


@pytest.mark.parametrize("way", ["--continue", "--skip"])
def test_two_commits_for_one_are_refused_and_the_hint_works(stopped, call, git, way):
    resolve(stopped)
    git(stopped, "commit", "-q", "-a", "-m", "one")
    git(stopped, "commit", "-q", "--allow-empty", "-m", "two")
    outcome = call("upgrade", stopped, way)
    assert outcome.code == 2
    assert "with one commit of yours on it" in outcome.err
    git(stopped, "reset", "-q", "--soft", outcome.err.split("--soft ")[1].split(",")[0])
    outcome = call("upgrade", stopped, way)
    assert outcome.code == 0, outcome.err
    assert (RESOLVED in (stopped / TASKS).read_bytes()) == (way == "--continue")


@pytest.mark.parametrize("way", ["file to folder", "folder to file"])
def test_a_file_that_becomes_a_folder_is_named_and_the_hint_works(fork, mine, call, git, way):
    files = ["x", "x/y.txt"] if way == "file to folder" else ["x/y.txt", "x"]
    mine(fork, {files[0]: b"mine\n"}, "zero")
    mine(fork, CLASH, "second")
    git(fork, "rm", "-q", "-r", "x")
    mine(fork, {files[1]: b"mine\n"}, "third")
    outcome = call("upgrade", fork, "--to", CHANGED)
    assert outcome.code == 2
    assert "x is a file on one side and a folder on the other" in outcome.err
    git(fork, "mv", "x", "another-name")
    mine(fork, {}, "moved")
    assert call("upgrade", fork, "--to", CHANGED).code == 3
    resolve(fork)
    git(fork, "add", TASKS)
    outcome = call("upgrade", fork, "--continue")
    assert outcome.code == 0, outcome.err
    assert git(fork, "ls-files", "x", "another-name*") == ("another-name/y.txt" if files[0] == "x" else "another-name")
