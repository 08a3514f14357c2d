"""`apply-patches export` and `vendor --from`: the same bytes, the same tree by `git am`, the same commit; or refused.

Also of: `slimfork.series.reading`, `slimfork.series.remaking`, `slimfork.series.imported`.
"""

from __future__ import annotations

import json
import os
import shutil
import signal

import pytest

from slimfork.git import swap
from slimfork.releases import pins
from slimfork.series import exporting, workbench
from tests.sampling import sampled
from tests.tools.conftest import in_child, write
from tests.tools.exports import am, check, commit, odd_work, on_disk, tip
from tests.tools.small_release import TRAINER, VERSION
from tests.tools.users_work import KEPT

# The import is amended: nobody else could fetch that.
NO_EXPORT = {"fixup of the import": "holds other files than ultralytics==8.9.0 as published"}


FIVE = 5  # three patches, the overlay, and one of the user's


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


@pytest.fixture
def exported(fork, call, git, tmp_path):
    write(fork, {"mine.txt": b"mine\n"})
    commit(git, fork)
    assert call("export", fork, "--out", tmp_path / "out").code == 0
    return tmp_path / "out"


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
