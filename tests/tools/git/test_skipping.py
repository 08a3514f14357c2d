"""A patch that is none of the write-ups' edits may be left out, by name; the fork remembers it, and says so."""

from __future__ import annotations

import pytest

from slimfork.codemods.patch import load_series
from slimfork.git import skipping
from slimfork.terminal.errors import UsageError
from tests.tools.small_release import LOSS, TRAINER

SERIES = load_series("ultralytics")
NUMPY, PENALTY = (LOSS, b"np.trapz", b"np.integrate"), (TRAINER, b"self.backward()", b"self.backwards()")


def changed(clone, git, *edits):
    for path, old, new in edits:
        text = (clone / path).read_bytes()
        assert text.count(old) == 1
        (clone / path).write_bytes(text.replace(old, new))
    git(clone, "commit", "-q", "-a", "-m", "changed upstream")


def states(call, path):
    outcome = call("status", path, "--json")
    return outcome.code, {p["id"]: p["state"] for p in outcome.json["patches"]}


def test_the_hint_leaves_out_all_that_do_not_fit_in_one_command(clone, call, git):
    changed(clone, git, NUMPY, PENALTY)
    outcome = call("apply", clone)
    assert outcome.code == 3
    hint = f"apply-patches apply {clone} --skip old_numpy --skip penalty"
    assert outcome.err.rstrip().endswith(hint)
    assert "patches/ultralytics" not in outcome.err
    assert call(*hint.split()[1:]).code == 0


def test_what_is_left_out_stays_out_and_can_be_taken_back(clone, call, git):
    changed(clone, git, NUMPY)
    assert call("apply", clone, "--skip", "old_numpy").code == 0
    wanted = {"old_numpy": "excluded", "penalty": "applied", "zclip": "applied", "zold": "excluded"}
    assert states(call, clone) == (0, wanted)
    assert "--with old_numpy" in " ".join(call("status", clone).out.split())
    assert "nothing to do" in call("apply", clone).out
    assert call("diff", clone).code == 0
    assert call("apply", clone, "--with", "old_numpy").code == 3
    changed(clone, git, (LOSS, NUMPY[2], NUMPY[1]))
    assert "nothing to do" in call("apply", clone).out
    assert call("apply", clone, "--with", "old_numpy").code == 0
    assert states(call, clone)[1]["old_numpy"] == "applied"


def test_a_choice_without_another_change_is_a_commit_of_ours(clone, call, git):
    assert call("apply", clone).code == 0
    changed(clone, git, (LOSS, b"np.trapezoid", b"np.integrate"))
    assert states(call, clone)[0] == 1
    assert call("apply", clone, "--skip", "old_numpy").code == 0
    assert git(clone, "log", "-1", "--format=%s") == "Leave out old_numpy"
    assert states(call, clone)[0] == 0
    assert "nothing to do" in call("apply", clone, "--skip", "old_numpy").out
    assert [c["subject"] for c in call("status", clone, "--json").json["own"]] == ["changed upstream"]


def test_revert_and_apply_again_remember_it(clone, call, git):
    changed(clone, git, NUMPY)
    assert call("apply", clone, "--skip", "old_numpy").code == 0
    before = git(clone, "rev-parse", "HEAD^{tree}")
    assert call("revert", clone).code == 0
    assert call("apply", clone).code == 0
    assert git(clone, "rev-parse", "HEAD^{tree}") == before


def test_what_is_applied_is_not_left_out_in_silence(clone, call):
    assert call("apply", clone).code == 0
    outcome = call("apply", clone, "--skip", "penalty")
    assert outcome.code == 2
    assert "penalty is applied already" in outcome.err
    assert f"revert {clone} --patch penalty" in outcome.err


@pytest.mark.usefixtures("world")
def test_vendor_leaves_out_and_takes_what_it_made_for_its_own(call, tmp_path):
    fork = tmp_path / "f"
    for words in ("made 4 commits", "nothing to do"):
        assert words in call("vendor", "ultralytics==8.9.0", "--into", fork, "--skip", "penalty").out
    assert states(call, fork)[1]["penalty"] == "excluded"


@pytest.mark.parametrize("name", ["sparsity", "keep_architecture", "loss_device", "version"])
def test_the_documented_edits_are_not_left_out(name):
    with pytest.raises(UsageError, match=f"cannot do without {name}"):
        skipping.chosen(SERIES, (), skip=[name])


@pytest.mark.parametrize(
    ("skip", "put_in", "said"),
    [(["onx_export"], [], "no patch 'onx_export'"), (["np_int"], ["np_int"], "both name np_int"), ([], ["x"], "'x'")],
)
def test_a_name_that_cannot_be_is_refused(skip, put_in, said):
    with pytest.raises(UsageError, match=said):
        skipping.chosen(SERIES, (), skip=skip, put_in=put_in)
