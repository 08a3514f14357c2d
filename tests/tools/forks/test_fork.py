"""A fork as its commits tell it, and two real releases through the whole journey.

Also of: `slimfork.forks.identity`.
"""

from __future__ import annotations

import resource
from collections import Counter
from itertools import chain

import pytest

from slimfork.codemods.patch import load_series
from slimfork.codemods.patch_plan import plan_patches
from slimfork.forks.fork import Tree, read_fork
from slimfork.forks.history import read_history
from slimfork.forks.overlay import overlay_files
from slimfork.forks.takeout import take_out
from slimfork.git.commits import trailers
from slimfork.git.repo import open_repository
from slimfork.releases import pins
from slimfork.releases.archive import read_sdist
from slimfork.releases.fetch import fetch
from slimfork.terminal import content
from tests.sampling import sampled
from tests.tools.conftest import write
from tests.tools.small_release import LOSS, TRAINER

REAL = ("8.4.190", "8.0.100")


def commit(git, path, files, message="mine"):
    write(path, files)
    git(path, "add", "-A")
    git(path, "commit", "-q", "-m", message)
    return git(path, "rev-parse", "HEAD")


def test_a_tree_reads_what_it_is_asked_for_and_only_once(fork, monkeypatch):
    with open_repository(fork) as repository:
        asked = []
        blob = repository.blob
        monkeypatch.setattr(repository, "blob", lambda sha: asked.append(sha) or blob(sha))
        tree = Tree(repository, repository.head())
        assert TRAINER in tree
        assert "nothing" not in tree
        assert tree.get("nothing") is None
        assert sorted(tree) == sorted(tree.entries)
        assert asked == []
        assert tree[LOSS] == tree[LOSS]
        assert len(asked) == 1
        assert (tree.mode("run.sh"), tree.mode(LOSS), tree.mode("new")) == ("100755", "100644", "100644")


def test_only_the_files_that_patches_name_are_read(fork, monkeypatch):
    with open_repository(fork) as repository:
        asked = []
        blob = repository.blob
        monkeypatch.setattr(repository, "blob", lambda sha: asked.append(sha) or blob(sha))
        read_fork(repository)
        # Two patched files and __init__.py, of the import too, and the overlay's manifest.
        assert len(asked) == 5


def test_history_tells_ours_from_the_users(fork, git):
    mine = commit(git, fork, {"mine.py": b""})
    merged = git(fork, "rev-parse", "HEAD")
    git(fork, "switch", "-q", "-c", "side", "HEAD^")
    side = commit(git, fork, {"side.py": b""})
    git(fork, "switch", "-q", "slim")
    git(fork, "merge", "-q", "--no-edit", "side")
    with open_repository(fork) as repository:
        history = read_history(repository, repository.head())
    assert history.imported.sha == history.base == git(fork, "rev-parse", "upstream")
    assert set(history.patches) == {"old_numpy", "penalty", "zclip"}
    assert {c.sha for c in history.own} == {mine, merged, side, git(fork, "rev-parse", "HEAD")}
    assert len(history.overlays) == 1


def test_a_patch_that_was_reverted_and_applied_again_has_its_newest_commit(fork, call, git):
    call("revert", fork, "--patch", "penalty")
    with open_repository(fork) as repository:
        assert "penalty" not in read_history(repository, repository.head()).patches
    call("apply", fork)
    with open_repository(fork) as repository:
        assert read_history(repository, repository.head()).patches["penalty"] == git(fork, "rev-parse", "HEAD")


def test_words_that_only_look_like_trailers_make_no_import(clone, git):
    commit(git, clone, {"a": b""}, "Sync\n\nUpstream: see the wiki\n")
    commit(git, clone, {"b": b""}, "Sync\n\n  Upstream: ultralytics==8.9.0 unpinned\nNo Patch-Id: here\n")
    with open_repository(clone) as repository:
        history = read_history(repository, repository.head())
    assert (history.imported, history.base, history.commits) == (None, None, ())


def test_trailers_are_found_anywhere_and_in_order():
    text = "Squash\n\n* one\n\nPatch-Id: a\nUpstream: u==1 unpinned\n\n* two\n\nPatch-Id: b \n\nSigned-off-by: x\n"
    assert trailers(text) == {"Patch-Id": ("a", "b"), "Upstream": ("u==1 unpinned",)}


def test_the_release_is_the_imports_until_the_tree_moves_on(fork, git):
    init = (fork / "ultralytics/__init__.py").read_bytes()
    for version, known in ((b"8.9.0+slim7", "8.9.0"), (b"8.9.1", "8.9.1")):
        commit(git, fork, {"ultralytics/__init__.py": init.replace(b"8.9.0", version)})
        with open_repository(fork) as repository:
            assert read_fork(repository).release.version == known


@pytest.fixture(scope="module", params=sampled(REAL, by_default=REAL[:1]))
def real(request, tmp_path_factory):
    """A real release: its pin, its files, and the folder that its fork goes to."""
    pin = pins.find(f"ultralytics=={request.param}")
    files = {path: file.content for path, file in read_sdist(fetch(pin)).items()}
    return pin, files, tmp_path_factory.mktemp("real") / "fork"


def tree(git, path, rev):
    return git(path, "rev-parse", f"{rev}^{{tree}}")


def test_a_real_release_goes_the_whole_way(real, call, git, tmp_path):
    pin, files, path = real
    assert content.content_root().name != "world"
    vendored = call("vendor", pin.spec, "--into", path, "--json")
    assert vendored.code == 0, vendored.err
    wanted = [p.id for p in load_series("ultralytics") if p.variant(pin.version)]
    assert [c["patch"] for c in vendored.json["commits"]] == [None, *wanted, None]

    status = call("status", path, "--json")
    assert status.code == 0
    assert {p["state"] for p in status.json["patches"]} <= {"applied", "excluded", "upstreamed"}
    for again in (call("vendor", pin.spec, "--into", path), call("apply", path)):
        assert again.code == 0
        assert "nothing to do" in again.out
    assert call("diff", path).out == ""

    # The pristine import, told independently: git adds the files of the archive.
    git(tmp_path, "init", "-q", "plain")
    write(tmp_path / "plain", files)
    git(tmp_path / "plain", "-c", "core.autocrlf=false", "add", "-A", "-f")
    names = set(git(path, "-c", "core.quotePath=false", "ls-tree", "-r", "--name-only", "upstream").split("\n"))
    assert names == set(files)
    blobs = {line.split("\t")[1]: line.split()[1] for line in git(tmp_path / "plain", "ls-files", "-s").split("\n")}
    ours = {line.split("\t")[1]: line.split()[2] for line in git(path, "ls-tree", "-r", "upstream").split("\n")}
    assert blobs == ours

    changed = set(git(path, "diff", "--name-only", "upstream", "slim").split("\n"))
    edited = {edit.file for p in load_series("ultralytics") for edit in p.edits(pin.version)}
    assert changed == edited | overlay_files("ultralytics", pin.version).keys()

    assert call("revert", path).code == 0
    assert tree(git, path, "HEAD") == tree(git, path, "upstream")
    assert call("apply", path).code == 0
    assert tree(git, path, "HEAD") == tree(git, path, f"HEAD~{len(wanted) + 2}")
    assert git(path, "status", "--porcelain") == ""
    git(path, "fsck", "--strict")


def test_patches_that_share_a_file_come_out_alone(real, call):
    pin, files, path = real
    if not path.exists():
        assert call("vendor", pin.spec, "--into", path).code == 0
    series = [p for p in load_series("ultralytics") if p.variant(pin.version)]
    with open_repository(path) as repository:
        fork = read_fork(repository)
        files_of = {p.id: {edit.file for edit in p.variant(pin.version).edits} for p in series}
        patches_of = Counter(chain.from_iterable(files_of.values()))
        shared = {file for file, patches in patches_of.items() if patches > 1}
        sharing = [p for p in series if files_of[p.id] & shared]
        assert len(sharing) >= 2
        for patch in sharing[-2:]:
            draft = take_out(fork, patch.id)
            others = [p for p in series if p is not patch]
            rest = plan_patches(files, upstream="ultralytics", version=pin.version, series=others).changes
            taken = {name: content for name, (_, content) in draft.files.items()}
            assert taken
            assert taken == {name: rest.get(name, files[name]) for name in taken}
            assert draft.files.keys() <= files_of[patch.id]


def test_patching_a_real_release_stays_within_its_budget(real, call, tmp_path):
    pin, _, _ = real

    def spent():
        return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))

    before = spent()
    assert call("vendor", pin.spec, "--into", tmp_path / "fork").code == 0
    assert spent() - before < 4  # the budget is 2 on a core of its own; tests share theirs
