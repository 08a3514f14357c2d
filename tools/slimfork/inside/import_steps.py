"""Imports trees, each in a process of its own, forked from one that has the heavy third-party packages loaded.

Run as `python import_steps.py CODE_FOLDER`. A request is a line of JSON on stdin, {"tree", "modules", "seconds"}; the
answer is a line on stdout, {"ok", "detail"}. Loading PyTorch takes seconds and compiling a release one more; here the
first is done once and the second once a content, so that 833 releases take minutes.
"""

from __future__ import annotations

import gc
import hashlib
import importlib
import inspect
import json
import marshal
import os
import select
import signal
import socket
import sys
from contextlib import suppress
from importlib.machinery import EXTENSION_SUFFIXES, ExtensionFileLoader, FileFinder, SourceFileLoader
from pathlib import Path
from typing import Any

# What some release imports; one that is not installed is missed where a release needs it, by name.
HEAVY = (
    "torch torch.nn torch.utils.data torch.distributed torch.cuda.amp torchvision torchvision.transforms cv2 numpy "
    "PIL.Image PIL.ImageDraw yaml requests matplotlib.pyplot pandas scipy scipy.optimize scipy.spatial psutil cpuinfo "
    "tqdm thop polars hydra omegaconf IPython.core.interactiveshell pkg_resources seaborn tensorboard sentry_sdk "
    "torch.utils.tensorboard hub_sdk packaging.version multiprocessing.pool logging.config urllib.request "
    "concurrent.futures asyncio"
)


class ByContent(SourceFileLoader):
    """A loader that compiles a content once, wherever it stands and however often it is imported."""

    folder = Path()

    def get_code(self, fullname: str) -> Any:
        """Return the code of a module, from the folder of compiled contents where it has been compiled before."""
        path = self.get_filename(fullname)
        source = self.get_data(path)
        kept = self.folder / hashlib.sha256(path.encode() + b"\0" + source).hexdigest()
        with suppress(OSError, EOFError, ValueError):
            return marshal.loads(kept.read_bytes())  # noqa: S302 - this very program wrote it
        code = self.source_to_code(source, path)
        part = kept.with_suffix(f".{os.getpid()}")
        part.write_bytes(marshal.dumps(code))
        part.replace(kept)
        return code


def preload() -> None:
    """Import what releases import from elsewhere."""
    for name in HEAVY.split():
        with suppress(Exception):
            importlib.import_module(name)
    for name in ("importlib._bootstrap", "importlib._bootstrap_external"):
        # Releases ask for the stack while they are imported; for each such frame Python would search all modules.
        inspect.modulesbyfile[os.path.abspath(f"<frozen {name}>")] = name  # noqa: PTH100
    gc.disable()  # a release that is imported leaves no cycles worth a look at all that PyTorch has brought
    gc.freeze()
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(1)


def offline(*_: Any, **__: Any) -> Any:
    """Stand for every way out: before 8.1.43, being imported includes waiting for a host that does not answer."""
    raise OSError("no network while a release is imported")


def look(tree: str, modules: list[str]) -> str:
    """Import modules from a tree; return what is wrong, or nothing."""
    socket.create_connection = socket.getaddrinfo = offline
    socket.socket.connect = offline  # type: ignore[method-assign]
    sys.path.insert(0, tree)
    loaders = ((ExtensionFileLoader, EXTENSION_SUFFIXES), (ByContent, [".py"]))
    sys.path_hooks.insert(0, FileFinder.path_hook(*loaders))
    sys.path_importer_cache.clear()
    for name in modules:
        try:
            module = importlib.import_module(name)
        except BaseException as error:  # noqa: BLE001 - a release may call sys.exit while it is imported
            return f"import {name}: {type(error).__name__}: {error}"
        if Path(tree).resolve() not in Path(str(module.__file__)).resolve().parents:
            return f"{name} was imported from {module.__file__}"
    return ""


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Fork, import, and read what the child says."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        problem = look(request["tree"], request["modules"])
        os.write(writing, json.dumps({"ok": not problem, "detail": " ".join(problem.split())[:300]}).encode())
        os._exit(0)
    os.close(writing)
    ready, _, _ = select.select([reading], [], [], request["seconds"])
    said = os.read(reading, 1 << 16) if ready else b""
    os.close(reading)
    with suppress(ProcessLookupError):
        os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    if said:
        return dict(json.loads(said))
    why = "the process died" if ready else f"took longer than {request['seconds']:g} s"
    return {"ok": False, "detail": f"import {', '.join(request['modules'])}: {why}"}


def main() -> None:
    """Answer requests until stdin ends."""
    ByContent.folder = Path(sys.argv[1])
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a release prints while it is imported is no answer
    preload()
    for line in sys.stdin:
        out.write(json.dumps(answer(json.loads(line))) + "\n")
        out.flush()


if __name__ == "__main__":
    main()
