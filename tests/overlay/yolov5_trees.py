"""Trees of YOLOv5 releases as upstream ships them, and processes that have imported one."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import matplotlib as mpl
import pytest

from slimfork.releases import pins
from slimfork.releases.fetch import release_files
from slimfork.terminal.naming import is_tag, spec_of
from tests.yolov5_clone import CLONE, WHY

HERE = Path(__file__).parent
REPOSITORY = HERE.parents[1]


class StepError(Exception):
    """A step inside a tree raised; `kind` is the name of the exception's class."""

    def __init__(self, kind, message):
        super().__init__(f"{kind}: {message}")
        self.kind, self.message = kind, message


def needs_source(version):
    """Skip the test where a tag cannot be had."""
    if is_tag(version) and not CLONE:
        pytest.skip(WHY)


class Tree:
    """A release, and up to two processes in it: one that has `slim` beside upstream, and one that has only upstream."""

    steps = ("yolov5_models", "yolov5_architecture")

    def __init__(self, version, folder):
        self.version, self.folder = version, folder
        self.root = self.unpack(folder / "tree")
        self.package = self.root if is_tag(version) else self.root / "yolov5"
        self.home = furnish(folder / "home")
        self.processes = {}

    def unpack(self, root):
        """Write the release's files."""
        needs_source(self.version)
        for path, file in release_files(pins.find(spec_of("yolov5", self.version)), show=False).items():
            target = root / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(file.content)
        return root

    def call(self, step, *, stock=False, **arguments):
        """Call a function of `within/` inside the tree and return what it returns."""
        process = self.processes.get(stock) or self.start(stock=stock)
        process.stdin.write(json.dumps([step, arguments]).encode() + b"\n")
        process.stdin.flush()
        line = process.stdout.readline()
        assert line, f"the process died: {(self.folder / 'log').read_text()[-3000:]}"
        answer = json.loads(line)
        if "error" in answer:
            raise StepError(*answer["error"])
        return answer["value"]

    def start(self, *, stock):
        shutil.copytree(HERE / "within", self.folder / "within", dirs_exist_ok=True)
        modules = self.steps[: 1 if stock else None]
        command = [sys.executable, str(self.folder / "within" / "worker.py"), *modules]
        beside = [] if stock else [REPOSITORY / "overlay", HERE]
        with (self.folder / "log").open("ab") as log:
            pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": log}
            env = self.environment(beside)
            self.processes[stock] = subprocess.Popen(command, cwd=self.folder, env=env, **pipes)
        return self.processes[stock]

    def environment(self, beside=()):
        """Return the environment of a process in the tree: offline, with a home of its own."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("GIT_", "PYTHON", "YOLO"))}
        return kept | {
            "HOME": str(self.home),
            "USERPROFILE": str(self.home),
            "YOLOV5_CONFIG_DIR": str(self.home),
            "YOLO_CONFIG_DIR": str(self.home),  # newer releases import ultralytics
            "YOLO_OFFLINE": "true",
            "YOLO_AUTOINSTALL": "false",
            "WANDB_MODE": "disabled",
            "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD": "1",  # upstream as it is cannot open its own checkpoints otherwise
            "PYTHONPATH": os.pathsep.join(map(str, [self.root, *beside])),
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONUTF8": "1",
            "MPLBACKEND": "Agg",
            "OMP_NUM_THREADS": "1",
        }

    def close(self):
        for process in self.processes.values():
            process.communicate(timeout=60)  # it ends with its stdin


def furnish(home):
    """Make a home folder with the fonts that some releases download while they are imported."""
    home.mkdir(parents=True)
    font = Path(mpl.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")
    for name in ("Arial.ttf", "Arial.Unicode.ttf"):
        shutil.copy(font, home / name)
    return home


def one_of_each(kind, tmp_path_factory):
    """Yield a function from a version to its tree, made when it is first asked for; all are closed at the end."""
    made = []

    @cache
    def make(version):
        made.append(kind(version, tmp_path_factory.mktemp(f"{kind.__name__.lower()}-{version}-")))
        return made[-1]

    yield make
    for tree in made:
        tree.close()


@pytest.fixture(scope="session")
def trees(tmp_path_factory):
    """Return the tree of a version."""
    yield from one_of_each(Tree, tmp_path_factory)
