"""Real releases, exported with work of the user's, made again to the same commit, and applied by `git am`."""

from __future__ import annotations

import pytest

from tests.tools.exports import check, commit, odd_work
from tests.yolov5_clone import CLONE, needs_clone

EDITED = {
    "ultralytics==8.4.190": "ultralytics/nn/tasks.py",
    "ultralytics==8.0.100": "ultralytics/nn/tasks.py",
    "yolov5==7.0.14": "yolov5/train.py",
}


def journey(call, git, tmp_path, spec, edited, *options):
    fork = tmp_path / "fork"
    assert call("vendor", spec, "--into", fork, *options).code == 0
    odd_work(git, fork, edited)
    told = check(call, git, fork, tmp_path)
    assert sum(commit["kind"] == "own" for commit in told["commits"]) == 6
    proved = call("status", tmp_path / "again", "--verify-tree", "--json").json
    assert (proved["proof"]["exact"], proved["proof"]["same_commit"]) == (True, True)
    return fork


@pytest.mark.parametrize("spec", EDITED)
def test_a_package_is_made_again(call, git, tmp_path, spec):
    fork = journey(call, git, tmp_path, spec, EDITED[spec])
    (fork / EDITED[spec]).unlink()
    commit(git, fork, "--all of it--")
    assert call("export", fork, "--out", tmp_path / "out").code == 0  # over the earlier one


@needs_clone
@pytest.mark.parametrize("tag", ["v5.0", "v7.0"])
def test_a_tag_is_made_again(call, git, tmp_path, tag):
    journey(call, git, tmp_path, f"yolov5@{tag}", "train.py", "--git", CLONE)
