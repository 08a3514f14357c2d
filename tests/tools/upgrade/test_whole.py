"""A checkout with a history of its own moves by a merge of what two releases differ in."""

from __future__ import annotations

import pytest

from slimfork.forks.history import read_history
from slimfork.git.repo import open_repository
from tests.tools.conftest import write
from tests.tools.small_release import PATCHED_STEP, TRAINER
from tests.tools.upgrade.conftest import CHANGED, DEFAULTS, LIKE_MODEL, MODEL, MOVED, MOVED_DEFAULTS, TASKS, later
from tests.tools.users_work import SLIM

ABSENT = "mixed.txt"  # of each release, and not of this checkout


@pytest.fixture
def own(releases, git, tmp_path):
    """A clone as somebody has it: files that no release carries, some commits, and the patches on top."""
    assert releases.is_dir()
    path = tmp_path / "own"
    path.mkdir()
    git(path, "init", "-q", "-b", "main")
    git(path, "config", "user.name", "Ann")
    git(path, "config", "user.email", "ann@example.org")
    files = {name: data for name, data in later("8.9.0").items() if name not in {".gitattributes", ABSENT}}
    write(path, {**files, "docs/index.md": b"docs\n"})
    git(path, "add", "-A", "-f")
    git(path, "commit", "-q", "-m", "everything so far")
    return path


@pytest.fixture
def patched(own, call):
    assert call("apply", own).code == 0
    return own


def test_upstreams_difference_comes_to_what_stands_there(patched, call, git, mine):
    old = mine(patched, {TASKS: (b"a20 = 20\n", b"a20 = 'mine'\n"), "mine.txt": b"mine\n"})
    (patched / "untracked.txt").write_text("mine")
    outcome = call("upgrade", patched, "--to", CHANGED)
    assert outcome.code == 0, outcome.err
    assert "what the releases differ in is merged" in outcome.out
    content = (patched / TASKS).read_bytes()
    assert b"a10 = 'theirs'\n" in content
    assert b"a20 = 'mine'\n" in content
    assert PATCHED_STEP in (patched / TRAINER).read_bytes()
    assert (patched / "docs/index.md").read_bytes() == b"docs\n"
    assert (patched / "come.txt").is_file()
    assert not (patched / "crlf.txt").exists()
    assert not (patched / ABSENT).exists()
    assert git(patched, "status", "--porcelain") == "?? untracked.txt"
    assert git(patched, "merge-base", old, "HEAD") == old
    assert git(patched, "for-each-ref", "--format=%(refname)") == "refs/heads/main"
    status = call("status", patched, "--json").json
    assert (status["version"], status["complete"]) == (CHANGED, True)


def test_what_it_stands_on_now_is_the_release_without_patches(patched, call, git):
    assert call("upgrade", patched, "--to", CHANGED).code == 0
    with open_repository(patched) as repository:
        base = read_history(repository, repository.head()).base
    assert git(patched, "log", "-1", "--format=%s", base) == f"Move from 8.9.0 to ultralytics {CHANGED}"
    assert b"self.penalty()" not in git(patched, "show", f"{base}:{TRAINER}").encode()


def test_there_and_back_are_the_same_files(patched, call, git, mine):
    mine(patched, {TASKS: (b"a20 = 20\n", b"a20 = 'mine'\n"), DEFAULTS: (b"key10: 10\n", b"key10: mine\n")})
    tree = git(patched, "rev-parse", "HEAD^{tree}")
    for version in (CHANGED, "8.9.0", MOVED, "8.9.0"):
        outcome = call("upgrade", patched, "--to", version)
        assert outcome.code == 0, outcome.err
    assert git(patched, "diff", "--stat", tree, "HEAD") == ""


def test_a_moved_file_is_followed(patched, call, git, mine):
    mine(patched, {DEFAULTS: (b"key10: 10\n", b"key10: mine\n")})
    assert call("upgrade", patched, "--to", MOVED).code == 0
    assert b"key10: mine\n" in (patched / MOVED_DEFAULTS).read_bytes()
    assert not (patched / DEFAULTS).exists()
    assert git(patched, "log", "--format=%s").count("Move files as the release has moved them") == 1


def test_no_change_ends_in_a_file_that_is_merely_alike(patched, call, git, mine):
    mine(patched, {MODEL: (b"- [5, Conv]\n", b"- [5, Mine]\n")})
    outcome = call("upgrade", patched, "--to", MOVED)
    assert outcome.code == 3
    assert f"{MODEL} (modify/delete)" in outcome.out
    assert git(patched, "ls-files", "-u").count(MODEL) == 2
    assert b"Mine" not in (patched / LIKE_MODEL).read_bytes()
    git(patched, "rm", "-q", MODEL)
    outcome = call("upgrade", patched, "--continue")
    assert outcome.code == 0, outcome.err
    assert call("status", patched, "--json").json["complete"]


@pytest.mark.parametrize("way", ["--continue", "--abort"])
def test_a_conflict_waits_and_can_be_undone(patched, call, git, mine, way):
    old = mine(patched, {TASKS: (b"a10 = 10\n", b"a10 = 'mine'\n")})
    (patched / "untracked.txt").write_text("mine")
    outcome = call("upgrade", patched, "--to", CHANGED)
    assert outcome.code == 3
    assert git(patched, "rev-parse", "main") == old
    git(patched, "checkout", "-q", "--ours", TASKS)
    git(patched, "add", TASKS)
    outcome = call("upgrade", patched, way)
    assert outcome.code == 0, outcome.err
    assert git(patched, "symbolic-ref", "--short", "HEAD") == "main"
    assert git(patched, "status", "--porcelain") == "?? untracked.txt"
    assert b"a10 = 'mine'\n" in (patched / TASKS).read_bytes()
    assert (git(patched, "rev-parse", "main") == old) == (way == "--abort")
    assert call("status", patched, "--json").json["version"] == ("8.9.0" if way == "--abort" else CHANGED)


def test_the_step_itself_cannot_be_skipped_and_keeps_its_words(patched, call, git, mine):
    mine(patched, {TASKS: (b"a10 = 10\n", b"a10 = 'mine'\n")})
    assert call("upgrade", patched, "--to", CHANGED).code == 3
    outcome = call("upgrade", patched, "--skip")
    assert outcome.code == 2
    assert "--abort" in outcome.err
    git(patched, "checkout", "-q", "--ours", TASKS)
    git(patched, "commit", "-q", "-a", "-m", "in my own words")
    assert call("upgrade", patched, "--continue").code == 0
    assert call("status", patched, "--json").json["complete"]
    assert call("upgrade", patched, "--to", "8.9.0").code == 3


def test_an_edited_file_of_the_overlay_is_kept_and_named(patched, releases, call, mine):
    path = f"{SLIM}/pruning/plan.py"
    mine(patched, {path: (b"RATIO = 0.5\n", b"RATIO = 0.7\n")})
    newer = releases / "overlay/slim/pruning/plan.py"
    newer.write_bytes(newer.read_bytes() + b"\n\n\nMORE = 1\n")
    outcome = call("upgrade", patched, "--to", CHANGED)
    assert outcome.code == 0, outcome.err
    assert "kept as you have changed them" in outcome.err
    assert (patched / path).read_bytes().startswith(b"RATIO = 0.7\n")


def test_without_patches_there_is_nothing_to_move(own, call):
    outcome = call("upgrade", own, "--to", CHANGED)
    assert outcome.code == 2
    assert "has no patches yet" in outcome.err
    assert "apply-patches apply" in outcome.err


def test_a_dry_run_changes_nothing(patched, call, git):
    before = git(patched, "for-each-ref"), git(patched, "status", "--porcelain")
    assert call("upgrade", patched, "--to", CHANGED, "--dry-run").code == 0
    assert (git(patched, "for-each-ref"), git(patched, "status", "--porcelain")) == before


def test_a_patch_that_was_taken_out_stays_out(patched, call):
    assert call("revert", patched, "--patch", "zclip").code == 0
    for version in (CHANGED, "8.9.4"):
        assert call("upgrade", patched, "--to", version).code == 0
        assert b"clip" not in (patched / TRAINER).read_bytes()
        assert b"self.penalty()" in (patched / TRAINER).read_bytes()
    assert call("apply", patched).code == 0
    assert call("upgrade", patched, "--to", CHANGED).code == 0
    assert PATCHED_STEP in (patched / TRAINER).read_bytes()


def test_a_deleted_file_of_the_overlay_stays_deleted_and_is_named(patched, call, mine):
    path = f"{SLIM}/pruning/plan.py"
    mine(patched, {path: None})
    outcome = call("upgrade", patched, "--to", CHANGED)
    assert outcome.code == 0, outcome.err
    assert f"you have deleted of the overlay, and it stays so: {path}" in outcome.err
    assert not (patched / path).exists()


@pytest.mark.parametrize("dry", [["--dry-run"], []])
def test_patches_that_would_not_fit_are_said_beforehand(patched, call, git, mine, dry):
    """The user has moved the line that a patch stands at, in a function that the patch does not know."""
    old = mine(patched, {TRAINER: (b"def step(self):", b"def stride(self):")})
    outcome = call("upgrade", patched, "--to", CHANGED, *dry)
    assert outcome.code == 3
    assert git(patched, "rev-parse", "HEAD") == old
    assert "try: " in outcome.err
