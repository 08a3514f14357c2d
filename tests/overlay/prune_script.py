"""The prune script of ultralytics' line in a process of its own, beside stock ultralytics instead of in a fork."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
FIRST = "from __future__ import annotations\n"
(SCRIPT,) = (REPOSITORY / "overlay" / "ultralytics").glob("8.0.0*/prune.py")


@pytest.fixture(scope="session")
def script(tmp_path_factory):
    """Return how to start it: `start(arguments, before=..., **environment)`, a Popen.

    `before` is Python to run first in that process.
    """
    folder = tmp_path_factory.mktemp("script")
    text = SCRIPT.read_text(encoding="utf-8").replace("from ultralytics.slim.", "from slim.")
    assert "from slim.command" in text
    path = [str(REPOSITORY / "overlay"), *sys.path]

    def start(*arguments, before="", **environment):
        own = folder / f"prune-{len(list(folder.iterdir()))}.py"
        own.write_text(
            text.replace("from __future__ import annotations\n", f"from __future__ import annotations\n{before}\n")
        )
        return subprocess.Popen(
            [sys.executable, str(own), *map(str, arguments)],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(path), **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    return start
