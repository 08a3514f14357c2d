"""Validate with upstream's validator, and let nothing that a data set brings along run.

Upstream runs what a YAML's `download:` says where pictures are missing, `YOLO_OFFLINE` or not, unpickles the caches of
labels that lie in a data set's folders, and fetches fonts. It is given a YAML without `download:`, whose pictures are
there; caches are made anew; and no connection is made.
"""

from __future__ import annotations

import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from . import calibrate

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TO_PATHS = ("train", "val")
LEFT_OUT = ("download", "test", "minival", "validation")
CACHE = ".cache"
STALE: dict[str, Any] = {"hash": None, "version": None}  # what every release takes for a cache of another data set


def for_validation(data: Path, folder: Path) -> Path:
    """Write a data set's YAML for upstream: with the paths that have been found here, and without `download:`.

    Args:
        data: The user's YAML.
        folder: Where to write the other one, under the same name.

    Raises:
        CalibrationError: It cannot be read, or pictures to validate on are missing.
    """
    import yaml  # noqa: PLC0415 - as in `calibrate`

    content = calibrate.read_yaml(data)
    calibrate.image_paths(data, "val")
    places: dict[str, Any] = {}
    for split in TO_PATHS:
        found = [str(place.resolve()) for place in calibrate.places_of(data, content, split)]
        places[split] = found if len(found) > 1 else found[0]
    kept = {key: value for key, value in content.items() if key not in LEFT_OUT}
    root = {"path": str(calibrate.root_of(data, content))}
    written = folder / (data.stem + ".yaml")
    written.write_text(yaml.safe_dump({**kept, **root, **places}, allow_unicode=True), encoding="utf-8")
    return written


@contextmanager
def sealed() -> Iterator[None]:
    """Let pickles in a data set's folders count as not there, and connections fail."""
    array, pickled, connect = np.load, torch.load, socket.socket.connect

    def read_array(file: Any, *arguments: Any, **options: Any) -> Any:
        if str(file).endswith(CACHE):
            raise FileNotFoundError(f"{file}: is a pickle, and not read")
        return array(file, *arguments, **options)

    def read_pickle(file: Any, *arguments: Any, **options: Any) -> Any:
        return dict(STALE) if str(file).endswith(CACHE) else pickled(file, *arguments, **options)

    def refuse(self: socket.socket, address: Any) -> None:
        if self.family in {socket.AF_INET, socket.AF_INET6}:
            raise OSError(f"{address}: prune.py makes no connection")
        connect(self, address)

    np.load, torch.load, socket.socket.connect = read_array, read_pickle, refuse  # type: ignore[assignment, method-assign]
    try:
        yield
    finally:
        np.load, torch.load, socket.socket.connect = array, pickled, connect  # type: ignore[method-assign]
