"""A fork moves to another release with the user's commits, in one step and forward.

Also of: `slimfork.upgrade.authorship`, `slimfork.upgrade.beginning`, `slimfork.upgrade.moved`,
`slimfork.upgrade.new_base`, `slimfork.upgrade.outcome`, `slimfork.upgrade.replay`, `slimfork.upgrade.seal`,
`slimfork.upgrade.target`.
"""

from __future__ import annotations

import itertools

import pytest

from tests.sampling import sampled
from tests.tools.small_release import LOSS, PATCHED_STEP, TRAINER
from tests.tools.upgrade.conftest import CHANGED, DEFAULTS, EMPTY, LIKE_MODEL, MODEL, MOVED, MOVED_DEFAULTS, TASKS
from tests.tools.users_work import SLIM

WHO = "%an <%ae> %ai | %cn <%ce> %ci | %B"


def fates(result):
    return {commit["subject"]: commit["fate"] for commit in result["commits"]}


def upgrade(call, path, *arguments):
    outcome = call("upgrade", path, *arguments, "--json")
    assert outcome.code == 0, outcome.err
    return outcome.json


def test_commits_come_along_as_they_are_and_the_branch_goes_forward(fork, call, git, mine):
    old = mine(fork, {TASKS: (b"a20 = 20\n", b"a20 = 'mine'\n"), "mine.txt": b"mine\n"}, "A change\n\nWith a body.")
    before = git(fork, "log", "-1", f"--format={WHO}")
    (fork / "untracked.txt").write_text("untracked")
    (fork / "ignored").mkdir(exist_ok=True)
    (fork / "ignored" / "notes.txt").write_text("ignored")
    result = upgrade(call, fork, "--to", CHANGED)
    assert fates(result) == {"A change": "kept"}
    new = result["commits"][0]["new"]
    assert git(fork, "log", "-1", f"--format={WHO}", new) == before
    assert git(fork, "rev-parse", "HEAD^1", "HEAD^2").split() == [new, old]
    assert git(fork, "rev-parse", "HEAD") == result["head"]
    assert git(fork, "rev-parse", "upstream", f"upstream/{CHANGED}").split() == [result["import"]] * 2
    assert git(fork, "rev-parse", "upstream~1") == git(fork, "rev-parse", "upstream/8.9.0")
    content = (fork / TASKS).read_bytes()
    assert b"a10 = 'theirs'\n" in content
    assert b"a20 = 'mine'\n" in content
    assert PATCHED_STEP in (fork / TRAINER).read_bytes()
    assert not (fork / "crlf.txt").exists()
    assert (fork / "come.txt").read_bytes() == b"come\n"
    assert (fork / "ignored" / "notes.txt").read_text() == "ignored"
    assert git(fork, "status", "--porcelain") == "?? untracked.txt"
    status = call("status", fork, "--json").json
    assert (status["version"], status["complete"]) == (CHANGED, True)


def test_the_base_is_what_vendor_makes(fork, call, git, tmp_path):
    result = upgrade(call, fork, "--to", CHANGED)
    assert result["commits"] == []
    assert call("vendor", f"ultralytics=={CHANGED}", "--into", tmp_path / "fresh").code == 0
    assert git(fork, "rev-parse", "HEAD^{tree}") == git(tmp_path / "fresh", "rev-parse", "HEAD^{tree}")
    assert git(fork, "rev-parse", "upstream^{tree}") == git(tmp_path / "fresh", "rev-parse", "upstream^{tree}")


def test_everybody_gets_the_same_commit(fork, call, git, mine, tmp_path):
    mine(fork, {"mine.txt": b"mine\n"})
    git(tmp_path, "clone", "-q", str(fork), "other")
    heads = [upgrade(call, path, "--to", CHANGED)["head"] for path in (fork, tmp_path / "other")]
    assert heads[0] == heads[1]


def test_there_and_back_are_the_same_files(fork, call, git, mine):
    mine(fork, {"mine.txt": b"mine\n", TRAINER: (b"self.report()\n", b"self.report()  # mine\n")})
    tree = git(fork, "rev-parse", "HEAD^{tree}")
    for version in (CHANGED, MOVED, EMPTY, "8.9.0"):
        assert fates(upgrade(call, fork, "--to", version)) == {"mine": "kept"}
    assert git(fork, "rev-parse", "HEAD^{tree}") == tree
    again = call("upgrade", fork, "--to", "8.9.0")
    assert (again.code, "nothing to do" in again.out) == (0, True)


def test_newest_is_the_newest_pin(fork, call):
    assert upgrade(call, fork, "--to", "newest")["version"] == EMPTY


def test_linear_leaves_the_old_commits_out(fork, call, git, mine):
    old = mine(fork, {"mine.txt": b"mine\n"})
    result = upgrade(call, fork, "--to", CHANGED, "--linear")
    assert git(fork, "rev-parse", "HEAD") == result["commits"][0]["new"]
    assert git(fork, "merge-base", "HEAD", old) == git(fork, "rev-parse", "upstream/8.9.0")
    assert call("status", fork, "--json").json["complete"]


def test_what_the_release_has_too_drops_out_by_name(fork, call, mine):
    mine(fork, {TASKS: (b"a3 = 3\n", b"a3 = 'new'\n")}, "Upstream will do this")
    mine(fork, {"mine.txt": b"mine\n"}, "And not this")
    outcome = call("upgrade", fork, "--to", CHANGED)
    assert outcome.code == 0
    assert "Upstream will do this  (the release has it: dropped)" in outcome.out
    assert "And not this\n" in outcome.out


def test_an_empty_commit_stays(fork, call, git):
    git(fork, "commit", "-q", "--allow-empty", "-m", "a mark")
    assert fates(upgrade(call, fork, "--to", CHANGED)) == {"a mark": "kept"}


def test_a_moved_file_is_followed_however_much_of_it_is_new(fork, call, mine):
    mine(fork, {DEFAULTS: (b"key10: 10\n", b"key10: mine\n")})
    assert fates(upgrade(call, fork, "--to", MOVED)) == {"mine": "kept"}
    assert b"key10: mine\n" in (fork / MOVED_DEFAULTS).read_bytes()
    assert not (fork / DEFAULTS).exists()


def test_no_change_ends_in_a_file_that_is_merely_alike(fork, call, git, mine):
    """`git merge` puts it into `v8-seg.yaml`."""
    mine(fork, {MODEL: (b"- [5, Conv]\n", b"- [5, Mine]\n")})
    outcome = call("upgrade", fork, "--to", MOVED)
    assert outcome.code == 3
    assert f"{MODEL} (modify/delete): {MOVED} does not have it any more; most like it is {LIKE_MODEL}" in outcome.out
    assert git(fork, "status", "--porcelain") == f"DU {MODEL}"
    assert b"Mine" in (fork / MODEL).read_bytes()
    assert b"Mine" not in (fork / LIKE_MODEL).read_bytes()


def test_a_file_that_the_user_has_renamed_is_followed_too(fork, call, git, mine):
    git(fork, "mv", TASKS, "ultralytics/nn/mine.py")
    mine(fork, {})
    assert fates(upgrade(call, fork, "--to", CHANGED)) == {"mine": "kept"}
    assert b"a10 = 'theirs'\n" in (fork / "ultralytics/nn/mine.py").read_bytes()
    assert not (fork / TASKS).exists()


def test_merges_stay_merges(fork, call, git, mine):
    git(fork, "switch", "-q", "-c", "topic")
    mine(fork, {TASKS: (b"a20 = 20\n", b"a20 = 'topic'\n")}, "topic")
    git(fork, "switch", "-q", "slim")
    mine(fork, {TASKS: (b"a28 = 28\n", b"a28 = 'mine'\n")}, "main")
    git(fork, "merge", "-q", "--no-ff", "-m", "merged", "topic")
    result = upgrade(call, fork, "--to", CHANGED)
    new = {commit["subject"]: commit["new"] for commit in result["commits"]}
    assert git(fork, "rev-parse", f"{new['merged']}^1", f"{new['merged']}^2").split() == [new["main"], new["topic"]]
    for line in (b"a20 = 'topic'\n", b"a28 = 'mine'\n", b"a10 = 'theirs'\n"):
        assert line in (fork / TASKS).read_bytes()


def test_what_was_decided_in_a_merge_stays_decided(fork, call, git, mine):
    git(fork, "switch", "-q", "-c", "topic")
    mine(fork, {TASKS: (b"a20 = 20\n", b"a20 = 'topic'\n")}, "topic")
    git(fork, "switch", "-q", "slim")
    mine(fork, {TASKS: (b"a20 = 20\n", b"a20 = 'main'\n")}, "main")
    git(fork, "merge", "-q", "-s", "ours", "--no-commit", "topic")
    mine(fork, {TASKS: (b"a20 = 'main'\n", b"a20 = 'both'\n")}, "merged", "-m", "merged")
    assert set(fates(upgrade(call, fork, "--to", CHANGED)).values()) == {"kept"}
    assert b"a20 = 'both'\n" in (fork / TASKS).read_bytes()


def test_a_foreign_history_that_was_merged_stays_as_it_is(fork, call, git, mine, tmp_path):
    git(tmp_path, "init", "-q", "-b", "main", "others")
    other = mine(tmp_path / "others", {"others.txt": b"others\n"}, "others")
    git(fork, "fetch", "-q", str(tmp_path / "others"), "main")
    git(fork, "merge", "-q", "--allow-unrelated-histories", "-m", "merged", "FETCH_HEAD")
    result = upgrade(call, fork, "--to", CHANGED)
    assert fates(result) == {"merged": "kept"}
    assert git(fork, "rev-parse", f"{result['commits'][0]['new']}^2") == other
    assert (fork / "others.txt").read_bytes() == b"others\n"


PLAN = f"{SLIM}/pruning/plan.py"
OURS = ("Patch-Id: penalty", "Patch-Id: zclip", "Overlay-Id: slim")
AMENDED = [*itertools.product(OURS, [TRAINER, LOSS, "mine.txt"]), (OURS[-1], PLAN)]
SOME = [(OURS[0], TRAINER), (OURS[1], "mine.txt"), (OURS[-1], PLAN)]


@pytest.mark.parametrize(("grep", "name"), sampled(AMENDED, by_default=SOME))
def test_what_was_amended_into_a_commit_of_ours_comes_along(fork, call, git, name, grep):
    """An edit of the user's in one of our commits, as `git commit --fixup` and an autosquash put it there."""
    ours = git(fork, "log", "-1", "--format=%H", f"--grep={grep}")
    git(fork, "checkout", "-q", "--detach", ours)
    content = (fork / name).read_bytes() if (fork / name).is_file() else b""
    (fork / name).write_bytes(b"# mine\n" + content)
    git(fork, "add", "-A", "-f")
    git(fork, "commit", "-q", "--amend", "-C", "HEAD")
    amended = git(fork, "rev-parse", "HEAD")
    git(fork, "checkout", "-q", "slim")
    git(fork, "rebase", "-q", "--onto", amended, ours, "slim")
    assert b"# mine" in (fork / name).read_bytes()
    result = upgrade(call, fork, "--to", CHANGED)
    (own,) = result["commits"]
    subject = git(fork, "log", "-1", "--format=%s", own["new"])
    assert subject == f"Own changes in: {own['subject']}"
    assert (fork / name).read_bytes().startswith(b"# mine\n")
    assert PATCHED_STEP in (fork / TRAINER).read_bytes()
    assert call("status", fork, "--json").json["complete"]


def test_what_was_squashed_with_ours_comes_along(fork, call, git, mine):
    mine(fork, {"mine.txt": b"mine\n", TRAINER: (b"return os.getcwd()", b"return os.getcwd()  # mine")})
    message = git(fork, "log", "--format=%B", "upstream..HEAD")
    git(fork, "reset", "-q", "--soft", "upstream")
    mine(fork, {}, message)
    outcome = call("upgrade", fork, "--to", EMPTY)
    assert outcome.code == 0, outcome.err
    assert (fork / "mine.txt").read_bytes() == b"mine\n"
    assert b"  # mine" in (fork / TRAINER).read_bytes()
    assert call("status", fork, "--json").json["complete"]


def test_an_edited_file_of_the_overlay_is_merged_with_a_newer_one(fork, releases, call, mine):
    path = f"{SLIM}/pruning/plan.py"
    mine(fork, {path: (b"RATIO = 0.5\n", b"RATIO = 0.7\n")})
    newer = releases / "overlay/slim/pruning/plan.py"
    newer.write_bytes(newer.read_bytes() + b"\n\n\nMORE = 1\n")
    upgrade(call, fork, "--to", CHANGED)
    assert (fork / path).read_bytes() == b"RATIO = 0.7\nROUND = 8\n\n\n\nMORE = 1\n"


def test_what_was_left_out_stays_out(releases, call, tmp_path):
    path = tmp_path / "without"
    assert call("vendor", "ultralytics==8.9.0", "--into", path, "--no-compat").code == 0
    upgrade(call, path, "--to", CHANGED)
    assert b"np.trapz" in (path / LOSS).read_bytes()
    assert releases.is_dir()


def test_a_branch_upstream_with_commits_of_the_users_stays(fork, call, git):
    git(fork, "switch", "-q", "upstream")
    git(fork, "commit", "-q", "--allow-empty", "-m", "mine")
    own = git(fork, "rev-parse", "HEAD")
    git(fork, "switch", "-q", "slim")
    outcome = call("upgrade", fork, "--to", CHANGED)
    assert outcome.code == 0
    assert "the branch upstream stays as it is" in outcome.err
    assert git(fork, "rev-parse", "upstream") == own


def test_a_dry_run_changes_nothing_and_says_what_fits(clashing, call, git):
    before = git(clashing, "for-each-ref"), git(clashing, "status", "--porcelain")
    outcome = call("upgrade", clashing, "--to", CHANGED, "--dry-run", "--json")
    assert outcome.code == 3
    assert fates(outcome.json) == {"first": "kept", "second": "conflict", "third": "kept"}
    assert outcome.json["commits"][1]["clashes"][0]["path"] == TASKS
    assert (git(clashing, "for-each-ref"), git(clashing, "status", "--porcelain")) == before
    assert call("upgrade", clashing, "--to", EMPTY, "--dry-run").code == 0
    assert git(clashing, "count-objects") == git(clashing, "count-objects")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "it takes one of --to VERSION"),
        (("--to", CHANGED, "--abort"), "it takes one of --to VERSION"),
        (("--continue", "--dry-run"), "--dry-run is for --to"),
        (("--to", "1.2.3"), "is not pinned; nearest"),
        (("--to", "yolov5@v7.0"), "yolov5"),
        (("--continue",), "no upgrade is under way"),
        (("--skip",), "no upgrade is under way"),
        (("--abort",), "no upgrade is under way"),
    ],
)
def test_wrong_words_are_one_line_with_what_to_type(fork, call, git, arguments, says):
    before = git(fork, "for-each-ref")
    outcome = call("upgrade", fork, *arguments)
    assert outcome.code == 2
    assert says in outcome.err
    assert "try: " in outcome.err
    assert git(fork, "for-each-ref") == before


@pytest.mark.parametrize(
    "how", ["dirty", "detached", "replaced", "no repository", "nothing there", "shallow", "own history"]
)
def test_what_cannot_be_moved_is_refused_by_name(fork, clone, call, git, tmp_path, how):
    path = {"no repository": tmp_path, "nothing there": tmp_path / "none", "own history": clone}.get(how, fork)
    if how == "dirty":
        (fork / TASKS).write_bytes(b"mine\n")
    elif how == "detached":
        git(fork, "switch", "-q", "--detach")
    elif how == "replaced":
        git(fork, "replace", "-f", "HEAD", "HEAD~1")
    elif how == "shallow":
        git(tmp_path, "clone", "-q", "--depth=1", f"file://{fork}", "shallow")
        path = tmp_path / "shallow"
    outcome = call("upgrade", path, "--to", CHANGED)
    assert (outcome.code, outcome.out) == (2, "")
    assert "try: " in outcome.err


def test_an_import_with_the_users_edits_in_it_is_refused(fork, call, git):
    tip = git(fork, "rev-parse", "upstream")
    git(fork, "switch", "-q", "upstream")
    (fork / TASKS).write_bytes(b"mine = 1\n")
    git(fork, "commit", "-q", "-a", "--amend", "-C", "HEAD")
    git(fork, "rebase", "-q", "--onto", "upstream", tip, "slim")
    outcome = call("upgrade", fork, "--to", CHANGED)
    assert outcome.code == 2
    assert "it was amended" in outcome.err
    assert (fork / TASKS).read_bytes() == b"mine = 1\n"


def test_an_import_that_was_written_anew_with_the_same_files_will_do(fork, call, git):
    tip = git(fork, "rev-parse", "upstream")
    git(fork, "switch", "-q", "upstream")
    git(fork, "commit", "-q", "--amend", "-C", "HEAD")
    git(fork, "rebase", "-q", "--onto", "upstream", tip, "slim")
    upgrade(call, fork, "--to", CHANGED)


def test_an_export_of_what_was_moved_makes_the_same_commit_again(fork, call, git, mine, tmp_path):
    mine(fork, {"mine.txt": b"mine\n"})
    upgrade(call, fork, "--to", CHANGED)
    mine(fork, {"more.txt": b"mine\n"}, "more")
    upgrade(call, fork, "--to", MOVED)
    assert call("status", fork, "--verify-tree").code == 0
    assert call("export", fork, "--out", tmp_path / "out").code == 0
    assert call("vendor", "--from", tmp_path / "out", "--into", tmp_path / "again").code == 0
    assert git(tmp_path / "again", "rev-parse", "HEAD") == git(fork, "rev-parse", "HEAD")


def test_apply_and_revert_know_where_they_stand(fork, call, git, mine):
    mine(fork, {"mine.txt": b"mine\n"})
    upgrade(call, fork, "--to", CHANGED)
    assert "nothing to do" in call("apply", fork).out
    assert call("revert", fork, "--patch", "zclip").code == 0
    result = upgrade(call, fork, "--to", EMPTY)
    assert fates(result) == {"mine": "kept"}
    assert (fork / "mine.txt").exists()
    assert git(fork, "status", "--porcelain") == ""


def test_what_was_skipped_does_not_come_back_by_a_topic_from_before(clashing, call, git, mine):
    """The topic has it in its own past: git would merge that anew, had the histories not parted where they do."""
    git(clashing, "branch", "topic")
    assert call("upgrade", clashing, "--to", CHANGED).code == 3
    assert call("upgrade", clashing, "--skip").code == 0
    git(clashing, "switch", "-q", "topic")
    mine(clashing, {"topic.txt": b"mine\n"}, "topic")
    git(clashing, "switch", "-q", "slim")
    git(clashing, "merge", "-q", "--no-edit", "topic")
    tree = set(git(clashing, "ls-files").split("\n"))
    upgrade(call, clashing, "--to", EMPTY)
    assert set(git(clashing, "ls-files").split("\n")) == tree - {"come.txt"} | {"crlf.txt"}
    assert not (clashing / "second.txt").exists()
    assert b"'mine'" not in (clashing / TASKS).read_bytes()


def test_a_patch_that_was_taken_out_stays_out_until_it_is_put_back(fork, call, git, mine):
    mine(fork, {TRAINER: (b"self.report()\n", b"self.report()  # mine\n")})
    assert call("revert", fork, "--patch", "zclip").code == 0
    for version in (CHANGED, EMPTY):
        upgrade(call, fork, "--to", version)
        assert b"clip" not in (fork / TRAINER).read_bytes()
        assert b"self.penalty()" in (fork / TRAINER).read_bytes()
        states = {patch["id"]: patch["state"] for patch in call("status", fork, "--json").json["patches"]}
        assert (states["zclip"], states["penalty"]) == ("pending", "applied")
    assert call("apply", fork).code == 0
    upgrade(call, fork, "--to", CHANGED)
    assert b"        self.clip()\n" in (fork / TRAINER).read_bytes()
    assert git(fork, "status", "--porcelain") == ""


def test_a_fork_of_which_all_was_taken_out_is_refused(fork, call):
    assert call("revert", fork).code == 0
    outcome = call("upgrade", fork, "--to", CHANGED)
    assert outcome.code == 2
    assert "has no patches any more" in outcome.err
    assert f"apply-patches apply {fork}" in outcome.err


def test_on_no_branch_the_hint_names_the_one_that_is_there(fork, call, git):
    git(fork, "switch", "-q", "--detach")
    outcome = call("upgrade", fork, "--to", CHANGED)
    assert f"try: git -C {fork} switch slim, or " in outcome.err


def test_a_branch_upstream_in_another_work_tree_stays(fork, call, git, tmp_path):
    git(fork, "worktree", "add", "-q", str(tmp_path / "tree"), "upstream")
    assert "stays as it is: another work tree is on it" in call("upgrade", fork, "--to", CHANGED).err
    assert git(tmp_path / "tree", "status", "--porcelain") == ""


@pytest.mark.parametrize("first", ["topic", "slim"])
def test_an_upgrade_and_a_branch_from_before_are_one_fork_whichever_is_merged_into_the_other(
    fork, call, git, mine, tmp_path, first
):
    mine(fork, {TASKS: (b"a20 = 20\n", b"a20 = 'mine'\n")}, "first")
    git(fork, "switch", "-q", "-c", "topic")
    mine(fork, {"topic.txt": b"mine\n"}, "topic")
    git(fork, "switch", "-q", "slim")
    upgrade(call, fork, "--to", CHANGED)
    git(fork, "switch", "-q", first)
    git(fork, "merge", "-q", "--no-ff", "-m", "merged", "slim" if first == "topic" else "topic")
    upgrade(call, fork, "--to", MOVED)
    assert (fork / MOVED_DEFAULTS).is_file()
    assert not (fork / DEFAULTS).exists()
    assert b"a20 = 'mine'\n" in (fork / TASKS).read_bytes()
    assert (fork / "topic.txt").read_bytes() == b"mine\n"
    status = call("status", fork, "--json").json
    assert (status["version"], status["complete"]) == (MOVED, True)
    assert call("status", fork, "--verify-tree").code == 0
    assert call("export", fork, "--out", tmp_path / "out").code == 0
    assert call("vendor", "--from", tmp_path / "out", "--into", tmp_path / "again").code == 0
    assert git(tmp_path / "again", "rev-parse", "HEAD") == git(fork, "rev-parse", "HEAD")


def test_two_upgrades_to_different_releases_are_merged_and_move_on(fork, call, git, mine, tmp_path):
    mine(fork, {"mine.txt": b"mine\n"})
    git(tmp_path, "clone", "-q", str(fork), "other")
    other = tmp_path / "other"
    upgrade(call, fork, "--to", CHANGED)
    upgrade(call, other, "--to", EMPTY)
    mine(other, {"other.txt": b"mine\n"}, "theirs")
    git(fork, "fetch", "-q", str(other), "slim")
    git(fork, "merge", "-q", "-X", "theirs", "-m", "both", "FETCH_HEAD")
    upgrade(call, fork, "--to", MOVED)
    assert (fork / MOVED_DEFAULTS).is_file()
    assert not (fork / DEFAULTS).exists()
    assert (fork / "other.txt").read_bytes() == b"mine\n"
    assert call("status", fork, "--json").json["version"] == MOVED
