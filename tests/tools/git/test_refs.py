"""Several refs move in one transaction: all of them, or none."""

from __future__ import annotations

import pytest

from slimfork.git.refs import RefMove, check_out_name, move_refs
from slimfork.git.repo import open_repository
from slimfork.terminal.errors import SlimforkError

MAIN, OTHER = "refs/heads/main", "refs/heads/other"


@pytest.fixture
def two(git, tmp_path):
    git(tmp_path, "init", "-q", "-b", "main")
    for name in ("first", "second"):
        git(tmp_path, "commit", "-q", "--allow-empty", "-m", name)
    return git(tmp_path, "rev-parse", "HEAD^"), git(tmp_path, "rev-parse", "HEAD")


def test_refs_are_made_moved_and_deleted_and_can_be_moved_back(two, git, tmp_path):
    first, second = two
    moves = [RefMove(ref=MAIN, old=second, new=first), RefMove(ref=OTHER, old=None, new=second)]
    with open_repository(tmp_path) as repository:
        move_refs(repository, moves)
        assert (git(tmp_path, "rev-parse", MAIN), git(tmp_path, "rev-parse", OTHER)) == (first, second)
        move_refs(repository, [move.back for move in moves])
        assert git(tmp_path, "for-each-ref", "--format=%(refname) %(objectname)") == f"{MAIN} {second}"


@pytest.mark.parametrize("wrong", ["other is there", "it has moved", "no such commit", "odd name"])
def test_none_moves_where_one_cannot(two, git, tmp_path, wrong):
    first, second = two
    moves = {
        "other is there": RefMove(ref="refs/tags/there", old=None, new=first),
        "it has moved": RefMove(ref="refs/tags/there", old=first, new=second),
        "no such commit": RefMove(ref=OTHER, old=None, new="1" * 40),
        "odd name": RefMove(ref="refs/heads/a..b", old=None, new=first),
    }
    git(tmp_path, "tag", "there")
    before = git(tmp_path, "for-each-ref")
    with open_repository(tmp_path) as repository, pytest.raises(SlimforkError):
        move_refs(repository, [RefMove(ref=MAIN, old=second, new=first), moves[wrong]])
    assert git(tmp_path, "for-each-ref") == before


def test_head_names_another_branch_and_no_file_changes(two, git, tmp_path):
    git(tmp_path, "branch", "other", two[1])
    (tmp_path / "mine.txt").write_text("mine")
    with open_repository(tmp_path) as repository:
        check_out_name(repository, OTHER)
        assert repository.branch() == OTHER
    assert git(tmp_path, "status", "--porcelain") == "?? mine.txt"
