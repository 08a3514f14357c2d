"""`status --verify-tree`: a fork is exactly what its lock makes, or what differs is named; the user's is the user's.

Also of: `slimfork.series.tell_proof`, `slimfork.series.workbench`.
"""

from __future__ import annotations

import pytest

from slimfork.releases import pins
from tests.sampling import sampled
from tests.tools.conftest import write
from tests.tools.small_release import LOSS, TRAINER, VERSION
from tests.tools.users_work import KEPT

SLIM = "ultralytics/slim/__init__.py"


def prove(call, path):
    told = call("status", path, "--verify-tree", "--json")
    return told, told.json["proof"]


def commit(git, path, message="mine", *more):
    git(path, "add", "-A", "-f")
    git(path, "commit", "-q", "-m", message, *more)


def differing(proof):
    return {one["path"]: one["what"] for one in proof["differences"]}


def test_a_new_fork_is_the_very_commit(fork, call, git):
    told, proof = prove(call, fork)
    assert (told.code, proof["exact"], proof["same_commit"]) == (0, True, True)
    assert proof["lock_makes"] == proof["compared"] == git(fork, "rev-parse", "HEAD")
    shown = call("status", fork, "--verify-tree").out
    assert f"is the very commit that the lock makes of ultralytics=={VERSION}" in shown
    assert "proof" not in call("status", fork, "--json").json


@pytest.mark.parametrize("options", [("--no-compat",), ("--skip", "zclip")])
def test_what_is_left_out_belongs_to_it(world, call, tmp_path, options):
    assert world.is_dir()
    assert call("vendor", f"ultralytics=={VERSION}", "--into", tmp_path / "fork", *options).code == 0
    told, proof = prove(call, tmp_path / "fork")
    assert (told.code, proof["same_commit"]) == (0, True)


def test_the_users_commits_on_top_are_listed_and_no_failure(fork, call, git):
    write(fork, {"mine.txt": b"mine\n", TRAINER: b"# mine\n" + (fork / TRAINER).read_bytes(), SLIM: b"# mine\n"})
    commit(git, fork)
    git(fork, "switch", "-q", "-c", "side", "HEAD~1")
    write(fork, {"other.txt": b"mine\n"})
    commit(git, fork, "other")
    git(fork, "switch", "-q", "slim")
    git(fork, "merge", "-q", "--no-ff", "-m", "joined", "side")
    told, proof = prove(call, fork)
    assert (told.code, proof["exact"], proof["same_commit"]) == (0, True, True)
    assert [c["subject"] for c in told.json["own"]] == ["mine", "other", "joined"]


def test_the_users_commits_between_ours_are_taken_into_account(fork, call, git):
    assert call("revert", fork, "--patch", "penalty").code == 0
    write(fork, {"mine.txt": b"mine\n", LOSS: b"# mine\n" + (fork / LOSS).read_bytes()})
    commit(git, fork)
    assert call("apply", fork).code == 0
    told, proof = prove(call, fork)
    assert (told.code, proof["exact"], proof["compared"]) == (0, True, git(fork, "rev-parse", "HEAD"))
    write(fork, {SLIM: b"# mine\n"})
    git(fork, "commit", "-q", "-a", "--amend", "-C", "HEAD")  # into a commit of ours
    told, proof = prove(call, fork)
    assert (told.code, differing(proof)) == (1, {SLIM: "another content"})


def test_whatever_differs_is_named(fork, call, git):
    write(fork, {SLIM: b"# mine\n", "new.txt": b"mine\n"})
    (fork / "run.sh").chmod(0o644)
    (fork / "crlf.txt").unlink()
    (fork / "link").symlink_to("nowhere")
    git(fork, "add", "-A", "-f")
    git(fork, "commit", "-q", "--amend", "-C", "HEAD")
    told, proof = prove(call, fork)
    assert (told.code, proof["import"]) == (1, [])
    assert differing(proof) == {
        SLIM: "another content",
        "new.txt": "not of the lock",
        "run.sh": "mode 100644, not 100755",
        "crlf.txt": "missing",
        "link": "a link that is not of the lock",
    }
    shown = call("status", fork, "--verify-tree")
    assert f"{fork} is not exactly its lock" in shown.err
    assert "run.sh  (mode 100644, not 100755)" in shown.out


def test_an_import_that_is_not_the_release_is_named(fork, call, git):
    KEPT["fixup of the import"](git, fork)
    told, proof = prove(call, fork)
    assert told.code == 1
    assert [one["path"] for one in proof["import"]] == ["README.md"]
    assert f"apply-patches vendor ultralytics=={VERSION}" in call("status", fork, "--verify-tree").err


def test_a_patch_that_was_taken_out_is_missing(fork, call):
    assert call("revert", fork, "--patch", "zclip").code == 0
    told, proof = prove(call, fork)
    assert (told.code, differing(proof)) == (1, {TRAINER: "another content"})


def test_what_another_slimfork_has_left_differs_until_it_is_brought_along(fork, world, call):
    write(world, {"overlay/slim/__init__.py": b'"""Newer."""\n'})
    told, proof = prove(call, fork)
    assert told.code == 1
    assert set(differing(proof)) == {SLIM, "ultralytics/slim/overlay.sha256"}
    assert f"apply-patches apply {fork}" in call("status", fork, "--verify-tree").err
    assert call("apply", fork).code == 0
    told, proof = prove(call, fork)
    assert (told.code, proof["exact"], proof["same_commit"]) == (0, True, False)
    assert "has exactly the files that the lock makes" in call("status", fork, "--verify-tree").out


def test_replace_refs_and_settings_have_no_say(fork, call, git):
    write(fork, {SLIM: b"# mine\n"})
    good = git(fork, "rev-parse", "HEAD")
    git(fork, "add", "-A")
    git(fork, "commit", "-q", "--amend", "-C", "HEAD")
    git(fork, "replace", git(fork, "rev-parse", "HEAD^{tree}"), git(fork, "rev-parse", f"{good}^{{tree}}"))
    told, proof = prove(call, fork)
    assert (told.code, differing(proof)) == (1, {SLIM: "another content"})


@pytest.mark.parametrize("name", sampled(KEPT, by_default=[*KEPT][1::2]))
def test_every_kind_of_work_is_proved_or_named(fork, call, git, name):
    KEPT[name](git, fork)
    told, proof = prove(call, fork)
    named = proof["import"] or proof["differences"] or proof["unclear"]
    assert bool(named) != proof["exact"]
    assert told.code == (0 if proof["exact"] and told.json["complete"] else 1)


def test_what_cannot_be_proved_is_refused(clone, call):
    assert call("apply", clone).code == 0
    refused = call("status", clone, "--verify-tree")
    assert refused.code == 2
    assert "a history of its own" in refused.err


def test_an_import_of_another_hash_than_is_pinned_is_named(fork, call):
    known = [pin for pin in pins.load("ultralytics") if pin.version != VERSION]
    (mine,) = [pin for pin in pins.load("ultralytics") if pin.version == VERSION]
    facts = {name: getattr(mine, name) for name in ("upstream", "version", "filename", "size", "uploaded")}
    pins.save("ultralytics", [*known, pins.Pin(**facts, sha256="0" * 64)])
    refused = call("status", fork, "--verify-tree")
    assert refused.code == 1
    assert "0000000000000000 is pinned" in refused.err
