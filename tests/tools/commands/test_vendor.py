"""`apply-patches vendor`: the release byte for byte, a commit a patch, the same hashes everywhere, whole or absent.

Also of: `slimfork.__main__`, `slimfork.forks.making`, `slimfork.terminal.telling`.
"""

from __future__ import annotations

import os
import shutil
import signal
import stat
import sys
import time

import pytest

from slimfork import cli
from slimfork.forks.history import RELEASE
from slimfork.git import building, landing, repo
from tests.tools.conftest import in_child, write
from tests.tools.small_release import EXECUTABLE, PATCHED_STEP, TRAINER, VERSION, release_files

SPEC = f"ultralytics=={VERSION}"
SUBJECTS = ["Import ultralytics 8.9.0", "Integrate on NumPy 2.4", "Add a penalty", "Clip before the step"]
SUBJECTS += ["Add the slim package"]


def on_disk(folder):
    files = [p for p in folder.rglob("*") if p.is_file() and ".git" not in p.relative_to(folder).parts]
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in files}


def test_one_commit_a_patch_then_the_overlay(fork, git):
    assert git(fork, "log", "--reverse", "--format=%s").split("\n") == SUBJECTS
    assert git(fork, "symbolic-ref", "HEAD") == "refs/heads/slim"
    assert git(fork, "status", "--porcelain", "--ignored") == ""
    assert PATCHED_STEP in (fork / TRAINER).read_bytes()
    assert (fork / "ultralytics/slim/pruning/plan.py").exists()
    assert (fork / "prune.py").exists()
    git(fork, "fsck", "--strict")


def test_the_import_is_the_release_byte_for_byte(fork, git):
    git(fork, "checkout", "-q", "upstream")
    assert on_disk(fork) == release_files()
    modes = {p: bool((fork / p).stat().st_mode & stat.S_IXUSR) for p in release_files()}
    assert {p for p, executable in modes.items() if executable} == EXECUTABLE
    assert git(fork, "rev-parse", "upstream") == git(fork, "rev-parse", f"upstream/{VERSION}^{{commit}}")
    assert git(fork, "status", "--porcelain", "--ignored") == ""


def test_trailers_say_what_a_commit_is(fork, git):
    keys = ("Patch-Id", "Overlay-Id", "Upstream")
    shape = "%x00".join(f"%(trailers:key={key},valueonly,separator=%x2C)" for key in keys)
    lines = [line.split("\0") for line in git(fork, "log", "--reverse", f"--format={shape}").split("\n")]
    assert [line[:2] for line in lines] == [["", ""], ["old_numpy", ""], ["penalty", ""], ["zclip", ""], ["", "slim"]]
    assert all(RELEASE.fullmatch(line[2])["version"] == VERSION for line in lines)


@pytest.mark.usefixtures("world")
def test_no_compat_leaves_the_compatibility_patches_out_and_says_so(call, git, tmp_path):
    path = tmp_path / "fork"
    assert call("vendor", SPEC, "--into", path, "--no-compat").code == 0
    assert git(path, "log", "--reverse", "--format=%s").split("\n") == [s for s in SUBJECTS if "NumPy" not in s]
    status = call("status", path, "--json")
    assert status.code == 0
    step = status.json["patches"][0]
    assert (step["id"], step["state"]) == ("old_numpy", "excluded")
    assert "--compat" in step["reason"]
    assert "nothing to do" in call("apply", path).out
    assert [c["patch"] for c in call("apply", path, "--compat", "--json").json["commits"]] == ["old_numpy"]
    assert call("status", path, "--json").json["patches"][0]["state"] == "applied"


@pytest.mark.usefixtures("world")
def test_the_same_hashes_on_every_machine(git, tmp_path, no_settings_of_this_machine):
    """Other time zone, language, umask, place, user and git settings: the same commits."""
    home = no_settings_of_this_machine
    settings = "[user]\n name=Zoë\n email=z@x\n[core]\n autocrlf=true\n hooksPath={0}\n[commit]\n gpgsign=true\n"
    settings += "[tag]\n gpgsign=true\n[init]\n defaultBranch=trunk\n templateDir={0}\n defaultObjectFormat=sha256\n"

    def plain():
        return cli.run(["vendor", SPEC, "--into", str(tmp_path / "one")])

    def odd():
        os.umask(0o077)
        os.environ.update(TZ="Asia/Kathmandu", LANG="de_DE.UTF-8", LC_ALL="tr_TR.UTF-8", GIT_AUTHOR_NAME="Eve")
        os.environ.update(GIT_COMMITTER_DATE="2001-01-01T00:00:00", GIT_DIR=str(tmp_path), GIT_INDEX_FILE="x")
        hooks = home / "hooks"
        write(home, {".gitconfig": settings.format(hooks).encode()})
        write(home, {".config/git/attributes": b"* text eol=crlf\n", ".config/git/ignore": b"*\n"})
        write(hooks, {"reference-transaction": b"#!/bin/sh\nexit 1\n", "post-checkout": b"#!/bin/sh\nexit 1\n"})
        for hook in hooks.iterdir():
            hook.chmod(0o755)
        time.tzset()
        return cli.run(["vendor", SPEC, "--into", str(tmp_path / "a b $HOME ü")])

    assert in_child(plain) == 0
    assert in_child(odd) == 0
    one, two = (on_disk(tmp_path / name) for name in ("one", "a b $HOME ü"))
    assert one == two
    refs = "for-each-ref", "--format=%(refname) %(objectname)"
    assert git(tmp_path / "one", *refs) == git(tmp_path / "a b $HOME ü", *refs)


def test_a_second_run_has_nothing_to_do(fork, call, git):
    tip = git(fork, "rev-parse", "HEAD")
    again = call("vendor", SPEC, "--into", fork)
    assert (again.code, git(fork, "rev-parse", "HEAD")) == (0, tip)
    assert "nothing to do" in again.out


def test_a_fork_without_all_patches_is_sent_to_apply(fork, call):
    assert call("revert", fork, "--patch", "zclip").code == 0
    again = call("vendor", SPEC, "--into", fork)
    assert again.code == 2
    assert f"apply-patches apply {fork}" in again.err


def test_another_release_is_refused(fork, call):
    again = call("vendor", "ultralytics==8.9.1", "--into", fork)
    assert again.code == 2
    assert "holds ultralytics 8.9.0, not ultralytics 8.9.1" in again.err


@pytest.mark.usefixtures("world")
def test_what_is_there_already_is_never_touched(call, clone, tmp_path):
    write(tmp_path / "data", {"notes.txt": b"mine"})
    for path, words in ((tmp_path / "data", "not empty"), (clone, "a history of its own"), (clone / TRAINER, "a file")):
        before = on_disk(path) if path.is_dir() else path.read_bytes()
        refused = call("vendor", SPEC, "--into", path)
        assert refused.code == 2
        assert words in refused.err
        assert (on_disk(path) if path.is_dir() else path.read_bytes()) == before


@pytest.mark.usefixtures("world")
def test_an_empty_folder_is_filled_unless_one_stands_in_it(call, tmp_path, monkeypatch):
    path = tmp_path / "deep" / "empty"
    path.mkdir(parents=True)
    monkeypatch.chdir(path)
    assert call("vendor", SPEC, "--into", ".").code == 2
    monkeypatch.chdir(tmp_path)
    assert call("vendor", SPEC, "--into", "deep/empty").code == 0
    assert call("vendor", SPEC, "--into", "new/and/deep").code == 0
    assert on_disk(path) == on_disk(tmp_path / "new/and/deep")


@pytest.mark.usefixtures("world")
def test_dry_run_writes_nothing(call, tmp_path):
    told = call("vendor", SPEC, "--into", tmp_path / "fork", "--dry-run", "--json")
    assert told.code == 0
    assert [c["subject"] for c in told.json["commits"]] == SUBJECTS
    assert {c["sha"] for c in told.json["commits"]} == {None}
    assert {p.name for p in tmp_path.iterdir()} == {"world", "cache"}


@pytest.mark.usefixtures("world")
def test_json_is_one_document_with_sorted_keys(call, git, tmp_path):
    told = call("vendor", SPEC, "--into", tmp_path / "fork", "--json")
    assert list(told.json) == sorted(told.json)
    assert told.json["head"] == git(tmp_path / "fork", "rev-parse", "HEAD")
    assert [c["sha"] for c in told.json["commits"]] == git(tmp_path / "fork", "rev-list", "--reverse", "HEAD").split()


def test_patches_that_do_not_fit_are_all_explained_and_nothing_is_made(world, call, tmp_path):
    for name in ("penalty", "zclip"):
        file = world / f"patches/ultralytics/{name}.py"
        file.write_text(file.read_text().replace('anchor="self.', 'anchor="self.no_'))
    refused = call("vendor", SPEC, "--into", tmp_path / "fork", "--json")
    assert refused.code == 3
    assert [step["patch"] for step in refused.json["broken"]] == ["penalty", "zclip"]
    assert "self.no_backward()" in refused.err
    assert "self.no_update()" in refused.err
    assert not (tmp_path / "fork").exists()


def killed_at(point, path):
    """Vendor in a process that dies when it comes to a line of the code that changes files."""
    ours = {building.__file__, landing.__file__}
    left = [point]

    def count():
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def trace(frame, event, arg):
        del arg
        if frame.f_code.co_filename not in ours:
            return None
        if event == "line":
            count()
        return trace

    def work():
        sys.settrace(trace)
        return cli.run(["vendor", SPEC, "--into", str(path)])

    return in_child(work)


@pytest.mark.usefixtures("world")
def test_a_killed_run_leaves_no_fork_and_the_next_one_makes_it(call, fork, git, tmp_path):
    tip = git(fork, "rev-parse", "HEAD")
    path = tmp_path / "second"
    for point in range(1, 200, 4):
        ended = killed_at(point, path)
        assert ended in {0, -signal.SIGKILL}
        if path.exists():
            assert git(path, "rev-parse", "HEAD") == tip
            assert git(path, "status", "--porcelain") == ""
        assert call("vendor", SPEC, "--into", path).code == 0
        assert git(path, "rev-parse", "HEAD") == tip
        assert not list(tmp_path.glob(".*.slimfork"))
        if ended == 0:
            return
        shutil.rmtree(path)
    pytest.fail("never ran to its end")


@pytest.mark.parametrize("verb", ["init", "fast-import", "read-tree"])
@pytest.mark.usefixtures("world")
def test_ctrl_c_ends_with_130_and_leaves_nothing(monkeypatch, tmp_path, call, verb):
    run = repo.Repository.run

    def interrupted(self, *arguments, **options):
        if verb in arguments:
            os.kill(os.getpid(), signal.SIGINT)
        return run(self, *arguments, **options)

    monkeypatch.setattr(repo.Repository, "run", interrupted)
    if verb == "init":
        monkeypatch.setattr(building, "new_repository", lambda _: os.kill(os.getpid(), signal.SIGINT))
    assert call("vendor", SPEC, "--into", tmp_path / "fork").code == 130
    assert {p.name for p in tmp_path.iterdir()} == {"world", "cache"}


@pytest.mark.usefixtures("world")
def test_two_runs_at_once_do_not_meet(call, tmp_path):
    with building._workshop(tmp_path / "fork"):
        second = call("vendor", SPEC, "--into", tmp_path / "fork")
    assert second.code == 2
    assert "another apply-patches is at work" in second.err
    assert call("vendor", SPEC, "--into", tmp_path / "fork").code == 0


def test_a_fork_without_compatibility_patches_says_how_to_get_them(call, world, tmp_path):
    assert world.is_dir()
    assert call("vendor", SPEC, "--into", tmp_path / "fork", "--no-compat").code == 0
    assert "nothing to do" in call("vendor", SPEC, "--into", tmp_path / "fork", "--no-compat").out
    refused = call("vendor", SPEC, "--into", tmp_path / "fork")
    assert refused.code == 2
    assert f"apply-patches apply {tmp_path / 'fork'} --compat" in refused.err


@pytest.mark.usefixtures("world")
def test_a_place_that_cannot_be_written_to_is_named(call, tmp_path):
    write(tmp_path, {"file": b""})
    refused = call("vendor", SPEC, "--into", tmp_path / "file" / "fork")
    assert refused.code == 2
    assert f"cannot make {tmp_path / 'file' / 'fork'}" in refused.err
