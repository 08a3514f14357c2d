"""Let upstream read a data set, and let nothing that it brings along run, and nothing in its folders change.

Upstream runs what a YAML's `download:` says where images are missing, `YOLO_OFFLINE` or not, unpickles the caches of
labels that lie in a data set's folders and writes others, mends JPEGs in place, installs what it misses, and fetches
fonts. It is given a YAML without `download:`, whose images are there; caches count as not there; and no connection is
made.
"""

from __future__ import annotations

import socket
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    Function = Callable[..., object]  # one of a library's, in whose place another stands that takes the same
    Swap = tuple[object, str, object]  # owner, name, and what the name is to stand for meanwhile


CACHE = ".cache"
KEPT = (CACHE, ".npy")  # what upstream writes among a user's images
HEIF = (".heic", ".heif")
FETCHERS = frozenset({"bash", "curl", "pip", "uv", "wget"})
STALE = {"hash": None, "version": None}  # what every release takes for a cache of another data set


@contextmanager
def sealed() -> Iterator[None]:
    """Let pickles in a data set's folders count as not there, and connections, installers and writing there fail."""
    from PIL import Image  # noqa: PLC0415 - upstream requires it

    with swapped(
        *_pickles(),
        (socket.socket, "connect", _refusing(socket.socket.connect)),
        (subprocess, "run", _fetching_nothing(subprocess.run)),
        (Image, "open", _installing_nothing(Image.open)),
        (Image.Image, "save", _mending_nothing(Image.Image.save)),
        (Path, "unlink", _removing_nothing(Path.unlink)),
        *_writers(),
    ):
        yield


@contextmanager
def swapped(*others: Swap) -> Iterator[None]:
    """Let names of modules and classes stand for something else meanwhile: owner, name, value."""
    with ExitStack() as stack:
        for owner, name, value in others:
            stack.callback(setattr, owner, name, getattr(owner, name))
            setattr(owner, name, value)
        yield


def _pickles() -> Iterator[Swap]:
    array: Function = np.load
    kept: Function = np.save
    pickled: Function = torch.load
    written: Function = torch.save

    def read_array(file: object, *arguments: object, **options: object) -> object:
        if str(file).endswith(CACHE):
            raise FileNotFoundError(f"{file}: is a pickle, and not read")
        return array(file, *arguments, **options)

    def read_pickle(file: object, *arguments: object, **options: object) -> object:
        return dict(STALE) if str(file).endswith(CACHE) else pickled(file, *arguments, **options)

    def write_array(file: object, *arguments: object, **options: object) -> object:
        if str(file).endswith(CACHE):
            raise PermissionError(f"{file}: is not written")
        return None if str(file).endswith(KEPT) else kept(file, *arguments, **options)

    def write_pickle(value: object, file: object, *arguments: object, **options: object) -> object:
        return None if str(file).endswith(CACHE) else written(value, file, *arguments, **options)

    yield np, "load", read_array
    yield np, "save", write_array
    yield torch, "load", read_pickle
    yield torch, "save", write_pickle


def _writers() -> Iterator[Swap]:
    """Yield what upstream's modules have of their own for writing into a data set's folders."""
    modules = [module for name, module in list(sys.modules.items()) if name.endswith((".data.utils", ".data.dataset"))]
    for name, value in (
        ("save_dataset_cache_file", _versioned),
        ("_replace_image", lambda *_: None),
        ("is_dir_writeable", lambda *_: False),  # all that early releases have
    ):
        for module in modules:
            if hasattr(module, name):
                yield module, name, value


def _versioned(_: str, __: Path, cache: dict[str, object], version: str = "") -> None:
    """Do of `save_dataset_cache_file` what is read later."""
    cache["version"] = version


def _refusing(connect: Function) -> Function:
    def refuse(self: socket.socket, address: object) -> None:
        if self.family in {socket.AF_INET, socket.AF_INET6}:
            raise OSError(f"{address}: prune.py makes no connection")
        connect(self, address)

    return refuse


def _fetching_nothing(run: Function) -> Function:
    def check(command: str | Sequence[str | Path], *arguments: object, **options: object) -> object:
        words = command.split() if isinstance(command, str) else list(map(str, command))
        if FETCHERS & {Path(word.strip("\"'")).name for word in words[:4]}:
            raise subprocess.CalledProcessError(1, command, "prune.py fetches and installs nothing")
        return run(command, *arguments, **options)

    return check


def _installing_nothing(start: Function) -> Function:
    """Open as PIL does: what today's upstream has in its place installs a package for images of an unknown format."""
    plain = getattr(sys.modules.get(start.__module__), "_image_open", start)

    def start_either(file: object, *arguments: object, **options: object) -> object:
        chosen = start if str(file).lower().endswith(HEIF) else plain
        return chosen(file, *arguments, **options)

    return start_either


def _mending_nothing(save: Function) -> Function:
    def write(self: object, file: object, *arguments: object, **options: object) -> None:
        if not (isinstance(file, (str, Path)) and Path(file).is_file()):  # what is there is an image of the user's
            save(self, file, *arguments, **options)

    return write


def _removing_nothing(unlink: Function) -> Function:
    def remove(self: Path, *arguments: object, **options: object) -> None:
        if self.suffix not in KEPT:
            unlink(self, *arguments, **options)

    return remove
