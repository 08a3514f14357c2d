"""Import patched releases, one after the other, each in a process of its own; see `import_steps`."""

from __future__ import annotations

import json
import os
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

from slimfork.inside import inside

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

IMPORT_SECONDS = 120.0
CAN_FORK = hasattr(os, "fork")


class Importer:
    """A running process that imports trees, and the one folder that they are laid out in, one at a time."""

    def __init__(self, process: subprocess.Popen[str], tree: Path) -> None:
        self._process, self._tree = process, tree
        self._files: dict[str, bytes] = {}

    def __call__(self, files: Mapping[str, bytes], modules: list[str]) -> str:
        """Import modules of a release; return what is wrong in one line, or nothing."""
        self._lay_out(files)
        request = {"tree": str(self._tree), "modules": modules, "seconds": IMPORT_SECONDS}
        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is None or stdout is None:  # pragma: no cover - they were asked for
            return "no pipes"
        try:
            stdin.write(json.dumps(request) + "\n")
            stdin.flush()
            line = stdout.readline()
        except OSError as error:
            return f"the importing process is gone: {error}"
        return str(json.loads(line)["detail"]) if line else "the importing process ended"

    def _lay_out(self, files: Mapping[str, bytes]) -> None:
        """Turn the tree of the last release into this one: neighbours share nearly all of their files."""
        for gone in self._files.keys() - files.keys():
            (self._tree / gone).unlink()
        for name, content in files.items():
            if self._files.get(name) != content:
                target = self._tree / name
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(content)
        self._files = dict(files)


@contextmanager
def importing(work: Path, code: Path) -> Iterator[Importer]:
    """Yield an importer that works in one folder and keeps compiled code in another."""
    tree = work / "tree"
    tree.mkdir(parents=True)
    code.mkdir(parents=True, exist_ok=True)
    process = subprocess.Popen(
        inside.python(inside.script("import_steps.py"), code),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=inside.environment(tree, work / "home"),
    )
    try:
        yield Importer(process, tree)
    finally:
        process.kill()
        process.wait()
