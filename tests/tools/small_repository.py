"""An upstream that is a git repository, laid out as YOLOv5's own and as small as one can be: tags, and a branch."""

from __future__ import annotations

import os
import subprocess
from datetime import date
from typing import TYPE_CHECKING

from slimfork.releases.pins import Pin

if TYPE_CHECKING:
    from pathlib import Path

TRAIN, LOSS, SEGMENT, HIDDEN = "train.py", "utils/loss.py", "segment/train.py", "data/train.py"
STEP = "    loss = {}(x)\n    loss.backward()\n"

FIRST: dict[str, bytes] = {
    "train.py": ("def train(x):\n" + STEP.format("criterion")).encode(),
    "detect.py": b"import models.yolo\r\n",
    "models/yolo.py": b"class Model:\n    pass\n",
    "models/yolov5s.yaml": b"nc: 80\n",
    "utils/__init__.py": b"",
    "utils/general.py": b"VALUE = 1\n",
    LOSS: b"import numpy as np\n\nAREA = np.trapz  # no last newline",
    HIDDEN: ("def train(x):\n" + STEP.format("criterion")).encode(),
    "data/photo.jpg": bytes(range(256)),
    "requirements.txt": b"torch\n",
    ".gitattributes": b"* text=auto eol=crlf\n*.jpg filter=lfs\n",
    ".gitignore": b"data/\n",
    "get.sh": b"#!/bin/sh\n",
}
SECOND = {TRAIN: ("def train(x):\n" + STEP.format("compute_loss")).encode(), LOSS: b"AREA = None\n"}
LATER = {SEGMENT: SECOND[TRAIN], "README.md": b"# YOLOv5\n"}
EXECUTABLE = {"get.sh"}
LINK = "AGENTS.md"

# What comes after what, each with its day; a name that does not begin with "-" is pinned.
HISTORY: tuple[tuple[str, dict[str, bytes], str], ...] = (
    ("-early", {TRAIN: b"pass\n"}, "2021-01-01T00:00:00Z"),
    ("v1.0", FIRST, "2021-04-11T23:30:00+02:00"),
    ("-typo", {"utils/general.py": b"VALUE = 2\n"}, "2021-06-01T00:00:00Z"),
    ("-loss", {LOSS: SECOND[LOSS]}, "2021-07-01T00:00:00Z"),
    ("-almost", SECOND, "2021-08-01T00:00:00Z"),
    ("v2.0", {"utils/general.py": b"VALUE = 3\n"}, "2022-11-22T00:30:00+01:00"),
    ("trunk", LATER, "2026-08-20T00:00:00Z"),
    ("-after", {"utils/general.py": b"VALUE = 4\n"}, "2026-08-21T00:00:00Z"),
)
TAGS = tuple(name for name, _, _ in HISTORY if not name.startswith("-"))
DAYS = {"v1.0": date(2021, 4, 11), "v2.0": date(2022, 11, 21), "trunk": date(2026, 8, 20)}  # UTC

_PATCH = """\
from slimfork.codemods.codemod import Insert, Replace
from slimfork.codemods.patch import Patch, Variant


def penalty(file, name):
    anchor, code = f"loss = {{name}}(x)", "loss = abs(loss)"
    return Insert(file=file, within=("train",), anchor=anchor, code=code, where="after")


PATCH = Patch(
    id="{id}",
    title="{title}",
    why="a test",
    until="never",
    compat={compat},
    variants=({variants},),
)
"""
PENALTY = ", ".join(
    f'Variant(tags=("{tag}",), edits=({edits},))'
    for tag, edits in (
        ("v1.0", f'penalty("{TRAIN}", "criterion"), penalty("{HIDDEN}", "criterion")'),
        ("v2.0", f'penalty("{TRAIN}", "compute_loss")'),
        ("trunk", f'penalty("{TRAIN}", "compute_loss"), penalty("{SEGMENT}", "compute_loss")'),
    )
)
TRAPZ = f'Variant(tags=("v1.0",), edits=(Replace(file="{LOSS}", anchor="np.trapz", code="np.trapezoid"),))'
CONTENT: dict[str, bytes] = {
    "patches/yolov5/penalty.py": _PATCH.format(
        id="penalty", title="Add a penalty", compat=False, variants=PENALTY
    ).encode(),
    "patches/yolov5/trapz.py": _PATCH.format(id="trapz", title="Integrate", compat=True, variants=TRAPZ).encode(),
    "overlay/slim/__init__.py": b'"""Slim."""\n',
    "overlay/slim/pruning/plan.py": b"RATIO = 0.5\n",
    "overlay/yolov5/v1.0..trunk/prune.py": b"print('prune')\n",
    "overlay/yolov5/1.0.0..2.0.0/prune.py": b"print('another layout')\n",
}


def git(folder: Path, *arguments: str, when: str = "2030-01-01T00:00:00Z") -> str:
    """Run git as somebody at some time."""
    env = {**os.environ, "GIT_AUTHOR_DATE": when, "GIT_COMMITTER_DATE": when}
    command = ["git", "-C", str(folder), "-c", "user.name=Glenn", "-c", "user.email=g@example.org", *arguments]
    return subprocess.run(command, env=env, capture_output=True, check=True).stdout.decode().strip()


def make(folder: Path) -> dict[str, str]:
    """Make the repository on branch `trunk`, and return name to commit; the last commit is on the branch, too."""
    folder.mkdir(parents=True)
    git(folder, "init", "-q", "-b", "trunk")
    (folder / ".git" / "info" / "attributes").write_text("* -text -filter\n")
    made: dict[str, str] = {}
    for name, files, when in HISTORY:
        for path, data in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(data)
            (folder / path).chmod(0o755 if path in EXECUTABLE else 0o644)
        if name == "v2.0":
            (folder / LINK).symlink_to("README.md")
        git(folder, "add", "-A", "-f")
        git(folder, "commit", "-q", "-m", name, when=when)
        made[name] = git(folder, "rev-parse", "HEAD")
        if name == "v1.0":
            git(folder, "tag", name)
        elif name == "v2.0":
            git(folder, "tag", "-a", "-m", "annotated", name, when=when)
    return made


def files_of(name: str) -> dict[str, bytes]:
    """Return the plain files of a commit by its name."""
    files: dict[str, bytes] = {}
    for each, changed, _ in HISTORY:
        files |= changed
        if each == name:
            return files
    raise KeyError(name)


def pins_of(made: dict[str, str]) -> list[Pin]:
    """Return the pins of the repository."""
    return [Pin(upstream="yolov5", version=tag, commit=made[tag], uploaded=DAYS[tag]) for tag in TAGS]
