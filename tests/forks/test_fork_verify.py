"""`apply-patches verify` on real forks: whole ones pass, and damage is found by the check that is there for it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess

import pytest

from slimfork import cli
from slimfork.verify import verify


@pytest.fixture
def damaged(new, tmp_path):
    """Return a copy of the newest fork with a line of a file replaced by a commit of the user's."""

    def make(path, old, by):
        fork = tmp_path / "fork"
        shutil.copytree(new.root, fork)
        text = (fork / path).read_text()
        assert text.count(old) == 1
        (fork / path).write_text(text.replace(old, by))
        who = ("-c", "user.name=Ann", "-c", "user.email=ann@example.org")
        subprocess.run(["git", "-C", str(fork), *who, "commit", "-qam", "my own idea"], check=True)
        return fork

    return make


@pytest.fixture
def call(capfd):
    """Verify a fork: its exit code, what it said as JSON, and stderr."""

    def run(fork, work):
        capfd.readouterr()
        code = cli.run(["verify", str(fork), "--work", str(work), "--json"])
        out, err = capfd.readouterr()
        return code, {check["id"]: check for check in json.loads(out)["checks"]}, err

    return run


def only(monkeypatch, *ids):
    """Leave out the checks that have nothing to do with the damage; they take two minutes."""
    monkeypatch.setattr(verify, "CHECKS", tuple(check for check in verify.CHECKS if check.id in ids))


@pytest.mark.slow
def test_a_fork_that_lost_the_penalty_is_found_out(damaged, call, tmp_path, monkeypatch):
    only(monkeypatch, "identity", "dense", "sparse")
    fork = damaged(
        "ultralytics/slim/training/penalty.py", "group.shrink(self.strength_now(), self.settings.bias)", "del group"
    )
    code, checks, err = call(fork, tmp_path / "work")
    assert code == 1
    verdicts = {i: check["verdict"] for i, check in checks.items()}
    assert verdicts == {"identity": "pass", "dense": "pass", "sparse": "FAIL"}
    assert re.match(r"median \|γ\| fell by -?0\.00\d, stated 0\.\d+", checks["sparse"]["detail"])
    assert f"cat {checks['sparse']['log']}" in err


def test_a_fork_that_lost_a_patch_is_not_verified(damaged, tmp_path, capfd):
    fork = damaged("ultralytics/engine/trainer.py", "slim_penalize(self)", "pass")
    assert cli.run(["verify", str(fork), "--work", str(tmp_path / "work")]) == 2
    assert "is not wholly patched" in capfd.readouterr().err


@pytest.mark.slow
def test_a_fork_that_takes_a_dense_model_for_a_pruned_one_is_found_out(damaged, call, tmp_path, monkeypatch):
    only(monkeypatch, "identity", "dense", "others", "others-baseline", "untouched")
    fork = damaged("ultralytics/slim/architecture.py", " or not is_pruned(weights, built)", "")
    code, checks, _ = call(fork, tmp_path / "work")
    verdicts = {i: check["verdict"] for i, check in checks.items()}
    assert (code, verdicts.pop("untouched")) == (1, "FAIL")
    assert set(verdicts.values()) == {"pass"}


@pytest.mark.slow
def test_a_fork_that_rebuilds_pruned_models_is_found_out(damaged, call, tmp_path, monkeypatch):
    only(monkeypatch, "identity", "dense", "sparse", "prune", "finetune", "resume")
    fork = damaged("ultralytics/slim/architecture.py", "model = deepcopy(weights).float().train()", "return built")
    code, checks, err = call(fork, tmp_path / "work")
    assert code == 1
    assert [i for i, check in checks.items() if check["verdict"] == "FAIL"] == ["finetune", "resume"]
    assert "shapes CHANGED" in checks["finetune"]["detail"]
    assert "checks failed: finetune, resume" in err


@pytest.mark.slow
def test_a_fork_that_trains_otherwise_when_off_is_found_out(damaged, call, tmp_path, monkeypatch):
    only(monkeypatch, "identity", "dense", "dense-baseline", "off")
    always = 'if SPELLING.strength(getattr(trainer.args, "sparsity", 0.0)) == 0:'
    damage = f"trainer.optimizer.param_groups[0]['lr'] *= 1.01\n    {always}"
    code, checks, _ = call(damaged("ultralytics/slim/sparsity.py", always, damage), tmp_path / "work")
    assert (code, checks["off"]["verdict"]) == (1, "FAIL")
    assert "tensors differ" in checks["off"]["detail"]


@pytest.mark.slow
def test_a_whole_fork_passes(fork, call, tmp_path):
    copy = tmp_path / "fork"
    shutil.copytree(fork.root, copy)
    code, checks, err = call(copy, tmp_path / "work")
    assert code == 0, err
    assert {check["verdict"] for check in checks.values()} == {"pass"}
    status = subprocess.run(
        ["git", "-C", str(copy), "status", "--porcelain", "--ignored"], capture_output=True, check=True
    )
    assert status.stdout == b""
