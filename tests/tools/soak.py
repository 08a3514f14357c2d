"""Commands as a user runs them, in a process of their own, killed at a random moment; and what is to be true then."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import onnx
from google.protobuf.message import DecodeError
from PIL import Image

from tests.tools.conftest import IDENTITY, write

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).parents[2]
TRAINER = "ultralytics/engine/trainer.py"
RELEASE = "ultralytics==8.4.190"


@dataclass
class Tally:
    """What was seen, by command."""

    name: str
    seen: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    def count(self, **facts: bool) -> None:
        """Count a kill, and what held after it."""
        self.seen.update({"kills": 1, **{name: int(held) for name, held in facts.items()}})

    def line(self) -> str:
        """The counts in words."""
        counts = ", ".join(f"{name.replace('_', ' ')} {count}" for name, count in self.seen.items())
        return f"{self.name}: {counts}; faults {len(self.faults)}"


def command(*arguments: object, root: Path = ROOT) -> list[str]:
    """Return our command as a process of its own, from the sources in a folder."""
    start = f"import sys; sys.path.insert(0, {str(root / 'tools')!r}); from slimfork.cli import main; main()"
    return [sys.executable, "-c", start, *map(str, arguments)]


def run(arguments: Sequence[str], cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    settings = {**os.environ, **env}
    return subprocess.run(arguments, cwd=cwd, env=settings, capture_output=True, text=True, check=False)


def duration(arguments: Sequence[str], cwd: Path, **env: str) -> float:
    """Return how long (s) a command takes that comes to its end."""
    start = time.monotonic()
    done = run(arguments, cwd, **env)
    assert done.returncode == 0, done.stderr
    return time.monotonic() - start


def killed(arguments: Sequence[str], cwd: Path, after: float, **env: str) -> bool:
    """Start a command, and kill it with all of its session after a time (s); tell whether it was still alive."""
    settings = {**os.environ, **env}
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(arguments, cwd=cwd, env=settings, start_new_session=True, **quiet)
    time.sleep(after)
    alive = process.poll() is None
    if alive:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    return alive


def moments(kills: int, whole: float, seed: int, start: float = 0.0) -> list[float]:
    """Return moments (s) spread at random over a run, the same ones every time."""
    draw = random.Random(seed)  # noqa: S311 - nothing secret
    return [start + draw.random() * (whole - start) for _ in range(kills)]


def git(path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run git as the user would."""
    return run(["git", "-C", str(path), *IDENTITY, *arguments], path)


def head(path: Path) -> str:
    """Return the commit that is checked out."""
    return git(path, "rev-parse", "HEAD").stdout.strip()


def tree(path: Path, rev: str = "HEAD") -> dict[str, str]:
    """Return path to blob."""
    lines = git(path, "ls-tree", "-r", rev).stdout.splitlines()
    return {line.split("\t")[1]: line.split()[2] for line in lines}


def plain_git_works(path: Path) -> bool:
    """Tell whether the user can see their work and commit some at once."""
    write(path, {"mine.txt": b"mine\n"})
    steps = (("status", "--porcelain"), ("add", "mine.txt"), ("commit", "-q", "-m", "mine"))
    if any(git(path, *step).returncode for step in steps):
        return False
    return git(path, "status", "--porcelain").stdout == ""


def leftovers(path: Path) -> list[str]:
    """Return what a command of ours, or git below it, has left in a repository and beside it."""
    inside = [p for p in (path / ".git").rglob("*") if p.suffix == ".lock" and p.name != "slimfork.lock"]
    inside += [p for p in (path / ".git").iterdir() if p.name.startswith("slimfork-")]
    inside += list((path / ".git/objects").rglob("tmp_*"))
    beside = [p for p in path.parent.iterdir() if p.name.startswith(f".{path.name}")]
    return [str(p.relative_to(path.parent)) for p in (*inside, *beside, *path.rglob("*.part"))]


def fresh(source: Path, target: Path) -> Path:
    """Return a copy of a fork, whose index knows its files."""
    if target.exists():
        shutil.rmtree(target)
    shutil.copytree(source, target, symlinks=True)
    git(target, "update-index", "-q", "--refresh")
    return target


def is_whole(path: Path) -> bool:
    """Tell whether a file that prune.py writes is there from its first byte to its last."""
    try:
        if path.suffix == ".pt":
            return zipfile.ZipFile(path).testzip() is None
        if path.suffix == ".onnx":
            onnx.checker.check_model(onnx.load(path))
        if path.suffix == ".png":
            Image.open(path).load()
        if path.suffix == ".json":
            json.loads(path.read_bytes())
    except (OSError, ValueError, zipfile.BadZipFile, DecodeError, onnx.checker.ValidationError):
        return False
    return True
