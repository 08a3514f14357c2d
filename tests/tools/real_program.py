"""The command as a person starts it: a process of its own, in a shell that can close its descriptors."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

from slimfork import cli

TOOLS = Path(cli.__file__).parents[1]
MAIN = f"import sys; sys.path.insert(0, {str(TOOLS)!r}); from slimfork.cli import main; main()"


def run(arguments, shell="{}", env=None, cwd=None):
    """Run the real command in a shell, where its descriptors can be closed."""
    command = shlex.join([sys.executable, "-c", MAIN, *map(str, arguments)])
    environment = {**os.environ, **(env or {})}
    return subprocess.run(
        ["bash", "-c", shell.format(command)], env=environment, cwd=cwd, capture_output=True, text=True, check=False
    )


def one_line(done):
    assert done.returncode == 2, (done.returncode, done.stderr)
    assert [line[:6] for line in done.stderr.splitlines()] == ["error:", "  try:"], done.stderr
    return done.stderr
