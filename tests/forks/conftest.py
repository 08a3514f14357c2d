"""Real forks of both ends of the supported range, made once by `apply-patches vendor`, and a process inside each."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from functools import cache, cached_property
from pathlib import Path

import pytest

from slimfork.cli import run
from slimfork.inside import inside
from slimfork.qr import qr
from tests.sampling import sampled

NEW, OLD = "8.4.190", "8.0.100"
HERE = Path(__file__).parent
TINY = HERE / "tiny.yaml"
THREE = "names: {0: finder, 1: timing, 2: data}"


class StepError(Exception):
    """A step inside a tree raised; `kind` is the name of the exception's class."""

    def __init__(self, kind, message):
        super().__init__(f"{kind}: {message}")
        self.kind, self.message = kind, message


class Tree:
    """A tree with an `ultralytics` in it, and a Python process that has imported it."""

    def __init__(self, root, work, **environment):
        work.mkdir(parents=True)
        self.root, self.work = root, work
        self.environment = inside.environment(root, work / "home", FORK_WORK=str(work), **environment)
        self.environment["OMP_NUM_THREADS"] = "1"  # more only wait for each other on models this small
        self.process = None

    def call(self, step, **arguments):
        """Call a function of `within/` inside the tree and return what it returns."""
        if self.process is None:
            # Away from here, so that nothing of this repository is beside the worker on its path.
            shutil.copytree(HERE / "within", self.work, dirs_exist_ok=True)
            command = [sys.executable, str(self.work / "worker.py")]
            with (self.work / "log").open("ab") as log:
                pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": log}
                self.process = subprocess.Popen(command, cwd=self.work, env=self.environment, **pipes)
        self.process.stdin.write(json.dumps([step, arguments]).encode() + b"\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        assert line, f"the process died: {(self.work / 'log').read_text()[-3000:]}"
        answer = json.loads(line)
        if "error" in answer:
            raise StepError(*answer["error"])
        return answer["value"]

    def run(self, *command, **more):
        """Run Python in the tree, as a user would, in a process of its own."""
        return subprocess.run(
            [sys.executable, *map(str, command)],
            cwd=self.work,
            env={**self.environment, **more},
            capture_output=True,
            text=True,
            check=False,
        )

    def close(self):
        if self.process is not None:
            self.process.communicate(timeout=60)  # it ends with its stdin


class Fork(Tree):
    """A fork, the data sets, and the checkpoints that many tests begin with."""

    def __init__(self, version, folder, data):
        self.version = version
        self.one, self.three = (str(data / name / "data.yaml") for name in ("one", "three"))
        self.grey = str(data / "one" / "grey.yaml")
        assert run(["vendor", f"ultralytics=={version}", "--into", str(folder / "fork")]) == 0
        super().__init__(folder / "fork", folder / "work")
        # Before 8.2.64, upstream cannot open its own checkpoints on PyTorch 2.6 and later otherwise.
        self.pristine = Tree(folder / "pristine", folder / "stock", TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD="1")
        packed = folder / "pristine.zip"
        subprocess.run(["git", "-C", str(self.root), "archive", "-o", str(packed), f"upstream/{version}"], check=True)
        shutil.unpack_archive(packed, self.pristine.root)

    def train(self, weights, name, **arguments):
        """Train, on the set of one class unless told otherwise, and return what `train` in `within/steps.py` says."""
        return self.call("train", **{"weights": str(weights), "name": name, "data": self.one, **arguments})

    def facts(self, weights):
        return self.call("facts", weights=str(weights))

    @cached_property
    def dense(self):
        """A detector after an epoch without the penalty; what `train` said of it."""
        return self.train(TINY, "dense")

    @cached_property
    def report(self):
        """What `prune.py --json` said when it made `pruned`."""
        last, out = self.dense["last"], self.work / "pruned.pt"
        amount = ("--ratio", 0.5, "--round-to", 4, "--importance", "gamma")  # half of the scales are half the weights
        images = ("--data", self.one, "--images", 8)
        done = self.run(self.root / "prune.py", "--weights", last, *amount, *images, "--out", out, "--json")
        assert done.returncode == 0, done.stderr[-3000:]
        return json.loads(done.stdout)

    @cached_property
    def pruned(self):
        """The path of a pruned checkpoint."""
        return Path(self.report["checkpoint"])


@pytest.fixture(scope="session")
def sets(tmp_path_factory):
    """Two data sets of the same small pictures: QR codes, and the same boxes in three classes."""
    folder = tmp_path_factory.mktemp("sets")
    qr.draw(folder / "one", images=16, val=4, imgsz=64)
    shutil.copytree(folder / "one", folder / "three", ignore=shutil.ignore_patterns("*.cache"))
    for index, label in enumerate(sorted((folder / "three" / "labels").rglob("*.txt"))):
        lines = label.read_text().splitlines()
        label.write_text("".join(f"{(index + row) % 3}{line[1:]}\n" for row, line in enumerate(lines)))
    text = f"path: {folder / 'three'}\ntrain: images/train\nval: images/val\n{THREE}\n"
    (folder / "three" / "data.yaml").write_text(text)
    (folder / "one" / "grey.yaml").write_text((folder / "one" / "data.yaml").read_text() + "channels: 1\n")
    return folder


@pytest.fixture(scope="session")
def forks(tmp_path_factory, sets):
    """Return the fork of a version; each is made when it is first asked for."""
    made = []

    @cache
    def make(version):
        made.append(Fork(version, tmp_path_factory.mktemp(f"fork-{version}-"), sets))
        return made[-1]

    yield make
    for fork in made:
        fork.close()
        fork.pristine.close()


@pytest.fixture(scope="session", params=sampled([NEW, OLD], by_default=[NEW]))
def fork(forks, request):
    """Return the fork of either release."""
    return forks(request.param)


@pytest.fixture(scope="session")
def new(forks):
    """Return the fork of the newest release."""
    return forks(NEW)


@pytest.fixture(scope="session")
def old(forks):
    """Return the fork of the oldest release."""
    return forks(OLD)
