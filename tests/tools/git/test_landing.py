"""The moment in which a checkout changes: all of it or nothing, and no save of the user's is overwritten in it.

Also of: `slimfork.git.recovery`, `slimfork.processes.signals`.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from slimfork import cli
from slimfork.git import index_file, journal, landing, swap
from slimfork.git.journal import NAMES
from slimfork.git.repo import LOCK, Repository
from slimfork.git.swap import Exchange
from slimfork.processes import workshop
from tests.sampling import sampled
from tests.tools.conftest import IDENTITY, in_child, run_and_die, write
from tests.tools.small_release import LOSS, PATCHED_STEP, TRAINER

MOVING = tuple(module.__file__ for module in (landing, swap, journal, index_file, workshop))
NEW = "ultralytics/slim/pruning/plan.py"


def state(git, path):
    return git(path, "rev-parse", "HEAD"), git(path, "status", "--porcelain", "--ignored")


def leftovers(path):
    return [p for p in path.rglob("*") if "slimfork" in p.name and p.name != LOCK] + [
        p for p in path.rglob("*") if p.suffix in {".lock", ".part", ".saved", ".orig"} and p.name != LOCK
    ]


def killed_states(git, clone, tmp_path, verb, step):
    """Yield copies of a checkout in each of which a run was killed, later and later, until one came to its end."""
    for point in range(1, 2000, step):
        path = tmp_path / f"killed{point}"
        shutil.copytree(clone, path)
        git(path, "update-index", "-q", "--refresh")
        ended = run_and_die([verb, path], point, MOVING)
        yield path
        shutil.rmtree(path)
        if ended == 0:
            return
    pytest.fail("never ran to its end")


@pytest.mark.parametrize("verb", sampled(["apply", "revert"], by_default=["apply"]))
def test_a_killed_run_is_taken_back_or_finished_by_the_next_one(clone, call, git, tmp_path, verb):
    if verb == "revert":
        call("apply", clone)
    shutil.copytree(clone, tmp_path / "whole")
    assert call(verb, tmp_path / "whole").code == 0
    ends = {git(clone, "rev-parse", "HEAD"), git(tmp_path / "whole", "rev-parse", "HEAD")}
    seen = set()
    for path in killed_states(git, clone, tmp_path, verb, 29):
        assert call("status", path, "--json").json["dirty"] == []
        assert leftovers(path) == []
        seen.add(git(path, "rev-parse", "HEAD"))
        assert state(git, path)[1] == ""
        assert call(verb, path).code == 0
        assert state(git, path) == state(git, tmp_path / "whole")
    assert seen == ends


def test_plain_git_works_after_nearly_every_kill(clone, git, tmp_path):
    """Only in the few lines that hold git's own lock it does not."""
    worked = []
    for path in killed_states(git, clone, tmp_path, "apply", 31):
        write(path, {"mine.txt": b"mine"})
        done = [
            subprocess.run(["git", "-C", str(path), *IDENTITY, *what], capture_output=True, check=False).returncode
            for what in (["add", "mine.txt"], ["commit", "-q", "-m", "mine"])
        ]
        worked.append(done == [0, 0])
    assert sum(worked) > len(worked) / 2


def test_what_was_edited_after_a_kill_stays(clone, call, git, tmp_path):
    seen = 0
    for path in killed_states(git, clone, tmp_path, "apply", 37):
        edited = {name: (path / name).read_bytes() + b"# edited since\n" for name in (TRAINER, LOSS)}
        write(path, {**edited, NEW: b"mine\n"})
        status = call("status", path, "--json")
        for name, content in {**edited, NEW: b"mine\n"}.items():
            assert (path / name).read_bytes() == content
        seen += "is left as it is" in status.err
        assert leftovers(path) == []
    assert seen


@pytest.fixture
def half(clone, monkeypatch):
    """A checkout in which all was killed right before the branch moved: files are new, git's index is locked."""

    def killed(*_):
        os.kill(os.getppid(), signal.SIGKILL)
        os.kill(os.getpid(), signal.SIGKILL)

    with monkeypatch.context() as patched:
        patched.setattr(landing, "move_refs", killed)
        path = clone.with_name("half")
        shutil.copytree(clone, path)
        assert in_child(lambda: cli.run(["apply", str(path)])) == -signal.SIGKILL
    deadline = time.monotonic() + 10
    while not (path / ".git/index.lock").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.1)
    assert (path / ".git/index.lock").exists()
    assert PATCHED_STEP in (path / TRAINER).read_bytes()
    return path


@pytest.mark.parametrize(
    "damage", [b"", b"{}", b"[" * 100_000, b"\0" * 512, b'{"swaps": 3}', b'{"ref":null,"old":"a","new":"b","swaps":[]}']
)
def test_a_damaged_journal_is_made_up_for_by_its_copy(clone, half, call, git, damage):
    before = state(git, clone)
    (half / ".git" / workshop.FOLDER / NAMES[0]).write_bytes(damage)
    assert call("status", half, "--json").json["dirty"] == []
    assert state(git, half) == before
    assert leftovers(half) == []


def test_a_journal_that_is_wholly_lost_is_explained_and_keeps_the_users_files(clone, half, call, git):
    for name in NAMES:
        (half / ".git" / workshop.FOLDER / name).write_bytes(b"")
    status = call("status", half)
    kept = half / ".git" / f"{workshop.FOLDER}.damaged"
    assert "its journal is damaged" in status.err
    assert str(kept) in status.err
    assert status.code == 1
    assert (kept / "old" / TRAINER).read_bytes() == (clone / TRAINER).read_bytes()
    git(half, "stash", "-q", "-u")
    assert call("apply", half).code == 0


@pytest.mark.parametrize("content", [b"", b"damaged", b'{"new": "1", "old": "2", "ref": "refs/heads/main"}'])
def test_the_journal_of_an_earlier_version_is_explained_and_blocks_nothing(clone, call, git, content):
    write(clone / ".git", {workshop.FOLDER: content, "index.lock": content})
    before = git(clone, "rev-parse", "HEAD")
    for verb, code in (("status", 1), ("apply", 0)):
        assert call(verb, clone).code == code
    assert not (clone / ".git/index.lock").exists()
    assert git(clone, "rev-parse", "HEAD~4") == before


def saving(monkeypatch, when, save):
    """Have somebody save, right before a step of the landing."""
    owner, name = when
    step = getattr(owner, name)

    def saved(self, *arguments, **options):
        save()
        return step(self, *arguments, **options)

    monkeypatch.setattr(owner, name, saved)


MOMENTS = {
    "while the new files are written": (landing, "_write_files"),
    "after the look": (Exchange, "add"),
    "while the index is locked": (Exchange, "replace"),
    "before the branch moves": (landing, "move_refs"),
}


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("how", ["appended", "written anew", "replaced by a rename", "removed", "another mode"])
def test_a_save_while_it_runs_is_never_overwritten(clone, call, git, monkeypatch, moment, how):
    head = git(clone, "rev-parse", "HEAD")
    file = clone / TRAINER

    def save():
        if how == "appended":
            with file.open("ab") as out:
                out.write(b"# saved\n")
        elif how == "written anew":
            file.write_bytes(b"# saved\n")
        elif how == "replaced by a rename":
            file.with_suffix(".tmp").write_bytes(b"# saved\n")
            file.with_suffix(".tmp").replace(file)
        elif how == "removed":
            file.unlink()
        else:
            file.chmod(0o755)

    saving(monkeypatch, MOMENTS[moment], save)
    outcome = call("apply", clone)
    if how in {"removed", "another mode"}:
        assert outcome.code in {0, 2}  # nothing of content is lost in either
    elif moment == "before the branch moves":
        assert outcome.code == 0  # it was saved on top of the new file
    else:
        assert outcome.code == 2
        assert TRAINER in outcome.err
        assert git(clone, "rev-parse", "HEAD") == head
        assert git(clone, "status", "--porcelain") == f" M {TRAINER}"
    if how not in {"removed", "another mode"}:
        assert b"# saved\n" in file.read_bytes()
    assert leftovers(clone) == []


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_file_that_comes_up_where_ours_goes_is_kept(clone, call, git, monkeypatch, moment):
    head = git(clone, "rev-parse", "HEAD")
    saving(monkeypatch, MOMENTS[moment], lambda: write(clone, {NEW: b"mine\n"}))
    outcome = call("apply", clone)
    assert (clone / NEW).read_bytes() == b"mine\n"
    if outcome.code:
        assert NEW in outcome.err
        assert git(clone, "rev-parse", "HEAD") == head
        assert git(clone, "status", "--porcelain", "-uall") == f"?? {NEW}"
    assert leftovers(clone) == []


@pytest.mark.parametrize("moment", list(MOMENTS)[:3])
def test_a_commit_while_it_runs_is_kept(clone, call, git, monkeypatch, moment):
    def commit():
        write(clone, {"mine.txt": b"mine"})
        for what in (["add", "mine.txt"], ["commit", "-q", "-m", "mine"]):
            subprocess.run(["git", "-C", str(clone), *IDENTITY, *what], capture_output=True, check=False)

    before = git(clone, "rev-parse", "HEAD")
    saving(monkeypatch, MOMENTS[moment], commit)
    outcome = call("apply", clone)
    committed = git(clone, "log", "--format=%s", f"{before}..").split("\n")
    if outcome.code:
        assert outcome.code == 2
        assert "run this again" in outcome.err
        assert committed == ["mine"]
    assert (clone / "mine.txt").read_bytes() == b"mine"
    assert leftovers(clone) == []
    monkeypatch.undo()
    assert git(clone, "diff", "HEAD", "--name-only") == ""


def test_a_switch_of_branches_while_it_runs_moves_neither(clone, call, git, monkeypatch):
    before = git(clone, "rev-parse", "HEAD")
    saving(monkeypatch, MOMENTS["while the index is locked"], lambda: git(clone, "switch", "-q", "-c", "other"))
    monkeypatch.setattr(landing, "held_index", index_file.held_index)
    outcome = call("apply", clone)
    heads = {git(clone, "rev-parse", name) for name in ("main", "other")}
    if outcome.code:
        assert heads == {before}
        assert git(clone, "status", "--porcelain") == ""


def test_what_is_written_through_an_open_handle_is_put_beside(clone, call, monkeypatch):
    handle = (clone / TRAINER).open("ab", buffering=0)
    saving(monkeypatch, (landing, "move_refs"), lambda: handle.write(b"# late\n"))
    outcome = call("apply", clone)
    handle.close()
    assert outcome.code == 0
    assert (clone / f"{TRAINER}.saved").read_bytes().endswith(b"# late\n")
    assert f"{TRAINER}.saved" in outcome.err.replace("\n", "")
    assert PATCHED_STEP in (clone / TRAINER).read_bytes()


@pytest.mark.parametrize("verb", ["fast-import", "update-index", "checkout-index", "update-ref"])
def test_a_run_that_fails_changes_nothing(clone, call, git, monkeypatch, verb):
    before = state(git, clone)
    run = Repository.run

    def failing(self, *arguments, **options):
        if verb in arguments:
            return 128, b"", "fatal: write error: No space left on device\n"
        return run(self, *arguments, **options)

    monkeypatch.setattr(Repository, "run", failing)
    outcome = call("apply", clone)
    monkeypatch.undo()
    assert (outcome.code, outcome.out) == (2, "")
    assert "No space left" in outcome.err
    assert state(git, clone) == before
    assert leftovers(clone) == []


def test_what_is_begun_is_ended_when_the_run_is_killed(clone, call, git, monkeypatch):
    """The few lines that touch the checkout run on in a process of their own."""
    move = landing.move_refs

    def killed(*arguments):
        os.kill(os.getppid(), signal.SIGKILL)
        time.sleep(0.1)
        move(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr(landing, "move_refs", killed)
        assert in_child(lambda: cli.run(["apply", str(clone)])) == -signal.SIGKILL
    deadline = time.monotonic() + 10
    its_own = [clone / ".git" / name for name in ("index.lock", workshop.FOLDER)]
    while any(path.exists() for path in its_own) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert state(git, clone)[1] == ""
    assert PATCHED_STEP in (clone / TRAINER).read_bytes()
    assert leftovers(clone) == []
    assert call("status", clone).code == 0


@pytest.mark.parametrize("after", [False, True])
def test_when_the_process_that_changes_files_is_killed_alone_all_is_put_right(clone, call, git, monkeypatch, after):
    before, move = state(git, clone), landing.move_refs

    def killed(*arguments):
        if after:
            move(*arguments)
        os.kill(os.getpid(), signal.SIGKILL)

    with monkeypatch.context() as patched:
        patched.setattr(landing, "move_refs", killed)
        outcome = call("apply", clone)
    assert outcome.code == (0 if after else 2)
    assert state(git, clone)[1] == ""
    assert (state(git, clone) == before) == (not after)
    assert leftovers(clone) == []


@pytest.mark.parametrize("how", ["commit -q --allow-empty -m mine", "switch -q -f -c other"])
def test_a_killed_run_is_not_taken_back_where_the_user_went_on(half, call, git, how):
    (half / ".git/index.lock").unlink()
    git(half, "add", "-A")
    git(half, *how.split())

    def seen():
        files = {path: path.read_bytes() for path in half.rglob("*.py") if ".git" not in path.parts}
        return files, git(half, "rev-parse", "HEAD"), git(half, "status", "--porcelain")

    before = seen()
    call("status", half)
    assert seen() == before
    assert leftovers(half) == []


def test_an_index_that_cannot_be_replaced_moves_no_branch(clone, call, git, monkeypatch):
    before = state(git, clone)
    replace = Path.replace

    def failing(self, target):
        if self.name == "index.lock":
            raise PermissionError(1, "Operation not permitted", str(self))
        return replace(self, target)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", failing)
        outcome = call("apply", clone)
    assert (outcome.code, outcome.out) == (2, "")
    assert "nothing was changed" in outcome.err
    assert state(git, clone) == before
    assert leftovers(clone) == []


def test_a_save_by_renaming_at_the_very_moment_comes_out_again(clone, call, git, monkeypatch):
    exchange = swap.exchange

    def saved(one, other):
        other.with_suffix(".tmp").write_bytes(b"# saved\n")
        other.with_suffix(".tmp").replace(other)
        exchange(one, other)

    for system in (swap._renameat2(), None):
        with monkeypatch.context() as patched:
            patched.setattr(swap, "_renameat2", lambda system=system: system)
            patched.setattr(swap, "exchange", saved)
            assert call("apply", clone).code == 2
        changed = git(clone, "diff", "--name-only").split()
        assert len(changed) == 1
        assert (clone / changed[0]).read_bytes() == b"# saved\n"
        assert leftovers(clone) == []
        git(clone, "checkout", "-q", "--", ".")


def test_where_names_cannot_change_places_all_else_holds(clone, call, git, monkeypatch):
    monkeypatch.setattr(swap, "_renameat2", lambda: None)
    assert call("apply", clone).code == 0
    assert git(clone, "status", "--porcelain") == ""
    assert PATCHED_STEP in (clone / TRAINER).read_bytes()
    assert call("revert", clone).code == 0
    assert git(clone, "status", "--porcelain") == ""
    assert leftovers(clone) == []


def test_on_another_disk_the_files_wait_in_the_work_tree_and_are_no_ones_to_commit(clone, call, git, monkeypatch):
    monkeypatch.setattr(workshop, "_is_one_disk", lambda _: False)
    seen = []
    saving(monkeypatch, (landing, "move_refs"), lambda: seen.append(git(clone, "status", "--porcelain", "-uall")))
    saving(monkeypatch, (Exchange, "keep_late_writes"), lambda: None)
    assert call("apply", clone).code == 0
    assert ".slimfork" not in "".join(seen)
    assert git(clone, "status", "--porcelain") == ""
    write(clone, {f".{workshop.FOLDER}/notes.txt": b"mine"})
    assert call("status", clone).code == 0
    assert call("revert", clone).code == 2
    assert (clone / f".{workshop.FOLDER}/notes.txt").read_bytes() == b"mine"


def test_a_history_that_git_shows_otherwise_is_refused(clone, call, git):
    write(clone, {"mine.txt": b"mine\n"})
    git(clone, "add", "mine.txt")
    shown = git(clone, "commit-tree", git(clone, "write-tree"), "-m", "shown")
    git(clone, "replace", "HEAD", shown)
    assert git(clone, "status", "--porcelain") == ""
    outcome = call("apply", clone)
    assert (outcome.code, outcome.out) == (2, "")
    assert "mine.txt" in outcome.err
    assert (clone / "mine.txt").read_bytes() == b"mine\n"


def test_a_required_filter_that_fails_changes_nothing(clone, call, git):
    write(clone, {".gitattributes": b"*.py filter=broken\n"})
    git(clone, "add", ".gitattributes")
    git(clone, "commit", "-q", "-m", "a filter")
    git(clone, "config", "filter.broken.clean", "cat")
    git(clone, "config", "filter.broken.smudge", "false")
    git(clone, "config", "filter.broken.required", "true")
    before = state(git, clone)
    outcome = call("apply", clone)
    assert (outcome.code, outcome.out) == (2, "")
    assert state(git, clone) == before
    assert leftovers(clone) == []


def test_a_filter_that_works_is_followed(clone, call, git):
    """As LFS does it: what lies in the work tree is not what git keeps."""
    git(clone, "config", "filter.upper.clean", "tr A-Z a-z")
    git(clone, "config", "filter.upper.smudge", "tr a-z A-Z")
    write(clone, {".gitattributes": b"prune.py filter=upper\n"})
    git(clone, "add", ".gitattributes")
    git(clone, "commit", "-q", "-m", "a filter")
    assert call("apply", clone).code == 0
    assert (clone / "prune.py").read_bytes() == b"PRINT('PRUNE')\n"
    assert git(clone, "status", "--porcelain") == ""


@pytest.mark.skipif(not hasattr(os, "geteuid") or shutil.which("chattr") is None, reason="no immutable files here")
@pytest.mark.parametrize("name", [TRAINER, "ultralytics/engine"])
def test_a_file_that_cannot_be_replaced_changes_nothing(clone, call, git, name):
    if subprocess.run(["chattr", "+i", str(clone / name)], capture_output=True, check=False).returncode:
        pytest.skip("this file system has no immutable files")
    try:
        before = state(git, clone)
        outcome = call("apply", clone)
        assert (outcome.code, outcome.out) == (2, "")
        assert "nothing was changed" in outcome.err
        assert state(git, clone) == before
        assert leftovers(clone) == []
    finally:
        subprocess.run(["chattr", "-i", str(clone / name)], check=False)


def test_a_journal_is_read_as_it_was_written(tmp_path):
    swaps = (journal.Swap(path="ü\udcff", old=None, new="1" * 64),)
    made = journal.Journal(ref="refs/heads/\udce4", old="a" * 40, new="b" * 40, swaps=swaps)
    made.write(tmp_path)
    assert journal.read_journal(tmp_path) == made
    assert json.loads((tmp_path / NAMES[0]).read_text())["old"] == "a" * 40
