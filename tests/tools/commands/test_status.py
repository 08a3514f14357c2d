"""`apply-patches status`: what is in a fork, told from its commits and content alone."""

from __future__ import annotations

import pytest

from tests.tools.conftest import write
from tests.tools.small_release import LOSS, TRAINER, VERSION


def states(outcome):
    return {patch["id"]: patch["state"] for patch in outcome.json["patches"]}


def test_a_new_fork_is_complete(fork, call, git):
    status = call("status", fork, "--json")
    assert status.code == 0
    facts = status.json
    assert states(status) == {"old_numpy": "applied", "penalty": "applied", "zclip": "applied", "zold": "excluded"}
    assert (facts["upstream"], facts["version"], facts["tag"]) == ("ultralytics", VERSION, f"upstream/{VERSION}")
    assert (facts["branch"], facts["own"], facts["dirty"]) == ("slim", [], [])
    assert facts["overlay"]["state"] == "present"
    made = git(fork, "rev-list", "--reverse", "HEAD").split()
    assert [facts["import"], *(p["commit"] for p in facts["patches"][:3]), facts["overlay"]["commit"]] == made
    assert [p["files"] for p in facts["patches"]] == [[LOSS], [TRAINER], [TRAINER], []]
    assert list(facts) == sorted(facts)


def test_the_table_names_every_patch_and_its_state(fork, call, git):
    shown = call("status", fork).out
    sha = git(fork, "log", "-1", "--format=%H", "--grep=Patch-Id: penalty")[:10]
    for words in ("ultralytics 8.9.0 on slim", "tag upstream/8.9.0", sha, "Add a penalty", "overlay: present (4 files"):
        assert words in shown
    assert "\nnot for ultralytics 8.9.0: zold\n" in shown  # folded to a line, after what applies
    assert shown.index("Clip before the step") < shown.index("zold")
    assert "For an older line" not in shown


def test_a_fresh_checkout_is_all_pending(clone, call):
    status = call("status", clone, "--json")
    assert status.code == 1
    assert set(states(status).values()) == {"pending", "excluded"}
    assert status.json["overlay"]["state"] == "missing"
    assert (status.json["import"], status.json["tag"], status.json["own"]) == (None, None, [])
    assert f"apply-patches apply {clone}" in call("status", clone).err


def test_the_users_own_commits_and_unsaved_files_are_listed(fork, call, git):
    write(fork, {"mine.py": b"x = 1\n"})
    git(fork, "add", "-A")
    git(fork, "commit", "-q", "-m", "Mine\n\nA body.")
    write(fork, {"mine.py": b"x = 2\n", "untracked.py": b""})
    facts = call("status", fork, "--json").json
    assert facts["own"] == [{"sha": git(fork, "rev-parse", "HEAD"), "subject": "Mine"}]
    assert facts["dirty"] == ["mine.py"]
    assert call("status", fork).code == 0


def test_state_survives_clone_and_push(fork, call, git, tmp_path):
    git(tmp_path, "init", "-q", "--bare", "server.git")
    git(fork, "push", "-q", str(tmp_path / "server.git"), "slim", "--tags")
    git(tmp_path, "clone", "-q", "-b", "slim", str(tmp_path / "server.git"), "again")
    here, there = (call("status", path, "--json").json for path in (fork, tmp_path / "again"))
    assert {**here, "path": ""} == {**there, "path": ""}
    assert "nothing to do" in call("apply", tmp_path / "again").out


def test_a_squash_keeps_the_state(fork, call, git):
    """A pull request that is merged by squashing has all our trailers in the middle of one message."""
    text = git(fork, "log", "--reverse", "--format=* %B", "upstream..slim") + "\n\nSigned-off-by: Ann <ann@example.org>"
    git(fork, "reset", "-q", "--soft", "upstream")
    git(fork, "commit", "-q", "-m", text)
    squash = git(fork, "rev-parse", "HEAD")
    facts = call("status", fork, "--json").json
    assert facts["complete"]
    assert {p["commit"] for p in facts["patches"]} == {squash, None}
    assert (facts["own"], facts["overlay"]["commit"]) == ([], squash)
    assert call("revert", fork).code == 0
    assert git(fork, "rev-parse", "HEAD^{tree}") == git(fork, "rev-parse", "upstream^{tree}")


def test_without_any_trailer_content_decides(fork, call, git):
    git(fork, "checkout", "-q", "--orphan", "flat")
    git(fork, "commit", "-q", "-m", "all in one")
    status = call("status", fork, "--json")
    assert status.code == 0
    assert {p["commit"] for p in status.json["patches"]} == {None}
    assert "nothing to do" in call("apply", fork).out
    refused = call("revert", fork)
    assert refused.code == 2
    assert "does not tell what was there before" in refused.err


def test_a_broken_patch_is_explained(fork, call, git):
    text = (fork / TRAINER).read_bytes().replace(b"self.backward()", b"self.backwards()")
    write(fork, {TRAINER: text})
    git(fork, "commit", "-q", "-a", "-m", "renamed")
    status = call("status", fork)
    assert status.code == 1
    assert "1 broken" in status.err
    assert "expected self.backward()" in status.out


@pytest.mark.parametrize("verb", ["status", "diff"])
def test_reading_changes_nothing(fork, call, verb):
    def everything():
        return {p: (p.stat().st_mtime_ns, p.read_bytes()) for p in fork.rglob("*") if p.is_file()}

    before = everything()
    assert call(verb, fork).code == 0
    assert everything() == before
