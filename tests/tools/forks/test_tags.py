"""Forks of git tags: vendored by commit, and found in a checkout that has no version to say."""

from __future__ import annotations

import json
import shutil

import pytest

from slimfork.forks.history import RELEASE
from slimfork.releases.pins import find, load
from tests.tools import small_repository
from tests.tools.conftest import write
from tests.tools.small_repository import HIDDEN, LOSS, SEGMENT, TRAIN

NONE_PINNED = "the history holds no pinned tag"


@pytest.fixture
def checkout(tagged, git, tmp_path):
    """A full clone of the upstream on a branch of the user's, at some commit."""

    def make(name):
        path = tmp_path / "checkout"
        git(tmp_path, "clone", "-q", "--no-checkout", tagged.path, path)
        (path / ".git" / "info" / "attributes").write_text("* -text -filter\n")
        git(path, "switch", "-q", "-c", "mine", tagged.commits[name])
        return path

    return make


@pytest.fixture
def shallow(tagged, git, tmp_path):
    """A clone of one commit alone."""

    def make(name):
        git(tagged.path, "branch", "-q", "wanted", tagged.commits[name])
        path = tmp_path / "shallow"
        git(tmp_path, "clone", "-q", "--depth=1", "-b", "wanted", f"file://{tagged.path}", path, "--no-checkout")
        (path / ".git" / "info" / "attributes").write_text("* -text -filter\n")
        git(path, "reset", "-q", "--hard")
        return path

    return make


@pytest.fixture
def unpacked(tagged, git, tmp_path):
    """An archive that the user has unpacked and committed, with upstream's own .gitignore at work or not."""

    def make(name, *options):
        assert tagged.path.is_dir()
        path = tmp_path / "unpacked"
        files = {path: data for path, data in small_repository.files_of(name).items() if path != ".gitattributes"}
        write(path, files)
        git(path, "init", "-q")
        git(path, "add", "-A", *options)
        git(path, "commit", "-q", "-m", "everything")
        return path

    return make


def own_commit(git, path, name="notes.md", data=b"mine\n"):
    write(path, {name: data})
    git(path, "add", "-f", name)
    git(path, "commit", "-q", "-m", f"my {name}")


def known_as(call, path):
    """Return what the status of a checkout says: its release, and how it was found."""
    facts = call("status", path, "--json").json
    assert facts["upstream"] == "yolov5"
    return facts["version"], facts["found"]


def tree(git, path):
    return git(path, "rev-parse", "HEAD^{tree}")


@pytest.mark.parametrize("tag", small_repository.TAGS)
def test_vendor_imports_the_commit_as_it_is(tagged, call, git, tmp_path, tag):
    fork = tmp_path / "fork"
    made = call("vendor", f"yolov5@{tag}", "--into", fork, "--json")
    assert made.code == 0
    assert made.json["commit"] == tagged.commits[tag]
    assert made.json["sha256"] is None
    names = git(fork, "-c", "core.quotePath=false", "ls-tree", "-r", "--name-only", f"upstream/{tag}").split("\n")
    assert set(names) == set(small_repository.files_of(tag))
    for name, data in small_repository.files_of(tag).items():
        blob = git(fork, "hash-object", "--no-filters", "--stdin", stdin=data)
        assert git(fork, "rev-parse", f"upstream/{tag}:{name}") == blob
    assert git(fork, "ls-tree", "upstream", "get.sh").startswith("100755")
    assert git(fork, "status", "--porcelain") == ""


def test_the_commits_name_the_tag_its_commit_and_its_day(tagged, call, git, tmp_path):
    fork = tmp_path / "fork"
    assert call("vendor", "yolov5@v2.0", "--into", fork).code == 0
    lines = git(fork, "log", "--reverse", "--format=%s|%cI|%(trailers:key=Upstream,valueonly,separator=)").split("\n")
    trailer = f"yolov5@v2.0 commit={tagged.commits['v2.0']}"
    subjects = ["Import yolov5 v2.0", "Add a penalty", "Add the slim package"]
    assert lines == [f"{subject}|2022-11-21T00:00:00+00:00|{trailer}" for subject in subjects]
    found = RELEASE.fullmatch(trailer)
    assert (found["upstream"], found["version"], found["commit"]) == ("yolov5", "v2.0", tagged.commits["v2.0"])
    facts = call("status", fork, "--json").json
    assert (facts["version"], facts["upstream_commit"], facts["found"]) == ("v2.0", tagged.commits["v2.0"], None)
    assert (facts["complete"], facts["unpinned"], facts["tag"]) == (True, False, "upstream/v2.0")


def test_slim_lies_at_the_top_beside_what_calls_it(tagged, call, tmp_path):
    assert tagged.path.is_dir()
    fork = tmp_path / "fork"
    outcome = call("vendor", "yolov5@trunk", "--into", fork)
    assert (fork / "slim" / "pruning" / "plan.py").is_file()
    assert (fork / "prune.py").read_bytes() == b"print('prune')\n"
    for file in (TRAIN, SEGMENT):
        assert b"    loss = abs(loss)\n" in (fork / file).read_bytes()
    assert f"pip install -r {fork}/requirements.txt" in outcome.out  # a tag is no package


def test_the_same_hashes_wherever_the_commit_comes_from(tagged, call, git, tmp_path, monkeypatch):
    git(tmp_path, "clone", "-q", "--depth=1", "-b", "v2.0", f"file://{tagged.path}", "other")
    heads = []
    for number, origin in enumerate([tagged.path, tmp_path / "other", tmp_path / "gone"]):
        if number < 2:  # the third is in the cache
            monkeypatch.setenv("SLIMFORK_CACHE", str(tmp_path / f"cache{number}"))
        fork = tmp_path / f"fork{number}"
        assert call("vendor", "yolov5@v2.0", "--into", fork, "--git", origin).code == 0
        heads.append(git(fork, "for-each-ref", "--format=%(refname) %(objectname)"))
    assert heads[0] == heads[1] == heads[2]


def test_a_second_vendor_has_nothing_to_do_and_another_tag_is_refused(tagged, call, git, tmp_path):
    assert tagged.path.is_dir()
    fork = tmp_path / "fork"
    call("vendor", "yolov5@v1.0", "--into", fork)
    head = git(fork, "rev-parse", "HEAD")
    assert "nothing to do" in call("vendor", "yolov5@1.0", "--into", fork).out
    refused = call("vendor", "yolov5@v2.0", "--into", fork)
    assert (refused.code, git(fork, "rev-parse", "HEAD")) == (2, head)
    assert "holds yolov5 v1.0, not yolov5 v2.0" in refused.err


@pytest.mark.usefixtures("tagged")
def test_the_bare_name_is_the_last_tag_with_a_number(call, tmp_path):
    assert call("vendor", "yolov5", "--into", tmp_path / "fork", "--json").json["version"] == "v2.0"


@pytest.mark.usefixtures("tagged")
def test_a_wrong_tag_or_repository_leaves_nothing(call, tmp_path):
    fork = tmp_path / "fork"
    wrong = call("vendor", "yolov5@v3.0", "--into", fork)
    assert wrong.code == 2
    assert "error: yolov5@v3.0 is not pinned; the tags are v1.0, v2.0, trunk\n" in wrong.err
    nowhere = call("vendor", "yolov5@v1.0", "--into", fork, "--git", tmp_path / "nowhere")
    assert nowhere.code == 2
    assert f"error: {tmp_path / 'nowhere'} does not exist\n" in nowhere.err
    assert not fork.exists()


def test_a_repository_is_for_tags(call, tmp_path):
    refused = call("vendor", "ultralytics==8.4.190", "--into", tmp_path / "fork", "--git", tmp_path)
    assert refused.code == 2
    assert "ultralytics==8.4.190 is on the package index" in refused.err


@pytest.mark.parametrize("tag", small_repository.TAGS)
def test_apply_knows_a_clone_at_a_tag(checkout, tagged, call, git, tag):
    path = checkout(tag)
    outcome = call("apply", path)
    assert outcome.code == 0
    assert f"is yolov5 {tag}: commit {tagged.commits[tag][:12]} ({tag}) is checked out" in outcome.err
    trailers = git(path, "log", "-1", "--format=%(trailers:key=Upstream,valueonly)").strip()
    assert trailers == f"yolov5@{tag} commit={tagged.commits[tag]}"
    again = call("apply", path)
    assert "nothing to do" in again.out
    assert again.err == ""  # the commits say it now
    assert known_as(call, path) == (tag, None)


@pytest.mark.parametrize("tag", small_repository.TAGS)
def test_apply_knows_a_clone_with_commits_of_the_users_own(checkout, tagged, call, git, tag):
    path = checkout(tag)
    own_commit(git, path)
    own_commit(git, path, "utils/general.py", b"VALUE = 'mine'\n")
    assert known_as(call, path) == (tag, f"commit {tagged.commits[tag][:12]} ({tag}) is in its history")
    assert call("apply", path).code == 0
    assert b"abs(loss)" in (path / TRAIN).read_bytes()


@pytest.mark.parametrize(
    ("name", "version", "why"),
    [
        ("-typo", "v1.0", "is in its history"),
        ("-almost", "v2.0", "(v1.0) is in its history, but the patches of v2.0 fit better"),
        ("-after", "trunk", "is in its history"),
    ],
)
def test_a_clone_between_tags_is_the_last_one_or_the_next_if_that_fits_better(checkout, call, name, version, why):
    path = checkout(name)
    found = known_as(call, path)
    assert found[0] == version
    assert found[1].endswith(why)
    assert call("apply", path).code == 0


def test_a_clone_that_fits_no_tag_is_refused_for_the_nearest(checkout, call):
    refused = call("apply", checkout("-loss"))
    assert refused.code == 3
    assert "1 patch of 2 does not fit yolov5 v1.0" in refused.err


def test_a_clone_before_all_tags_is_no_release(checkout, call):
    refused = call("apply", checkout("-early"))
    assert refused.code == 2
    assert "train.py" in refused.err


@pytest.mark.parametrize("tag", small_repository.TAGS)
def test_a_shallow_clone_is_known_by_its_commit(shallow, tagged, call, tag):
    assert known_as(call, shallow(tag)) == (tag, f"commit {tagged.commits[tag][:12]} ({tag}) is checked out")


@pytest.mark.parametrize(("name", "version"), [("-typo", "v1.0"), ("-almost", "v2.0"), ("-after", "trunk")])
def test_a_shallow_clone_without_a_tag_is_what_fits_it(shallow, call, name, version):
    path = shallow(name)
    assert known_as(call, path) == (version, f"all its patches fit, and {NONE_PINNED}")
    assert call("apply", path).code == 0


@pytest.mark.parametrize("tag", small_repository.TAGS)
def test_an_archive_that_the_user_committed_is_what_fits_it(unpacked, call, git, tag):
    path = unpacked(tag, "-f")
    own_commit(git, path)
    assert known_as(call, path) == (tag, f"all its patches fit, and {NONE_PINNED}")
    assert call("apply", path).code == 0
    assert known_as(call, path) == (tag, None)


def test_of_tags_that_all_fit_the_one_with_the_most_edits_is_meant(unpacked, call):
    """The patches of v2.0 fit trunk, too: they do not know its second trainer."""
    path = unpacked("trunk", "-f")
    assert known_as(call, path)[0] == "trunk"
    assert call("apply", path).code == 0
    assert b"abs(loss)" in (path / SEGMENT).read_bytes()


def test_when_none_fits_the_message_is_about_the_one_that_fits_best(unpacked, call, git):
    path = unpacked("v1.0", "-f")
    own_commit(git, path, TRAIN, b"def train(x):\n    pass\n")
    refused = call("apply", path)
    assert refused.code == 3
    assert f"is yolov5 v1.0: more of its patches fit than of any other tag's, and {NONE_PINNED}" in refused.err
    assert "1 patch of 2 does not fit yolov5 v1.0; nothing was changed" in refused.err


def test_what_upstreams_own_gitignore_hides_is_named(unpacked, call, git):
    """YOLOv5 ignores its own `data`, so a plain `git add -A` of an unpacked archive leaves it out."""
    path = unpacked("v1.0")
    refused = call("apply", path)
    assert refused.code == 3
    assert f"at       {HIDDEN} " in refused.err
    assert "the file does not exist" in refused.err
    typed = f"git -C {path} add -f {HIDDEN}"
    assert f"try: {typed}, and commit" in refused.err
    git(path, *typed.split()[3:])
    git(path, "commit", "-q", "-m", "hidden")
    assert call("apply", path).code == 0


def test_a_checkout_that_moved_on_to_a_later_tag_is_that_tag(checkout, tagged, call, git):
    path = checkout("v1.0")
    assert call("apply", path).code == 0
    assert call("revert", path).code == 0
    git(path, "merge", "-q", "-m", "newer", tagged.commits["v2.0"])
    assert known_as(call, path)[0] == "v2.0"
    assert call("apply", path).code == 0
    assert known_as(call, path) == ("v2.0", None)


@pytest.mark.parametrize("name", [*small_repository.TAGS, "-almost", "-after"])
def test_revert_gives_back_what_was_there(checkout, call, git, name):
    path = checkout(name)
    own_commit(git, path)
    before = tree(git, path)
    assert call("apply", path).code == 0
    assert tree(git, path) != before
    assert call("revert", path).code == 0
    assert tree(git, path) == before


@pytest.mark.usefixtures("tagged")
def test_diff_and_dry_run_tell_what_apply_does(checkout, call, git):
    path = checkout("v1.0")
    dry = call("apply", path, "--dry-run", "--json").json
    diff = call("diff", path)
    assert diff.code == 1
    assert "+    loss = abs(loss)" in diff.out
    assert "is yolov5 v1.0: " in diff.err
    real = call("apply", path, "--json").json
    assert [c["files"] for c in dry["commits"]] == [c["files"] for c in real["commits"]]
    assert call("diff", path).code == 0
    assert git(path, "status", "--porcelain") == ""


@pytest.mark.parametrize("name", ["slim/own.py", "slim/pruning/plan.py"])
def test_a_slim_of_the_users_own_is_in_the_way(checkout, call, git, name):
    path = checkout("v2.0")
    own_commit(git, path, name, b"MINE = 1\n")
    head = git(path, "rev-parse", "HEAD")
    refused = call("apply", path)
    assert (refused.code, git(path, "rev-parse", "HEAD")) == (3, head)
    assert f"error: {path} has files of its own where the overlay goes: {name}\n" in refused.err


def test_a_file_that_the_user_adds_to_our_slim_is_theirs(checkout, call, git):
    path = checkout("v2.0")
    call("apply", path)
    own_commit(git, path, "slim/own.py", b"MINE = 1\n")
    assert call("status", path).code == 0
    assert "nothing to do" in call("apply", path).out


def test_a_fork_is_known_after_a_clone_and_after_its_history_is_cut(tagged, call, git, tmp_path):
    assert tagged.path.is_dir()
    fork, copy = tmp_path / "fork", tmp_path / "copy"
    call("vendor", "yolov5@v1.0", "--into", fork)
    git(tmp_path, "-c", "core.autocrlf=false", "clone", "-q", "--depth=1", f"file://{fork}", copy)
    assert call("status", copy, "--json").json["version"] == "v1.0"


def test_a_relative_of_yolov5_is_named_and_refused(git, call, tmp_path):
    path = tmp_path / "relative"
    names = [name for name in small_repository.FIRST if name != "models/yolov5s.yaml"]
    write(path, dict.fromkeys(names, b""))
    git(path, "init", "-q")
    git(path, "add", "-A")
    git(path, "commit", "-q", "-m", "x")
    refused = call("apply", path)
    assert refused.code == 2
    assert f"error: {path} is a relative of YOLOv5: it has no models/yolov5s.yaml\n" in refused.err


def pins_add(call, *arguments):
    outcome = call("pins", "add", *arguments)
    assert len(outcome.err.splitlines()) <= 2
    return outcome


def test_a_tag_is_pinned_with_its_commit_and_day_after_it_was_fetched(tagged, call, git, tmp_path):
    git(tagged.path, "tag", "-a", "-m", "x", "v1.5", tagged.commits["-almost"])
    added = pins_add(call, "yolov5@v1.5", "--json")
    assert added.code == 0
    assert added.json["commit"] == tagged.commits["-almost"]
    assert added.json["uploaded"] == "2021-08-01"
    assert [pin.version for pin in load("yolov5")] == ["v1.0", "v1.5", "v2.0", "trunk"]
    assert list((tmp_path / "cache" / "commits").glob("yolov5-v1.5-*.objects.gz"))
    assert find("yolov5@v1.5").commit == tagged.commits["-almost"]
    again = pins_add(call, "yolov5@1.5")
    assert (again.code, again.err) == (0, "yolov5@v1.5 is pinned already; nothing to do\n")


def test_a_pinned_branch_that_has_moved_is_moved_only_when_asked(tagged, call):
    lock = load("yolov5")
    refused = pins_add(call, "yolov5@trunk")
    old, new = tagged.commits["trunk"][:12], tagged.commits["-after"][:12]
    assert refused.code == 1
    assert f"yolov5@trunk is pinned to {old}, and stands at {new} now" in refused.err
    assert load("yolov5") == lock
    assert pins_add(call, "yolov5@trunk", "--move", "--dry-run").code == 0
    assert load("yolov5") == lock
    assert pins_add(call, "yolov5@trunk", "--move").code == 0
    assert find("yolov5@trunk").commit == tagged.commits["-after"]
    assert str(find("yolov5@trunk").uploaded) == "2026-08-21"
    assert len(load("yolov5")) == len(lock)


def test_a_tag_that_is_not_there_is_not_pinned(tagged, call, tmp_path):
    lock = load("yolov5")
    refused = pins_add(call, "yolov5@v9.0")
    assert refused.code == 2
    assert f"{tagged.path} has no tag or branch v9.0" in refused.err
    assert "nowhere does not exist" in pins_add(call, "yolov5@v9.0", "--git", tmp_path / "nowhere").err
    assert load("yolov5") == lock


def test_tags_are_listed_with_their_commits(tagged, call):
    listed = json.loads(call("pins", "list", "yolov5", "--json").out)
    assert [pin["spec"] for pin in listed] == ["yolov5@v1.0", "yolov5@v2.0", "yolov5@trunk"]
    assert [pin["commit"] for pin in listed] == [tagged.commits[tag] for tag in small_repository.TAGS]
    assert f"git {tagged.commits['v1.0'][:12]}" in call("pins", "list", "yolov5").out


def test_the_files_of_a_vendored_tag_can_be_checked_out_anywhere(tagged, call, git, tmp_path):
    """The link and what `.gitattributes` would rewrite are no part of what is checked out."""
    assert tagged.path.is_dir()
    fork = tmp_path / "fork"
    call("vendor", "yolov5@v1.0", "--into", fork)
    shutil.rmtree(fork / "data")
    git(fork, "checkout", "-q", "--", "data")
    assert (fork / "data" / "photo.jpg").read_bytes() == bytes(range(256))
    assert b"\r\n" not in (fork / LOSS).read_bytes()
