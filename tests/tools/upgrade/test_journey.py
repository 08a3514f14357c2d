"""One fork with ten commits of its own goes through six real releases and back; it trains at the first and the last."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.tools.conftest import write

RELEASES = ("8.0.20", "8.0.190", "8.1.30", "8.2.90", "8.3.150", "8.4.190")
TASKS, TRAINER = "ultralytics/nn/tasks.py", "ultralytics/yolo/engine/trainer.py"
DEFAULTS, CHECKS = "ultralytics/yolo/cfg/default.yaml", "ultralytics/yolo/utils/checks.py"
MODEL = "ultralytics/models/v8/yolov8n.yaml"
CBAM, RENAMED = "ultralytics/nn/cbam.py", "ultralytics/nn/attention_mine.py"
MODULE = b'''"""CBAM."""

import torch.nn as nn


class MyCBAM(nn.Module):
    def __init__(self, c1, c2):
        super().__init__()
        self.conv = nn.Conv2d(c1, c2, 1)

    def forward(self, x):
        return x * self.conv(x).sigmoid()
'''

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]


class Owner:
    """Somebody who has a fork, and commits to it."""

    def __init__(self, git, path):
        self.git, self.path = git, path

    def commit(self, message):
        self.git(self.path, "add", "-A")
        self.git(self.path, "commit", "-q", "-m", message)

    def edit(self, name, *changes):
        content = (self.path / name).read_bytes()
        for old, new in changes:
            assert old in content, (name, old)
            content = content.replace(old, new, 1)
        write(self.path, {name: content})

    def work(self):
        """Make ten commits, and a merge."""
        write(self.path, {CBAM: MODULE})
        self.commit("Add a module")
        imported = (b"import torch.nn as nn\n", b"import torch.nn as nn\n\nfrom ultralytics.nn.cbam import MyCBAM\n")
        known = b"        elif m is MyCBAM:\n            c2 = ch[f]\n            args = [c2, c2]\n"
        self.edit(TASKS, imported, (b"        elif m is Concat:\n", known + b"        elif m is Concat:\n"))
        self.commit("Register it")
        self.edit(MODEL, (b"nc: 80", b"nc: 80 # mine"))
        self.commit("Edit a YAML")
        self.edit(DEFAULTS, (b"patience: 50", b"patience: 20"))
        self.commit("Change a default")
        ours = b"                slim_penalize(self)\n"
        self.edit(TRAINER, (ours, ours + b"                self.mine = True  # mine\n"))
        self.commit("Edit beside a line of slimfork's")
        self.git(self.path, "mv", CBAM, RENAMED)
        self.edit(TASKS, (b"ultralytics.nn.cbam", b"ultralytics.nn.attention_mine"))
        self.commit("Rename the module")
        self.git(self.path, "switch", "-q", "-c", "topic")
        write(self.path, {"train_mine.py": b"print('mine')\n"})
        self.commit("Add a script")
        self.git(self.path, "switch", "-q", "slim")
        write(self.path, {"NOTES.md": b"# mine\n"})
        self.commit("Take notes")
        self.git(self.path, "merge", "-q", "--no-ff", "-m", "Merge topic", "topic")
        self.edit("ultralytics/slim/__init__.py", (b'"""', b'"""Mine. '))
        self.commit("Edit the overlay")
        self.edit(CHECKS, (b"isinstance(imgsz, int)", b"isinstance(imgsz, (int, float))"))
        self.commit("Take sizes that are no whole numbers")

    def resolve(self):
        """Take upstream's side of each conflict, with a mark; keep what upstream has deleted in a file of one's own."""
        sides = self.git(self.path, "ls-files", "-u", "-z").split("\0")
        for name in sorted({side.partition("\t")[2] for side in sides if side}):
            if any(side.endswith(f" 2\t{name}") for side in sides):
                self.git(self.path, "checkout", "-q", "--ours", "--", name)
                write(self.path, {name: (self.path / name).read_bytes() + b"\n# mine\n"})
            else:
                (self.path / name).rename(self.path / "kept.yaml")
                self.git(self.path, "rm", "-q", "--cached", "--", name)
                name = "kept.yaml"  # noqa: PLW2901 - that is what stands in its place
            self.git(self.path, "add", "--", name)


def moved(call, owner, version):
    """Move a fork to a release, resolving what conflicts; return how many commits did."""
    outcome = call("upgrade", owner.path, "--to", version)
    count = 0
    while outcome.code == 3:
        count += 1
        owner.resolve()
        outcome = call("upgrade", owner.path, "--continue")
    assert outcome.code == 0, outcome.err
    return count


def trains(path):
    done = subprocess.run(
        [sys.executable, "-m", "slimfork", "verify", path], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_ten_commits_come_through_six_releases_and_back(call, git, tmp_path):
    path = tmp_path / "fork"
    assert call("vendor", f"ultralytics=={RELEASES[0]}", "--into", path).code == 0
    git(path, "config", "user.name", "Ann")
    git(path, "config", "user.email", "ann@example.org")
    owner = Owner(git, path)
    owner.work()
    trains(path)
    clashes = {}
    for version in (*RELEASES[1:], RELEASES[0]):
        before = git(path, "rev-parse", "HEAD")
        clashes[version] = moved(call, owner, version)
        assert git(path, "merge-base", before, "HEAD") == before
        assert git(path, "status", "--porcelain") == ""
        status = call("status", path, "--json").json
        assert (status["version"], status["complete"]) == (version, True)
        for name in (RENAMED, "train_mine.py", "NOTES.md"):
            assert (path / name).is_file()
        if version == RELEASES[-1]:
            trains(path)
    print(clashes)  # noqa: T201 - for who reads the run
    assert 0 < sum(clashes.values()) < 6 * 5
    assert call("status", path, "--verify-tree").code == 0
