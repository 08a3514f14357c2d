"""Whatever is killed, at whatever moment: no commit is lost, and the next command goes on."""

from __future__ import annotations

import shutil
import signal
from pathlib import Path

import pytest

from slimfork import git, upgrade
from tests.sampling import sampled
from tests.tools.conftest import run_and_die
from tests.tools.upgrade.conftest import CHANGED, TASKS
from tests.tools.upgrade.test_conflict import resolve

WATCHED = tuple(str(Path(package.__file__).parent) for package in (git, upgrade))
STEPS = {"few": 997, "many": 47}  # lines of code between two kills: a dozen and 250 of them in all


def killed_states(path, tmp_path, step, *arguments):
    """Yield copies of a checkout in each of which a run was killed, later and later, until one came to its end."""
    for point in range(1, 200_000, step):
        copy = tmp_path / f"killed{point}"
        shutil.copytree(path, copy, symlinks=True)
        ended = run_and_die(["upgrade", copy, *arguments], point, WATCHED)
        yield copy
        shutil.rmtree(copy)
        if ended != -signal.SIGKILL:
            return
    pytest.fail("never ran to its end")


def whole(call, git, path):
    """Bring an upgrade to its end, from wherever it is, and return its head."""
    outcome = call("upgrade", path, "--continue")
    if "no upgrade is under way" in outcome.err:
        outcome = call("upgrade", path, "--to", CHANGED)
    if outcome.code == 3 or "not resolved yet" in outcome.err:
        resolve(path)
        git(path, "add", TASKS)
        outcome = call("upgrade", path, "--continue")
    assert outcome.code == 0, outcome.err
    assert git(path, "status", "--porcelain") == "?? untracked.txt"
    assert git(path, "symbolic-ref", "HEAD") == "refs/heads/slim"
    assert git(path, "branch", "--list", "upgrade-*") == ""
    return git(path, "rev-parse", "HEAD")


@pytest.fixture
def begun(clashing):
    (clashing / "untracked.txt").write_text("mine")
    return clashing


@pytest.fixture
def resolved(begun, call, git):
    assert call("upgrade", begun, "--to", CHANGED).code == 3
    resolve(begun)
    git(begun, "add", TASKS)
    return begun


@pytest.fixture
def end(begun, call, git, tmp_path):
    shutil.copytree(begun, tmp_path / "whole")
    return whole(call, git, tmp_path / "whole")


@pytest.mark.parametrize("how", sampled(["many", "few"], by_default=["few"]))
def test_a_beginning_that_is_killed_is_begun_again(begun, end, call, git, tmp_path, how):
    old = git(begun, "rev-parse", "slim")
    for path in killed_states(begun, tmp_path, STEPS[how], "--to", CHANGED):
        assert git(path, "rev-parse", "slim") == old
        assert whole(call, git, path) == end


@pytest.mark.parametrize("how", sampled(["many", "few"], by_default=["few"]))
def test_a_going_on_that_is_killed_goes_on(resolved, call, git, tmp_path, how):
    shutil.copytree(resolved, tmp_path / "whole")
    end = whole(call, git, tmp_path / "whole")
    for path in killed_states(resolved, tmp_path, STEPS[how], "--continue"):
        if git(path, "rev-parse", "slim") == end and not call("status", path, "--json").json["upgrading"]:
            continue
        outcome = call("upgrade", path, "--continue")
        assert outcome.code == 0, outcome.err
        assert git(path, "rev-parse", "slim", "HEAD").split() == [end, end]
        assert git(path, "status", "--porcelain") == "?? untracked.txt"


@pytest.mark.parametrize("how", sampled(["many", "few"], by_default=["few"]))
def test_an_end_that_is_killed_is_ended(resolved, call, git, tmp_path, how):
    old = git(resolved, "rev-parse", "slim")
    for path in killed_states(resolved, tmp_path, STEPS[how], "--abort"):
        outcome = call("upgrade", path, "--abort")
        assert outcome.code == 0 or "no upgrade is under way" in outcome.err
        assert git(path, "rev-parse", "slim", "HEAD").split() == [old, old]
        assert git(path, "status", "--porcelain") == "?? untracked.txt"
        assert git(path, "branch", "--list", "upgrade-*") == ""
