"""`upgrade --verify` on a real release: the branch moves when the outcome has trained, and not where it fails."""

from __future__ import annotations

import pytest

from slimfork.git.repo import open_repository
from slimfork.terminal.errors import CheckFailed
from slimfork.upgrade.training import refuse_untrained

OLD, NEW = "8.4.180", "8.4.190"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


@pytest.fixture
def real(call, git, tmp_path):
    path = tmp_path / "real"
    assert call("vendor", f"ultralytics=={OLD}", "--into", path).code == 0
    (path / "mine.txt").write_text("mine")
    git(path, "add", "mine.txt")
    git(path, "commit", "-q", "-m", "mine")
    return path


def test_what_trains_is_moved(real, call):
    outcome = call("upgrade", real, "--to", NEW, "--verify")
    assert outcome.code == 0, outcome.err
    assert call("status", real, "--json").json["version"] == NEW


def test_what_does_not_train_moves_nothing(real, git):
    trainer = real / "ultralytics/models/yolo/detect/train.py"
    trainer.write_text(trainer.read_text() + "\nraise RuntimeError('mine')\n")
    git(real, "commit", "-q", "-a", "-m", "broken")
    head = git(real, "rev-parse", "HEAD")
    with open_repository(real) as repository, pytest.raises(CheckFailed, match="your branch has not moved"):
        refuse_untrained(repository, head)
