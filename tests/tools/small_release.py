"""A release of an upstream as small as one can be, with everything in it that git likes to rewrite or to drop."""

from __future__ import annotations

import gzip
import io
import tarfile

VERSION = "8.9.0"
TRAINER = "ultralytics/engine/trainer.py"
LOSS = "ultralytics/utils/loss.py"

LAYOUT: dict[str, bytes] = {
    "ultralytics/__init__.py": b'# Ultralytics\r\n\r\n__version__ = "8.9.0"\r\n',
    TRAINER: b"""\
import os


class Trainer:
    def step(self):
        self.forward()
        self.backward()
        self.update()
        self.report()

    def report(self):
        return os.getcwd()
""",
    LOSS: b"import numpy as np\n\n\ndef area(x, y):\n    return np.trapz(y, x)  # no last newline",
    ".gitattributes": b"* text=auto eol=crlf\n*.txt filter=lfs ident -diff\n",
    ".gitignore": b"*.dat\nignored/\n",
    "crlf.txt": b"one\r\ntwo\r\n$Id$\r\n",
    "mixed.txt": b"one\r\ntwo\nthree\r",
    "weights.dat": bytes(range(256)),
    "text.utf16": "grün".encode("utf-16"),
    "ignored/kept.py": b"kept = True\n",
    "a name with spaces and \xc3\xa4.md".encode("latin-1").decode(): b"",
    'quo"ted.md': b"quoted\n",
    "run.sh": b"#!/bin/sh\n",
    "pyproject.toml": b'[project]\nname = "ultralytics"\n',
}
EXECUTABLE = {"run.sh"}
# A user's checkout follows its own .gitattributes; there the work tree may differ from the commit.
CLONED = {path: data for path, data in LAYOUT.items() if path != ".gitattributes"}

_PATCH = """\
from slimfork.codemods.codemod import Insert, Replace
from slimfork.codemods.patch import Patch, Variant

PATCH = Patch(
    id="{id}",
    title="{title}",
    why="{why}",
    until="never",
    compat={compat},
    variants=(Variant(versions="{versions}", edits=({edit},)),),
)
"""


def _patch(edit: str, *, name: str, title: str, why: str = "a test", versions: str = ">=8.9,<=8.9.9", **more: bool):
    compat = more.get("compat", False)
    text = _PATCH.format(id=name, title=title, why=why, compat=compat, versions=versions, edit=edit)
    return {f"patches/ultralytics/{name}.py": text.encode()}


def _insert(anchor: str, code: str, where: str) -> str:
    scope = '("Trainer", "step")'
    return f'Insert(file="{TRAINER}", within={scope}, anchor="{anchor}", code="{code}", where="{where}")'


PATCHES: dict[str, bytes] = {
    **_patch(
        f'Replace(file="{LOSS}", anchor="np.trapz", code="np.trapezoid")',
        name="old_numpy",
        title="Integrate on NumPy 2.4",
        compat=True,
    ),
    **_patch(_insert("self.backward()", "self.penalty()", "after"), name="penalty", title="Add a penalty"),
    **_patch(_insert("self.update()", "self.clip()", "before"), name="zclip", title="Clip before the step"),
    **_patch(_insert("self.gone()", "pass", "after"), name="zold", title="For an older line", versions=">=8.0,<=8.8.9"),
}
OVERLAY: dict[str, bytes] = {
    "overlay/slim/__init__.py": b'"""Slim."""\n',
    "overlay/slim/pruning/plan.py": b"RATIO = 0.5\nROUND = 8\n",
    "overlay/ultralytics/8.9.0..8.9.9/prune.py": b"print('prune')\n",
}
PATCHED_STEP = b"""\
        self.forward()
        self.backward()
        self.penalty()
        self.clip()
        self.update()
        self.report()
"""


def release_files(version: str = VERSION) -> dict[str, bytes]:
    """Return the files of a version."""
    init = LAYOUT["ultralytics/__init__.py"].replace(VERSION.encode(), version.encode())
    return {**LAYOUT, "ultralytics/__init__.py": init}


def sdist(version: str = VERSION, files: dict[str, bytes] | None = None) -> bytes:
    """Return the source distribution, the same bytes every time."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as tar:
        for name, data in (files or release_files(version)).items():
            member = tarfile.TarInfo(f"ultralytics-{version}/{name}")
            member.size = len(data)
            member.mode = 0o755 if name in EXECUTABLE else 0o644
            tar.addfile(member, io.BytesIO(data))
    return gzip.compress(raw.getvalue(), mtime=0)
