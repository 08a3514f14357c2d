"""`apply-patches vendor --from`: the same commit again, or refused by name with nothing left behind.

Also of: `slimfork.series.remaking`.
"""

from __future__ import annotations

import json
import shutil

import pytest

from slimfork.series import exporting
from tests.tools.conftest import write
from tests.tools.exports import am, commit, tip


def edited(exported, change):
    facts = json.loads((exported / "fork.json").read_bytes())
    change(facts["slimfork"])
    (exported / "fork.json").write_text(json.dumps(facts))


MINE = "0005-mine.patch"
TAMPERED = {
    "a patch": (lambda d: (d / MINE).write_bytes((d / MINE).read_bytes().replace(b"+mine", b"+evil")), "not as it was"),
    "a patch less": (lambda d: (d / MINE).unlink(), f"{MINE} is missing"),
    "a patch more": (lambda d: (d / "0006-x.patch").write_bytes(b""), "does not list: 0006-x.patch"),
    "no fork.json": (lambda d: (d / "fork.json").unlink(), "has no fork.json"),
    "no JSON": (lambda d: (d / "fork.json").write_bytes(b"\xff{"), "is not what `apply-patches export` writes"),
    "another hash": (
        lambda d: edited(d, lambda f: f["commits"][0]["release"].update(sha256="0" * 64)),
        "with hash 0000000000000000, and ",
    ),
    "another release": (
        lambda d: edited(d, lambda f: f["release"].update(spec="ultralytics==8.9.1")),
        "has no import of ultralytics==8.9.1",
    ),
    "an import of another release": (
        lambda d: edited(d, lambda f: f["commits"][0]["release"].update(spec="ultralytics==8.9.1")),
        "is damaged: it has no import of ultralytics==8.9.0",
    ),
    "another message": (
        lambda d: edited(d, lambda f: f["commits"][-1].update(text=f["commits"][-1]["text"] + "x")),
        "has the hash",
    ),
    "a commit less": (lambda d: edited(d, lambda f: f["commits"].pop(2)), "does not stand on those before it"),
    "another head": (lambda d: edited(d, lambda f: f.update(head="0" * 40)), "do not lead to"),
    "another place": (lambda d: edited(d, lambda f: f["commits"][-1].update(file="../x.patch")), "no name of a patch"),
    "a form to come": (lambda d: edited(d, lambda f: f.update(format=2, version="9.9")), "pip install slimfork==9.9"),
}


@pytest.mark.parametrize("name", TAMPERED)
def test_an_export_that_was_tampered_with_is_refused(exported, call, tmp_path, name):
    spoil, words = TAMPERED[name]
    spoil(exported)
    refused = call("vendor", "--from", exported, "--into", tmp_path / "again")
    assert refused.code == 2
    assert words in refused.err
    assert "  try: " in refused.err
    assert not (tmp_path / "again").exists()


def test_a_patch_that_makes_another_tree_is_refused_also_when_its_hash_was_changed_too(exported, call, tmp_path):
    for old, new, words in ((b"+mine", b"+evil", "it makes tree"), (b"--- /dev/null", b"--- a/x", "0005-mine.patch")):
        folder = tmp_path / "spoilt"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(exported, folder)
        content = (folder / MINE).read_bytes().replace(old, new)
        (folder / MINE).write_bytes(content)
        digest = exporting.digest(content)
        edited(folder, lambda facts, digest=digest: facts["commits"][-1].update(sha256=digest))
        refused = call("vendor", "--from", folder, "--into", tmp_path / "again")
        assert refused.code == 2
        assert words in refused.err
        assert not (tmp_path / "again").exists()
        assert not list(tmp_path.glob(".again*"))


def test_an_export_of_another_version_is_made_again_and_the_version_is_said(exported, fork, call, git, tmp_path):
    edited(exported, lambda facts: facts.update(version="0.0.9"))
    made = call("vendor", "--from", exported, "--into", tmp_path / "again")
    assert made.code == 0
    assert "was written by slimfork 0.0.9" in made.err
    assert tip(git, tmp_path / "again") == tip(git, fork)


def test_neither_patches_nor_overlay_of_this_version_are_needed(exported, fork, world, call, git, tmp_path):
    write(world, {"overlay/slim/new.py": b"NEW = 1\n", "overlay/slim/__init__.py": b"newer\n"})
    assert call("vendor", "--from", exported, "--into", tmp_path / "again").code == 0
    assert tip(git, tmp_path / "again") == tip(git, fork)


def test_vendor_from_twice_has_nothing_to_do_and_touches_no_other_folder(exported, fork, call, git, tmp_path):
    again = tmp_path / "again"
    told = call("vendor", "--from", exported, "--into", again, "--dry-run", "--json")
    assert (told.code, told.json["head"], again.exists()) == (0, None, False)
    assert call("vendor", "--from", exported, "--into", again, "--json").json["head"] == tip(git, fork)
    assert "nothing to do" in call("vendor", "--from", exported, "--into", again).out
    git(again, "reset", "-q", "--hard", "HEAD~1")
    refused = call("vendor", "--from", exported, "--into", again)
    assert (refused.code, "is at commit" in refused.err) == (2, True)
    write(tmp_path / "data", {"notes.txt": b"mine"})
    assert "not empty and not a fork" in call("vendor", "--from", exported, "--into", tmp_path / "data").err


@pytest.mark.parametrize("more", [("ultralytics",), ("--no-compat",), ("--skip", "zclip"), ("--allow-unpinned",)])
def test_vendor_from_takes_nothing_that_the_export_says_itself(exported, call, tmp_path, more):
    refused = call("vendor", *more, "--from", exported, "--into", tmp_path / "again")
    assert refused.code == 2
    assert "--from DIR says it all" in refused.err
    assert call("vendor", "--into", tmp_path / "again").code == 2


FIVE = 5  # three patches, the overlay, and one of the user's


@pytest.mark.parametrize("first", ["the new one", "the old one"])
def test_a_fork_that_moved_to_another_release_is_made_again_with_its_past(fork, call, git, tmp_path, first):
    """As an upgrade leaves it that moves the branch forward: the new series, joined with the old one, which is past."""
    write(fork, {"mine.txt": b"mine\n"})
    commit(git, fork)
    old = tip(git, fork)
    assert call("vendor", "ultralytics==8.9.1", "--into", tmp_path / "newer").code == 0
    git(fork, "fetch", "-q", "--tags", str(tmp_path / "newer"), "slim")
    git(fork, "reset", "-q", "--hard", "FETCH_HEAD")
    git(fork, "cherry-pick", old)
    new = tip(git, fork)
    parents = (new, old) if first == "the new one" else (old, new)
    arguments = [word for parent in parents for word in ("-p", parent)]
    git(fork, "reset", "-q", "--hard", git(fork, "commit-tree", *arguments, "-m", "moved", f"{new}^{{tree}}"))
    told = call("export", fork, "--out", tmp_path / "out", "--json")
    if first == "the new one":  # whose import git lists after the other, and `status`, too, takes that for its own
        assert (told.code, "stands on an import of ultralytics==8.9.0" in told.err) == (2, True)
        return
    files = [c["file"] for c in told.json["commits"]]
    assert sum(file is None for file in files) == 3  # two imports, and the joint
    assert sum(str(file).startswith("merged/") for file in files) == FIVE == len([*(tmp_path / "out").glob("*.patch")])
    assert am(git, fork, tmp_path / "out", tmp_path, "upstream/8.9.1") == git(fork, "rev-parse", "HEAD^{tree}")
    assert call("vendor", "--from", tmp_path / "out", "--into", tmp_path / "again").code == 0
    assert tip(git, tmp_path / "again") == tip(git, fork)
    assert git(tmp_path / "again", "tag") == "upstream/8.9.0\nupstream/8.9.1"
    assert git(tmp_path / "again", "log", "-1", "--format=%s", "upstream") == "Import ultralytics 8.9.1"
    proof = call("status", fork, "--verify-tree", "--json").json["proof"]
    assert (proof["exact"], proof["same_commit"]) == (True, True)


def test_a_tag_is_exported_and_made_again(tagged, call, git, tmp_path):
    fork = tmp_path / "fork"
    assert tagged.path.is_dir()
    assert call("vendor", "yolov5@v2.0", "--into", fork).code == 0
    write(fork, {"mine.txt": b"mine\n"})
    commit(git, fork)
    assert call("export", fork, "--out", tmp_path / "out").code == 0
    facts = json.loads((tmp_path / "out/fork.json").read_bytes())
    assert facts["slimfork"]["release"] == {"spec": "yolov5@v2.0", "sha256": None, "commit": tagged.commits["v2.0"]}
    shutil.rmtree(tmp_path / "cache")  # it is fetched again
    made = call("vendor", "--from", tmp_path / "out", "--into", tmp_path / "again", "--git", tagged.path)
    assert made.code == 0, made.err
    assert tip(git, tmp_path / "again") == tip(git, fork)
    assert call("status", tmp_path / "again", "--verify-tree").code == 0
