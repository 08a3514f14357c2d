"""`apply-patches export` and `vendor --from`: the same bytes, the same tree by `git am`, the same commit; or refused.

Also of: `slimfork.series.reading`, `slimfork.series.imported`.
"""

from __future__ import annotations

import os
import shutil
import signal

import pytest

from slimfork.git import swap
from slimfork.releases import pins
from slimfork.series import exporting, workbench
from tests.sampling import sampled
from tests.tools.conftest import in_child, write
from tests.tools.exports import check, commit, odd_work, on_disk, tip
from tests.tools.small_release import TRAINER, VERSION
from tests.tools.users_work import KEPT

# The import is amended: nobody else could fetch that.
NO_EXPORT = {"fixup of the import": "holds other files than ultralytics==8.9.0 as published"}


def test_a_new_fork_is_exported_and_made_again(fork, call, git, tmp_path):
    told = check(call, git, fork, tmp_path)
    files = ["0001-Integrate-on-NumPy-2.4.patch", "0002-Add-a-penalty.patch", "0003-Clip-before-the-step.patch"]
    assert told["files"] == [".gitattributes", *files, "0004-Add-the-slim-package.patch", "fork.json"]
    refs = "for-each-ref", "--format=%(refname) %(objectname)"
    assert git(tmp_path / "again", *refs) == git(fork, *refs)
    assert call("status", tmp_path / "again", "--verify-tree").code == 0


def test_what_mails_are_bad_at_comes_through(fork, call, git, tmp_path):
    odd_work(git, fork)
    told = check(call, git, fork, tmp_path)
    own = [c for c in told["commits"] if c["kind"] == "own"]
    assert [c["file"] is None for c in own] == [False, False, False, True, True, False]
    assert own[0]["subject"] == "[ENH] größer: über `x`"


def test_messages_in_other_encodings_and_signatures_are_carried_to_the_bit(fork, call, git, tmp_path):
    write(fork, {"mine.txt": b"mine\n"})
    git(fork, "add", "mine.txt")
    body = f"tree {git(fork, 'write-tree')}\nparent {tip(git, fork)}\n".encode()
    who = "Zoë <z@x> 1700000000 +0545\n".encode("latin-1")
    text = body + b"author " + who + b"committer " + who + b"encoding ISO-8859-1\n"
    text += b"gpgsig -----BEGIN PGP SIGNATURE-----\n \n mine\n -----END PGP SIGNATURE-----\n\n" + "größer\r\n".encode(
        "latin-1"
    )
    sha = git(fork, "hash-object", "-t", "commit", "-w", "--stdin", stdin=text)
    git(fork, "reset", "-q", "--hard", sha)
    check(call, git, fork, tmp_path)
    assert (
        git(tmp_path / "plain", "log", "-1", "--format=%an %s %ad", "--date=iso")
        == "Zoë größer 2023-11-15 03:58:20 +0545"
    )


def test_merges_are_carried_and_are_one_patch_for_git_am(fork, call, git, tmp_path):
    git(fork, "switch", "-q", "-c", "side", "HEAD~2")
    for name in ("one", "two"):
        write(fork, {f"{name}.txt": b"mine\n"})
        commit(git, fork, name)
    git(fork, "switch", "-q", "slim")
    write(fork, {"three.txt": b"mine\n"})
    commit(git, fork, "three")
    git(fork, "merge", "-q", "--no-ff", "-m", "joined", "side")
    told = check(call, git, fork, tmp_path)
    files = {c["subject"]: c["file"] for c in told["commits"]}
    assert {name for name, file in files.items() if file and file.startswith("merged/")} == {"one", "two"}
    assert git(tmp_path / "again", "log", "--merges", "--format=%s") == "joined"
    assert "a merge is one patch" in call("export", fork, "--out", tmp_path / "out").out


@pytest.mark.parametrize("name", sampled(KEPT, by_default=[*KEPT][::2]))
def test_whatever_a_user_has_committed_is_made_again_or_refused_by_name(fork, call, git, tmp_path, name):
    KEPT[name](git, fork)
    if name in NO_EXPORT:
        refused = call("export", fork, "--out", tmp_path / "out")
        assert (refused.code, refused.out) == (2, "")
        assert NO_EXPORT[name] in refused.err
        assert "  try: apply-patches" in refused.err
        assert not (tmp_path / "out").exists()
    else:
        check(call, git, fork, tmp_path)


def test_another_run_has_nothing_to_do_and_any_run_writes_the_same_bytes(fork, call, git, tmp_path):
    odd_work(git, fork)
    out = tmp_path / "out"
    assert call("export", fork, "--out", out).code == 0
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    assert "nothing to do" in call("export", fork, "--out", out).out
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == before
    # Another clone, with settings and attributes that have a say in what git prints.
    git(tmp_path, "clone", "-q", str(fork), "clone")
    clone = tmp_path / "clone"
    for name, value in (("diff.noprefix", "true"), ("diff.context", "9"), ("diff.algorithm", "patience")):
        git(clone, "config", name, value)
    git(clone, "config", "core.quotePath", "false")
    git(clone, "config", "apply.whitespace", "fix")
    (clone / ".git/info/attributes").write_text("* -diff\n*.py diff=python\n")
    assert call("export", clone, "--out", tmp_path / "a b/ü $HOME").code == 0
    assert on_disk(tmp_path / "a b/ü $HOME") == on_disk(out)


def test_an_earlier_export_is_replaced_and_nothing_else_is(fork, call, git, tmp_path):
    out = tmp_path / "out"
    assert call("export", fork, "--out", out).code == 0
    write(fork, {"mine.txt": b"mine\n"})
    commit(git, fork)
    assert call("export", fork, "--out", out, "--dry-run", "--json").json["changed"]
    assert not (out / "0005-mine.patch").exists()
    assert call("export", fork, "--out", out).code == 0
    assert (out / "0005-mine.patch").exists()
    git(fork, "reset", "-q", "--hard", "HEAD~1")
    for spoil in (
        lambda: write(out, {"notes.txt": b"mine"}),
        lambda: write(out, {"merged/mine.patch": b"mine"}),
        lambda: write(out, {"0005-mine.patch": b"mine"}),
        lambda: (out / "link").symlink_to("nowhere"),
        (out / "folder").mkdir,
    ):
        kept = tmp_path / "kept"
        shutil.rmtree(kept, ignore_errors=True)
        shutil.copytree(out, kept, symlinks=True)
        spoil()
        before = on_disk(out)
        refused = call("export", fork, "--out", out)
        assert refused.code == 2
        assert str(out) in refused.err
        assert on_disk(out) == before
        shutil.rmtree(out)
        kept.rename(out)


@pytest.mark.parametrize("what", ["folder", "file", "link", "here", "of another program"])
def test_an_out_that_is_something_else_is_refused(fork, call, tmp_path, monkeypatch, what):
    out = tmp_path / "out"
    if what == "folder":
        write(out, {"notes.txt": b"mine"})
    elif what == "file":
        out.write_bytes(b"mine")
    elif what == "link":
        out.symlink_to("nowhere")
    elif what == "here":
        out.mkdir()
        monkeypatch.chdir(out)
    else:
        write(out, {"fork.json": b'{"slimfork": {"commits": [{"file": null}]}}', "0001-x.patch": b"mine"})
    refused = call("export", fork, "--out", out)
    assert refused.code == 2
    assert "  try: --out" in refused.err or "move them away" in refused.err
    assert not list(tmp_path.glob(".out*"))


def test_a_dry_run_writes_nothing(fork, call, tmp_path):
    told = call("export", fork, "--out", tmp_path / "out", "--dry-run")
    assert told.code == 0
    assert "would write" in told.out
    assert not (tmp_path / "out").exists()


def test_what_is_not_committed_is_named(fork, call, tmp_path):
    write(fork, {TRAINER: b"mine\n"})
    told = call("export", fork, "--out", tmp_path / "out", "--json")
    assert (told.code, told.json["dirty"]) == (0, [TRAINER])
    assert f"not committed, and so not in the export: {TRAINER}" in told.err


def test_what_has_no_import_is_refused(clone, call, git, tmp_path):
    assert call("apply", clone).code == 0
    refused = call("export", clone, "--out", tmp_path / "out")
    assert refused.code == 2
    assert "a history of its own" in refused.err
    assert f"apply-patches vendor ultralytics=={VERSION}" in refused.err
    git(tmp_path, "clone", "-q", "--depth", "1", f"file://{clone}", "shallow")
    assert "fetch --unshallow" in call("export", tmp_path / "shallow", "--out", tmp_path / "out").err


def test_a_clone_without_all_files_is_refused(fork, call, git, tmp_path):
    git(fork, "config", "uploadpack.allowFilter", "true")
    git(tmp_path, "clone", "-q", "--filter=blob:none", f"file://{fork}", "partial")
    for verb in (
        ("export", tmp_path / "partial", "--out", tmp_path / "out"),
        ("status", tmp_path / "partial", "--verify-tree"),
    ):
        refused = call(*verb)
        assert refused.code == 2
        assert "is a partial clone" in refused.err


def test_a_merged_history_of_its_own_is_refused(fork, call, git, tmp_path):
    git(fork, "switch", "-q", "--orphan", "other")
    write(fork, {"other.txt": b"mine\n"})
    git(fork, "add", "other.txt")
    git(fork, "commit", "-q", "-m", "another beginning")
    git(fork, "switch", "-q", "slim")
    git(fork, "merge", "-q", "--allow-unrelated-histories", "-m", "joined", "other")
    refused = call("export", fork, "--out", tmp_path / "out")
    assert refused.code == 2
    assert "'another beginning', which was merged" in refused.err


def test_a_release_that_is_not_pinned_any_more_is_refused(fork, call, tmp_path):
    out = tmp_path / "out"
    assert call("export", fork, "--out", out).code == 0
    known = pins.load("ultralytics")
    pins.save("ultralytics", [pin for pin in known if pin.version != VERSION])
    for verb in (
        ("export", fork, "--out", tmp_path / "other"),
        ("vendor", "--from", out, "--into", tmp_path / "again"),
        ("status", fork, "--verify-tree"),
    ):
        refused = call(*verb)
        assert refused.code == 2
        assert f"ultralytics=={VERSION} is not pinned" in refused.err
    assert not (tmp_path / "again").exists()


def test_a_release_that_cannot_be_fetched_is_named(fork, call, tmp_path, monkeypatch):
    assert call("export", fork, "--out", tmp_path / "out").code == 0
    shutil.rmtree(tmp_path / "cache")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    for verb in (
        ("export", fork, "--out", tmp_path / "b"),
        ("vendor", "--from", tmp_path / "out", "--into", tmp_path / "c"),
    ):
        refused = call(*verb)
        assert refused.code == 2
        assert "127.0.0.1:9" in refused.err
    assert not (tmp_path / "b").exists()
    assert not (tmp_path / "c").exists()


def test_ctrl_c_leaves_nothing(fork, exported, call, tmp_path, monkeypatch):
    def interrupted(*_):
        os.kill(os.getpid(), signal.SIGINT)

    for place, name in ((exporting, "_land"), (workbench.Workbench, "apply_mail")):
        with monkeypatch.context() as patched:
            patched.setattr(place, name, interrupted)
            before = {path.name for path in tmp_path.iterdir()}
            assert call("export", fork, "--out", tmp_path / "other").code == 130
            assert {path.name for path in tmp_path.iterdir()} == before
    monkeypatch.setattr(workbench.Workbench, "apply_mail", interrupted)
    assert call("vendor", "--from", exported, "--into", tmp_path / "again").code == 130
    assert {path.name for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("place", ["before", "after"])
def test_a_killed_export_leaves_the_old_one_or_the_new_one(exported, fork, call, git, tmp_path, monkeypatch, place):
    old = on_disk(exported)
    write(fork, {"more.txt": b"mine\n"})
    commit(git, fork, "more")

    def killed(one, other):
        if place == "after":
            swap.exchange(one, other)
        os.kill(os.getpid(), signal.SIGKILL)

    with monkeypatch.context() as patched:
        patched.setattr(exporting, "exchange", killed)
        assert in_child(lambda: call("export", fork, "--out", exported).code) == -signal.SIGKILL
    assert (on_disk(exported) == old) == (place == "before")
    assert call("export", fork, "--out", exported).code == 0
    assert "0006-more.patch" in on_disk(exported)
    assert not list(tmp_path.glob(".out*"))
