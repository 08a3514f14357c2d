"""A fork whose patches were made in an earlier form: it is brought to the form of today, or taken out as it is."""

from __future__ import annotations

import pytest

from slimfork.codemods.patch import load_series
from tests.tools.small_release import TRAINER

PENALTY = "patches/ultralytics/penalty.py"
ONCE, NOW = b"        self.penalty()\n", b"        self.penalty(1)\n"


@pytest.fixture
def former(fork, world):
    """A fork, and a toolkit that has another form of one of its patches since."""
    patch = (world / PENALTY).read_text()
    assert 'code="self.penalty()"' in patch
    (world / PENALTY).write_text(
        patch.replace('code="self.penalty()"', 'code="self.penalty(1)", former="self.penalty()"')
    )
    load_series.cache_clear()
    assert ONCE in (fork / TRAINER).read_bytes()
    return fork


def test_status_says_so(former, call):
    status = call("status", former)
    assert status.code == 1
    assert "an earlier form of the edit" in " ".join(status.out.split())
    found = {p["id"]: p for p in call("status", former, "--json").json["patches"]}
    assert (found["penalty"]["state"], found["penalty"]["former"]) == ("pending", True)
    assert {p["state"] for name, p in found.items() if name != "penalty"} == {"applied", "excluded"}


def test_apply_makes_one_commit_and_leaves_the_users_lines(former, call, git):
    path = former / TRAINER
    path.write_bytes(path.read_bytes().replace(ONCE, b"        # mine\n" + ONCE))
    git(former, "commit", "-qam", "mine")
    before = path.read_bytes()

    applied = call("apply", former, "--json")

    assert applied.code == 0
    assert [c["subject"] for c in applied.json["commits"]] == ["Add a penalty"]
    assert path.read_bytes() == before.replace(ONCE, NOW)
    assert call("status", former).code == 0
    assert "nothing to do" in call("apply", former).out


@pytest.mark.parametrize("first", [(), ("apply",)])
def test_revert_takes_out_either_form(former, call, git, first):
    for verb in first:
        assert call(verb, former).code == 0
    assert call("revert", former).code == 0
    assert git(former, "rev-parse", "HEAD^{tree}") == git(former, "rev-parse", "upstream^{tree}")


def test_revert_of_another_patch_leaves_the_earlier_form(former, call):
    assert call("revert", former, "--patch", "zclip").code == 0
    text = (former / TRAINER).read_bytes()
    assert ONCE in text
    assert b"self.clip()" not in text


def test_both_forms_at_once_are_refused(former, call, git):
    path = former / TRAINER
    path.write_bytes(path.read_bytes().replace(ONCE, ONCE + NOW))
    git(former, "commit", "-qam", "mine")
    tip = git(former, "rev-parse", "HEAD")
    applied = call("apply", former)
    assert (applied.code, git(former, "rev-parse", "HEAD")) == (3, tip)
    assert "penalty: Add a penalty" in applied.err
