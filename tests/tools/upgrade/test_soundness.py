"""What git can merge, and is wrong all the same, moves no branch."""

from __future__ import annotations

import pytest

from slimfork.git.repo import open_repository
from slimfork.terminal.errors import ConflictError, SlimforkError
from slimfork.upgrade.soundness import refuse_unsound
from slimfork.upgrade.state import Waiting
from tests.tools.small_release import TRAINER
from tests.tools.upgrade.conftest import TASKS


def waiting(fork, git, old, tip):
    imported = git(fork, "rev-parse", "upstream")
    return Waiting(
        branch="refs/heads/slim",
        old=old,
        upstream="ultralytics",
        was="8.9.0",
        version="8.9.0",
        trailer="",
        choices=[],
        left=imported,
        imported=imported,
        base=git(fork, "rev-parse", "slim"),
        became={},
        tip=tip,
    )


BROKEN = {
    "a patch": ({TRAINER: (b"        self.penalty()\n", b"")}, "penalty would not stand in 8.9.0"),
    "the version": (
        {"ultralytics/__init__.py": (b'"8.9.0"', b'"8.9.7"')},
        "ultralytics/__init__.py would say 8.9.7, not 8.9.0",
    ),
    "a file": ({TASKS: (b"a10 = 10\n", b"a10 = (\n")}, f"no Python any more: {TASKS}"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_what_is_broken_only_afterwards_is_refused_by_name(fork, git, mine, what):
    old = git(fork, "rev-parse", "slim")
    git(fork, "switch", "-q", "-c", "tip")
    changes, says = BROKEN[what]
    tip = mine(fork, changes)
    with open_repository(fork) as repository, pytest.raises(ConflictError, match=says) as refused:
        refuse_unsound(repository, waiting(fork, git, old, tip), "do this")
    assert "your branch has not moved" in refused.value.message
    assert refused.value.hint == "do this"


@pytest.mark.parametrize("what", ["a patch", "a file"])
def test_what_the_user_has_broken_before_is_theirs(fork, git, mine, what):
    git(fork, "switch", "-q", "-c", "tip")
    old = mine(fork, BROKEN[what][0])
    tip = mine(fork, {"mine.txt": b"mine\n"})
    with open_repository(fork) as repository:
        refuse_unsound(repository, waiting(fork, git, old, tip), "do this")


def test_a_tip_without_the_old_branch_in_its_history_moves_nothing(fork, git, mine):
    tip = git(fork, "rev-parse", "slim")
    old = mine(fork, {"mine.txt": b"mine\n"})
    with open_repository(fork) as repository, pytest.raises(SlimforkError, match="nothing was moved"):
        refuse_unsound(repository, waiting(fork, git, old, tip), "do this")
