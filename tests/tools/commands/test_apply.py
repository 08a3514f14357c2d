"""`apply-patches apply`: commits on the user's branch, all or none of them, and never on top of unsaved work."""

from __future__ import annotations

import os
import shutil
import signal

import pytest

from slimfork.git.repo import LOCK
from tests.tools.conftest import write
from tests.tools.small_release import CLONED, LOSS, PATCHED_STEP, TRAINER

PATCHED = ["Integrate on NumPy 2.4", "Add a penalty", "Clip before the step", "Add the slim package"]


def subjects(git, path):
    return git(path, "log", "--reverse", "--format=%s").split("\n")


def edit(path, old, new):
    text = path.read_bytes()
    assert text.count(old) == 1
    path.write_bytes(text.replace(old, new))


def refused(git, call, path, *words, code=2):
    """Apply, expect a refusal that says these words, and that nothing has changed; return it."""
    before = git(path, "rev-parse", "HEAD"), git(path, "status", "--porcelain")
    outcome = call("apply", path)
    assert outcome.code == code
    assert outcome.out == ""
    assert "try: " in outcome.err
    for word in words:
        assert word in outcome.err
    assert (git(path, "rev-parse", "HEAD"), git(path, "status", "--porcelain")) == before
    return outcome


def test_a_checkout_gets_one_commit_a_patch(clone, call, git):
    outcome = call("apply", clone)
    assert outcome.code == 0
    assert "made 4 commits" in outcome.out
    assert subjects(git, clone) == ["everything so far", *PATCHED]
    assert git(clone, "symbolic-ref", "HEAD") == "refs/heads/main"
    assert PATCHED_STEP in (clone / TRAINER).read_bytes()
    assert (clone / "prune.py").exists()
    assert git(clone, "status", "--porcelain") == ""
    assert not list((clone / ".git").glob("slimfork-*"))


def test_a_second_run_has_nothing_to_do(clone, call, git):
    call("apply", clone)
    tip = git(clone, "rev-parse", "HEAD")
    again = call("apply", clone, "--json")
    assert (again.code, again.json["commits"], again.json["head"]) == (0, [], tip)
    assert git(clone, "rev-parse", "HEAD") == tip


def test_the_commits_depend_on_nothing_but_the_checkout(clone, call, git, tmp_path, monkeypatch):
    shutil.copytree(clone, tmp_path / "other")
    call("apply", clone)
    monkeypatch.setenv("TZ", "America/Caracas")
    git(tmp_path / "other", "config", "--global", "commit.gpgsign", "true")
    git(tmp_path / "other", "config", "user.name", "Somebody Else")
    assert call("apply", tmp_path / "other").code == 0
    assert git(clone, "rev-parse", "HEAD") == git(tmp_path / "other", "rev-parse", "HEAD")


def test_dry_run_and_json_tell_the_same_commits(clone, call, git):
    dry = call("apply", clone, "--dry-run", "--json").json
    assert subjects(git, clone) == ["everything so far"]
    real = call("apply", clone, "--json").json
    assert [c["subject"] for c in dry["commits"]] == [c["subject"] for c in real["commits"]] == PATCHED
    assert [c["files"] for c in dry["commits"]] == [c["files"] for c in real["commits"]]
    assert [c["sha"] for c in real["commits"]] == git(clone, "rev-list", "--reverse", "HEAD").split()[1:]


def test_only_what_is_missing_is_applied(fork, call, git):
    call("revert", fork, "--patch", "penalty")
    git(fork, "rm", "-q", "ultralytics/slim/pruning/plan.py")
    git(fork, "commit", "-q", "-m", "without a plan")
    assert [c["subject"] for c in call("apply", fork, "--json").json["commits"]] == [
        "Add a penalty",
        "Update the slim package",
    ]
    assert call("status", fork).code == 0


def test_a_newer_toolkit_updates_the_overlay_but_not_what_the_user_changed_in_it(fork, world, call, git):
    edit(fork / "prune.py", b"prune", b"my own prune")
    git(fork, "commit", "-q", "-a", "-m", "mine")
    write(
        world, {"overlay/ultralytics/8.9.0..8.9.9/prune.py": b"print('newer')\n", "overlay/slim/new.py": b"NEW = 1\n"}
    )
    (world / "overlay/slim/pruning/plan.py").unlink()
    assert call("status", fork, "--json").json["overlay"]["files"] == {
        "prune.py": "modified",
        "ultralytics/slim/__init__.py": "present",
        "ultralytics/slim/new.py": "missing",
        "ultralytics/slim/overlay.sha256": "outdated",
        "ultralytics/slim/pruning/plan.py": "dropped",
    }
    assert call("apply", fork, "--json").json["commits"][0]["files"] == [
        "ultralytics/slim/new.py",
        "ultralytics/slim/overlay.sha256",
        "ultralytics/slim/pruning/plan.py",
    ]
    assert b"my own prune" in (fork / "prune.py").read_bytes()
    assert not (fork / "ultralytics/slim/pruning/plan.py").exists()
    assert call("status", fork).code == 0


def test_unsaved_work_is_refused_by_name(clone, call, git):
    for number in range(12):
        write(clone, {f"file{number:02}.txt": b"x"})
    git(clone, "add", "-A")
    edit(clone / TRAINER, b"import os", b"import os, sys")
    said = refused(git, call, clone, "file00.txt", "file09.txt", "and 3 more", "stash").err
    assert "file11.txt" not in said


def test_untracked_files_do_not_matter_unless_they_are_in_the_way(clone, call, git):
    write(clone, {"runs/best.pt": b"\0", "ultralytics/__pycache__/x.pyc": b"\0"})
    assert call("apply", clone).code == 0
    call("revert", clone)
    write(clone, {"ultralytics/slim/pruning/plan.py": b"mine"})
    refused(git, call, clone, "untracked files are in the way: ultralytics/slim/pruning/plan.py")
    assert (clone / "ultralytics/slim/pruning/plan.py").read_bytes() == b"mine"


def test_tracked_files_in_the_overlays_place_are_refused(clone, call, git):
    write(clone, {"ultralytics/slim/pruning/plan.py": b"mine"})
    git(clone, "add", "-A")
    git(clone, "commit", "-q", "-m", "a slim of my own")
    refused(git, call, clone, "ultralytics/slim/pruning/plan.py", code=3)


def test_patches_that_do_not_fit_are_all_explained(clone, call, git):
    edit(clone / TRAINER, b"self.backward()", b"self.backwards()")
    edit(clone / LOSS, b"np.trapz", b"np.integrate")
    git(clone, "commit", "-q", "-a", "-m", "changed upstream")
    refused(git, call, clone, "2 patches", "self.backward()", "np.trapz", "nothing was changed", code=3)


def test_a_version_without_a_pin_names_the_newest_and_the_way_round(clone, call, git):
    edit(clone / "ultralytics/__init__.py", b"8.9.0", b"8.9.7")
    git(clone, "commit", "-q", "-a", "-m", "newer")
    refused(git, call, clone, "8.9.7", "newest pin is 8.9.1", "--allow-unpinned")
    assert call("apply", clone, "--allow-unpinned").code == 0
    assert (
        git(clone, "log", "-1", "--format=%(trailers:key=Upstream,valueonly)").strip() == "ultralytics==8.9.7 unpinned"
    )
    assert call("status", clone).code == 0
    assert "nothing to do" in call("apply", clone).out


def test_a_version_newer_than_the_patches_is_tried_by_structure_where_allowed(clone, call, git):
    edit(clone / "ultralytics/__init__.py", b"8.9.0", b"8.10.0")
    git(clone, "commit", "-q", "-a", "-m", "a line that no variant is for")
    refused(git, call, clone, "8.10.0", "not pinned", "--allow-unpinned")
    status = call("status", clone, "--json").json
    assert status["unpinned"]
    assert {patch["id"]: patch["state"] for patch in status["patches"]} == {
        "old_numpy": "pending",
        "penalty": "pending",
        "zclip": "pending",
        "zold": "excluded",
    }
    assert call("apply", clone, "--allow-unpinned").code == 0
    assert PATCHED_STEP in (clone / TRAINER).read_bytes()
    assert "8.10.0 (unpinned)" in call("status", clone).out
    assert (clone / "prune.py").exists()  # the newest line's


def test_no_branch_no_commit(clone, call, git):
    git(clone, "checkout", "-q", "--detach")
    refused(git, call, clone, "on no branch", "switch -c slim")


def test_in_the_middle_of_a_merge(clone, call, git):
    (clone / ".git/MERGE_HEAD").write_text(git(clone, "rev-parse", "HEAD") + "\n")
    refused(git, call, clone, "a merge is under way")


@pytest.mark.usefixtures("world")
def test_what_is_no_checkout_gets_an_answer_of_its_own(clone, call, git, tmp_path):
    (tmp_path / "nothing").mkdir()
    write(tmp_path / "files", {"a": b""})
    git(tmp_path, "init", "-q", "young")
    git(tmp_path, "clone", "-q", "--bare", str(clone), "bare.git")
    other = tmp_path / "other"
    git(tmp_path, "init", "-q", "other")
    write(other, {"setup.py": b""})
    git(other, "add", "-A")
    git(other, "commit", "-q", "-m", "x")
    v5 = tmp_path / "v5"
    git(tmp_path, "init", "-q", "v5")
    write(v5, {"models/yolo.py": b"", "detect.py": b"", "train.py": b""})
    git(v5, "add", "-A")
    git(v5, "commit", "-q", "-m", "x")
    answers = {
        tmp_path / "missing": "does not exist",
        clone / TRAINER: "is not a folder",
        tmp_path / "nothing": "is empty",
        tmp_path / "files": "is not a git repository",
        clone / "ultralytics": "inside the repository",
        tmp_path / "young": "no commits yet",
        tmp_path / "bare.git": "is a bare repository",
        other: "another project",
        v5: "YOLOv5",
    }
    for path, words in answers.items():
        for verb in ("apply", "status", "diff", "revert"):
            outcome = call(verb, path)
            assert (outcome.code, outcome.out) == (2, ""), path
            first, hint = outcome.err.splitlines()
            assert words in first
            assert hint.startswith("  try: ")


def test_environment_and_hooks_of_the_user_have_no_say(clone, call, monkeypatch, tmp_path):
    for hook in ("pre-commit", "reference-transaction", "post-checkout", "post-index-change"):
        write(clone / ".git/hooks", {hook: b"#!/bin/sh\ntouch ran\nexit 1\n"})
        (clone / ".git/hooks" / hook).chmod(0o755)
    monkeypatch.setenv("GIT_DIR", str(tmp_path))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "index"))
    assert call("apply", clone).code == 0
    assert os.environ["GIT_DIR"] == str(tmp_path)
    monkeypatch.undo()
    assert not (clone / "ran").exists()


def test_line_endings_of_the_users_work_tree_stay_theirs(clone, call, git):
    """With core.autocrlf the work tree has CRLF and the commits LF; both stay so."""
    git(clone, "config", "--global", "core.autocrlf", "true")
    (clone / TRAINER).unlink()
    git(clone, "checkout", "--", TRAINER)
    assert b"\r\n" in (clone / TRAINER).read_bytes()
    assert call("apply", clone).code == 0
    assert PATCHED_STEP.replace(b"\n", b"\r\n") in (clone / TRAINER).read_bytes()
    assert git(clone, "status", "--porcelain") == ""
    assert b"\r" not in git(clone, "show", f"HEAD:{TRAINER}").encode()


def test_linked_worktrees_and_odd_paths(clone, call, git, tmp_path):
    path = tmp_path / "a $HOME ü" / "-tree"
    git(clone, "worktree", "add", "-q", "-b", "slim", str(path))
    assert call("apply", path).code == 0
    assert subjects(git, path) == ["everything so far", *PATCHED]
    assert subjects(git, clone) == ["everything so far"]
    assert git(path, "status", "--porcelain") == ""


def test_two_runs_at_once_do_not_meet(clone, call, git):
    from filelock import FileLock

    with FileLock(clone / ".git" / LOCK):
        refused(git, call, clone, "another apply-patches is at work")
    assert call("apply", clone).code == 0


def test_a_git_command_at_work_is_waited_for_by_the_user(clone, call, git):
    (clone / ".git/index.lock").write_bytes(b"")
    head = git(clone, "rev-parse", "HEAD")
    outcome = call("apply", clone)
    assert outcome.code == 2
    assert "another git command is at work" in outcome.err
    assert git(clone, "rev-parse", "HEAD") == head
    assert not list((clone / ".git").glob("slimfork-*"))
    (clone / ".git/index.lock").unlink()
    assert call("apply", clone).code == 0


@pytest.mark.parametrize("verb", ["fast-import", "update-ref", "checkout-index"])
def test_ctrl_c_leaves_the_old_state_or_the_new_one(clone, call, git, monkeypatch, verb):
    from slimfork.git.repo import Repository

    run, this = Repository.run, os.getpid()

    def interrupted(self, *arguments, **options):
        if verb in arguments:
            os.kill(this, signal.SIGINT)
        return run(self, *arguments, **options)

    monkeypatch.setattr(Repository, "run", interrupted)
    assert call("apply", clone).code == 130
    monkeypatch.undo()
    assert git(clone, "status", "--porcelain") == ""
    assert len(subjects(git, clone)) == (5 if verb == "update-ref" else 1)
    assert not list((clone / ".git").glob("slimfork-*"))


def test_nothing_of_the_release_is_lost_on_the_way(clone, call, git):
    call("apply", clone)
    tracked = set(git(clone, "-c", "core.quotePath=false", "ls-files", "-z").split("\0")) - {""}
    slim = {f"ultralytics/slim/{name}" for name in ("__init__.py", "overlay.sha256", "pruning/plan.py")}
    assert tracked == {*CLONED, "prune.py", *slim}


@pytest.mark.parametrize("how", [["--depth=1"], ["--filter=blob:none"], ["--shared"], ["--depth=1", "--filter=tree:0"]])
def test_clones_that_do_not_hold_everything(clone, call, git, tmp_path, how):
    git(clone, "config", "uploadpack.allowFilter", "true")
    write(clone, {"second.py": b""})
    git(clone, "add", "-A")
    git(clone, "commit", "-q", "-m", "second")
    git(tmp_path, "clone", "-q", *how, f"file://{clone}" if "--shared" not in how else str(clone), "part")
    before = git(tmp_path / "part", "rev-parse", "HEAD^{tree}")
    assert call("apply", tmp_path / "part").code == 0
    assert git(tmp_path / "part", "status", "--porcelain") == ""
    assert call("status", tmp_path / "part").code == 0
    assert call("revert", tmp_path / "part").code == 0
    assert git(tmp_path / "part", "rev-parse", "HEAD^{tree}") == before


def test_a_sha256_checkout_goes_there_and_back(call, git, tmp_path, world):
    assert world.is_dir()
    git(tmp_path, "init", "-q", "--object-format=sha256", "new")
    write(tmp_path / "new", CLONED)
    git(tmp_path / "new", "add", "-A", "-f")
    git(tmp_path / "new", "commit", "-q", "-m", "x")
    assert call("apply", tmp_path / "new").code == 0
    assert call("revert", tmp_path / "new").code == 0
    assert git(tmp_path / "new", "diff", "--stat", "HEAD~5") == ""
    assert git(tmp_path / "new", "status", "--porcelain") == ""
