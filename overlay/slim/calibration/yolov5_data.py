"""How a release of YOLOv5 reads a data set: its YAML or folder, the list of images, and each image."""

from __future__ import annotations

import importlib
import inspect
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .datasets import CalibrationError, DataSet
from .documents import nothing_at
from .reader import Listed, Reader

if TYPE_CHECKING:
    from types import ModuleType

    from torch import nn

    from .documents import Document, Split
    from .folders import Classes

RESULTS = (1, 0, 0, 0, 1)  # found, missing, empty, corrupt, total: of what upstream says of labels


class Unlabelled(dict[str, object]):
    """Upstream's cache of a data set's labels, of images that have none."""

    def pop(self, key: str, *_: object) -> object:
        """Return what upstream takes out before it reads the rest."""
        return RESULTS if key == "results" else super().pop(key, "")


def open_data(
    source: Path, model: nn.Module, imgsz: int, limit: int, *, val: bool = False, package: str = ""
) -> DataSet:
    """Open a data set for a model, as `Reader.open`, of a release whose modules are in a package."""
    return _Reader(package).open(source, model, imgsz, limit, val=val)


@dataclass(frozen=True)
class _Reader(Reader):
    package: str

    def _module(self, name: str) -> ModuleType:
        return importlib.import_module(f"{self.package}.{name}" if self.package else name)

    def _loaders(self) -> ModuleType:
        """Return the module of loaders, `dataloaders` since v6.2."""
        try:
            return self._module("utils.dataloaders")
        except ModuleNotFoundError:
            return self._module("utils.datasets")

    def formats(self) -> set[str]:
        loaders = self._loaders()
        return set(getattr(loaders, "IMG_FORMATS", None) or loaders.img_formats)

    def check(self, name: str) -> Document:
        """Resolve a data set's YAML as `train.py` does; v5.0 has a function for what was read already."""
        import yaml  # noqa: PLC0415 - upstream requires it

        general = self._module("utils.general")
        file = name if Path(name).is_file() else general.check_file(name)
        resolved: Document
        if "autodownload" in inspect.signature(general.check_dataset).parameters:
            resolved = general.check_dataset(file, autodownload=False)
            return resolved
        with Path(file).open() as opened:  # in the encoding of the machine, as upstream
            resolved = yaml.safe_load(opened)
        general.check_dataset(resolved)
        return resolved

    def listed(self, source: Path, split: Split, name: str, imgsz: int = 32, limit: int = 0) -> Listed:
        base, take = self._loaders().LoadImagesAndLabels, self.taken

        class Pictures(base):  # type: ignore[misc, valid-type]
            def cache_labels(self, *_: object, **__: object) -> Unlabelled:
                files, self.skipped = take(source, split, _files(self), limit)
                return Unlabelled({file: [np.zeros((0, 5), np.float32), (1, 1), []] for file in files})

        try:
            pictures = Pictures(split.paths(), img_size=imgsz, batch_size=1, augment=False)
        except CalibrationError:
            raise
        except Exception as error:  # of that very class
            raise CalibrationError(nothing_at(source, split.places, name, split.content)) from error
        return Listed(_files(pictures), lambda index: pictures[index][0], pictures.skipped)

    def folder(self, name: str) -> dict[str, Path]:
        """Find the splits of a folder of classes as `classify/train.py` does."""
        root = self._module("utils.general").DATASETS_DIR
        place = Path(name) if Path(name).is_dir() else Path(root) / name
        if not place.is_dir():
            raise FileNotFoundError(f"no folder {place}")
        test = place / "test"
        return {"train": place / "train", "val": test if test.exists() else place / "val"}

    def classes(self, train: Path, imgsz: int) -> Classes:
        dataset: Classes = self._loaders().ClassificationDataset(str(train), augment=False, imgsz=imgsz)
        return dataset


def _files(dataset: object) -> list[str]:
    """Return the images of upstream's data set, `img_files` before v6.1."""
    files: list[str] = getattr(dataset, "im_files" if hasattr(dataset, "im_files") else "img_files")
    return files
