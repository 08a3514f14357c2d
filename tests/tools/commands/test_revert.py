"""`apply-patches revert`: our edits go, the user's stay, and a contradiction changes nothing."""

from __future__ import annotations

import itertools

import pytest

from tests.tools.conftest import write
from tests.tools.small_release import PATCHED_STEP, TRAINER

STEP = PATCHED_STEP.decode().splitlines(keepends=True)
OURS = "        self.penalty()\n"


def commit(git, path, files, subject="mine"):
    write(path, files)
    git(path, "add", "-A")
    git(path, "commit", "-q", "-m", subject)


def with_step(fork, lines):
    """Return the trainer with other lines in its step."""
    return (fork / TRAINER).read_bytes().replace(PATCHED_STEP, "".join(lines).encode())


def tree(git, path, rev="HEAD"):
    return git(path, "rev-parse", f"{rev}^{{tree}}")


def test_all_of_it_gives_the_pristine_import(fork, call, git):
    outcome = call("revert", fork, "--json")
    assert outcome.code == 0
    assert [c["subject"] for c in outcome.json["commits"]] == ["Take out 3 patches and the slim package"]
    assert tree(git, fork) == tree(git, fork, "upstream")
    assert git(fork, "status", "--porcelain") == ""
    assert not (fork / "ultralytics/slim").exists()
    marks = git(fork, "log", "-1", "--format=%(trailers:key=Reverted-Patch-Id,valueonly)").split()
    assert marks == ["old_numpy", "penalty", "zclip"]


def test_apply_puts_everything_back(fork, call, git):
    before = tree(git, fork)
    call("revert", fork)
    status = call("status", fork, "--json")
    assert status.code == 1
    assert {p["state"] for p in status.json["patches"]} == {"pending", "excluded"}
    assert {p["commit"] for p in status.json["patches"]} == {None}
    assert (status.json["overlay"]["state"], status.json["overlay"]["commit"]) == ("missing", None)
    assert call("apply", fork).code == 0
    assert tree(git, fork) == before
    assert call("status", fork).code == 0


def test_a_second_run_has_nothing_to_take_out(fork, call, git):
    call("revert", fork)
    tip = git(fork, "rev-parse", "HEAD")
    again = call("revert", fork)
    assert (again.code, git(fork, "rev-parse", "HEAD")) == (0, tip)
    assert "nothing to take out" in again.out


def test_one_patch_leaves_the_others_and_the_overlay(fork, call):
    outcome = call("revert", fork, "--patch", "penalty")
    assert outcome.code == 0
    assert "Take out the patch penalty" in outcome.out
    assert [line for line in STEP if line != OURS] == (fork / TRAINER).read_text().splitlines(keepends=True)[5:10]
    states = {p["id"]: p["state"] for p in call("status", fork, "--json").json["patches"]}
    assert states == {"old_numpy": "applied", "penalty": "pending", "zclip": "applied", "zold": "excluded"}
    assert "nothing to take out" in call("revert", fork, "--patch", "penalty").out


def test_dry_run_changes_nothing(fork, call, git):
    tip = git(fork, "rev-parse", "HEAD")
    dry = call("revert", fork, "--dry-run", "--json")
    assert dry.json["commits"][0]["sha"] is None
    assert git(fork, "rev-parse", "HEAD") == tip


def test_an_unknown_patch_names_the_nearest(fork, call):
    refused = call("revert", fork, "--patch", "penalti")
    assert refused.code == 2
    assert "no patch 'penalti'" in refused.err
    assert "--patch penalty" in refused.err


@pytest.mark.parametrize("index", range(len(STEP) + 1))
def test_a_users_line_survives_wherever_it_stands(fork, call, git, index):
    """Also right above and right below ours, where `git merge-file` would see a conflict."""
    commit(git, fork, {TRAINER: with_step(fork, [*STEP[:index], "        mine()\n", *STEP[index:]])})
    states = {p["id"]: p["state"] for p in call("status", fork, "--json").json["patches"]}
    for patch, line in (("penalty", OURS), ("zclip", "        self.clip()\n")):
        if states[patch] != "applied":
            continue  # a line between ours and its anchor: the patch is not as it was made
        assert call("revert", fork, "--patch", patch).code == 0
        text = (fork / TRAINER).read_text()
        assert line not in text
        assert "        mine()\n" in text
        git(fork, "reset", "-q", "--hard", "HEAD^")


def test_users_changes_of_the_neighbours_survive(fork, call, git):
    """Every subset of the lines around ours, changed."""
    neighbours = [0, 4, 5]
    for count, chosen in itertools.product(range(1, 4), itertools.combinations(neighbours, 2)):
        lines = [
            line.replace("self.", f"self.m{count}.") if i in chosen[:count] else line for i, line in enumerate(STEP)
        ]
        if lines[4] != STEP[4]:
            continue  # the anchor of the other patch
        commit(git, fork, {TRAINER: with_step(fork, lines)})
        assert call("revert", fork, "--patch", "penalty").code == 0
        assert "".join(line for line in lines if line != OURS) in (fork / TRAINER).read_text()
        git(fork, "reset", "-q", "--hard", "HEAD~2")


def test_users_work_elsewhere_survives_reverting_everything(fork, call, git):
    mine = {"README.md": b"mine\n", "ultralytics/slim/extra.py": b"EXTRA = 1\n"}
    commit(git, fork, {**mine, TRAINER: (fork / TRAINER).read_bytes() + b"\n\nMINE = True\n"})
    assert call("revert", fork).code == 0
    changed = git(fork, "diff", "--name-only", "upstream", "HEAD").split()
    assert changed == sorted([*mine, TRAINER])
    assert (fork / TRAINER).read_bytes().endswith(b"os.getcwd()\n\n\nMINE = True\n")
    assert PATCHED_STEP not in (fork / TRAINER).read_bytes()


def test_an_edited_overlay_file_is_a_conflict_and_nothing_changes(fork, call, git):
    commit(git, fork, {"prune.py": b"mine\n"})
    tip = git(fork, "rev-parse", "HEAD")
    refused = call("revert", fork)
    assert refused.code == 3
    assert "prune.py" in refused.err
    assert "nothing was changed" in refused.err
    assert git(fork, "rev-parse", "HEAD") == tip
    assert call("revert", fork, "--patch", "penalty").code == 0


def test_a_patch_that_was_edited_is_refused_with_its_explanation(fork, call, git):
    commit(git, fork, {TRAINER: with_step(fork, [line.replace("penalty()", "penalty(2)") for line in STEP])})
    tip = git(fork, "rev-parse", "HEAD")
    # The codemod no longer finds its own statement: for it the edit is missing, and there is nothing to take out.
    assert "nothing to take out" in call("revert", fork, "--patch", "penalty").out
    assert git(fork, "rev-parse", "HEAD") == tip
    commit(
        git, fork, {TRAINER: with_step(fork, []).replace(b"penalty(2)", b"x()").replace(b"self.backward", b"self.b")}
    )
    refused = call("revert", fork, "--patch", "penalty")
    assert refused.code == 3
    assert "self.backward()" in refused.err


def test_a_clone_goes_back_to_its_own_past(clone, call, git):
    before = tree(git, clone)
    call("apply", clone)
    assert call("revert", clone).code == 0
    assert tree(git, clone) == before


def test_unsaved_work_is_refused(fork, call):
    write(fork, {TRAINER: b"unsaved"})
    refused = call("revert", fork)
    assert refused.code == 2
    assert TRAINER in refused.err
    assert (fork / TRAINER).read_bytes() == b"unsaved"


def test_what_upstream_has_changed_since_all_was_taken_out_is_not_the_users(clone, call, git):
    call("apply", clone)
    call("revert", clone)
    init = clone / "ultralytics/__init__.py"
    commit(git, clone, {"ultralytics/__init__.py": init.read_bytes().replace(b"8.9.0", b"8.9.1")}, "upstream 8.9.1")
    before = tree(git, clone)
    assert call("apply", clone).code == 0
    assert call("revert", clone).code == 0
    assert tree(git, clone) == before


@pytest.mark.parametrize("lines", [["        mine()\n"], ["        mine()\n", "        # mine\n", "        mine(2)\n"]])
def test_a_statement_between_ours_and_its_anchor_leaves_nothing_of_ours_behind(fork, call, git, lines):
    at = STEP.index(OURS)
    commit(git, fork, {TRAINER: with_step(fork, [*STEP[:at], *lines, *STEP[at:]])})
    states = {p["id"]: p["state"] for p in call("status", fork, "--json").json["patches"]}
    assert states["penalty"] == "applied"
    assert call("apply", fork).out.endswith("nothing to do\n")
    taken = call("revert", fork)
    assert "3 patches" in taken.out
    text = (fork / TRAINER).read_text()
    assert OURS not in text
    assert "".join(lines) in text
