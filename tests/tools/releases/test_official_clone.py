"""Every tag of YOLOv5's own repository: needs a clone of it (see `yolov5_clone`)."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from slimfork.codemods.patch import load_series
from slimfork.releases import pins
from slimfork.releases.fetch import release_files
from tests.tools.small_repository import git as run_git
from tests.yolov5_clone import CLONE, needs_clone

TAGS = [pin.version for pin in pins.load("yolov5") if pin.is_tag]
COMMITS = {pin.version: pin.commit for pin in pins.load("yolov5") if pin.is_tag}
NONE_PINNED = "and the history holds no pinned tag"

pytestmark = needs_clone

every_tag = pytest.mark.parametrize("tag", TAGS)


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SLIMFORK_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def checkout(tmp_path, no_settings_of_this_machine):
    """A full clone on a branch of the user's, at some commit; objects are borrowed."""
    assert no_settings_of_this_machine.is_dir()

    def make(commit):
        path = tmp_path / "checkout"
        run_git(tmp_path, "clone", "-q", "--shared", "--no-checkout", CLONE, str(path))
        run_git(path, "switch", "-q", "-c", "mine", commit)
        return path

    return make


def archive(commit):
    """Return the files of a commit as git itself packs them, by path."""
    listed = run_git(Path(CLONE), "ls-tree", "-r", commit).splitlines()
    names = {line.split("\t")[1]: line.split()[2] for line in listed if not line.startswith("120000")}
    return {
        name: subprocess.run(["git", "-C", CLONE, "cat-file", "blob", blob], capture_output=True, check=True).stdout
        for name, blob in names.items()
    }


def expected(tag):
    """Return the patches that are for a tag."""
    return [patch.id for patch in load_series("yolov5") if patch.variant(tag)]


def status(call, path):
    return call("status", path, "--json").json


@every_tag
def test_vendor_imports_every_plain_file_and_applies_every_patch(call, git, tmp_path, tag):
    fork = tmp_path / "fork"
    made = call("vendor", f"yolov5@{tag}", "--into", fork, "--json")
    assert made.code == 0
    assert made.json["commit"] == COMMITS[tag]
    assert [c["patch"] for c in made.json["commits"]] == [None, *expected(tag), None]
    assert {name: file.content for name, file in release_files(pins.find(f"yolov5@{tag}")).items()} == archive(
        COMMITS[tag]
    )
    whole = git(Path(CLONE), "ls-tree", "-r", COMMITS[tag]).splitlines()
    plain = [line for line in whole if not line.startswith("120000")]
    assert git(fork, "ls-tree", "-r", "upstream").splitlines() == plain
    facts = status(call, fork)
    assert (facts["version"], facts["complete"]) == (tag, True)
    assert {patch["state"] for patch in facts["patches"] if patch["id"] in expected(tag)} == {"applied"}


@every_tag
def test_apply_and_revert_on_a_clone_at_the_tag(checkout, call, git, tag):
    path = checkout(COMMITS[tag])
    before = git(path, "rev-parse", "HEAD^{tree}")
    outcome = call("apply", path)
    assert outcome.code == 0
    assert f"({tag}) is checked out" in outcome.err
    assert status(call, path)["complete"]
    assert call("diff", path).code == 0
    assert call("revert", path).code == 0
    assert git(path, "rev-parse", "HEAD^{tree}") == before


@every_tag
def test_a_clone_with_a_commit_of_the_users_own(checkout, call, git, tag):
    path = checkout(COMMITS[tag])
    (path / "notes.md").write_text("mine\n")
    text = (path / "models" / "common.py").read_text("utf-8")
    (path / "models" / "common.py").write_text(text + "\n\nMINE = 1\n", "utf-8")
    git(path, "add", "-A")
    git(path, "commit", "-q", "-m", "mine")
    facts = status(call, path)
    assert (facts["version"], facts["found"]) == (tag, f"commit {COMMITS[tag][:12]} ({tag}) is in its history")
    assert {patch["state"] for patch in facts["patches"] if patch["id"] in expected(tag)} == {"pending"}


@every_tag
def test_a_shallow_clone_at_the_tag(git, call, tmp_path, tag):
    path = tmp_path / "shallow"
    path.mkdir()
    git(path, "init", "-q")
    git(path, "fetch", "-q", "--depth=1", CLONE, COMMITS[tag])
    git(path, "switch", "-q", "-c", "mine", "FETCH_HEAD")
    facts = status(call, path)
    assert (facts["version"], facts["found"]) == (tag, f"commit {COMMITS[tag][:12]} ({tag}) is checked out")


@every_tag
def test_an_unpacked_archive_that_the_user_committed(git, call, tmp_path, tag):
    path = tmp_path / "unpacked"
    for name, data in archive(COMMITS[tag]).items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(data)
    git(path, "init", "-q")
    git(path, "add", "-A", "-f")
    git(path, "commit", "-q", "-m", "everything")
    facts = status(call, path)
    assert (facts["version"], facts["found"]) == (tag, f"all its patches fit, {NONE_PINNED}")


@pytest.mark.parametrize(("first", "second"), list(zip(TAGS, TAGS[1:], strict=False)))
def test_a_clone_right_after_a_tag_is_that_tag(checkout, call, git, first, second):
    between = git(Path(CLONE), "rev-list", "--first-parent", f"{COMMITS[first]}..{COMMITS[second]}").split()
    assert status(call, checkout(between[-1]))["version"] == first
