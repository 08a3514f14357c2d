"""How a release of YOLOv5 reads a data set: its YAML or folder, the list of images, and each image."""

from __future__ import annotations

import importlib
import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..files.sealed import sealed
from ..writing.log import quiet
from .datasets import CalibrationError, DataSet, check_channels, choose, leftovers, task_of
from .documents import Split, check_there, for_validation, nothing_at, split_of
from .folders import folder_of, pictures_of

if TYPE_CHECKING:
    from torch import nn

RESULTS = (1, 0, 0, 0, 1)  # found, missing, empty, corrupt, total: of what upstream says of labels


class Unlabelled(dict[str, Any]):
    """Upstream's cache of a data set's labels, of images that have none."""

    def pop(self, key: str, *_: Any) -> Any:
        """Return what upstream takes out before it reads the rest."""
        return RESULTS if key == "results" else super().pop(key, "")


def open_data(
    source: Path, model: nn.Module, imgsz: int, limit: int, *, val: bool = False, package: str = ""
) -> DataSet:
    """Open a data set for a model, as `ultralytics_data.open_data`, of a release whose modules are in a package."""
    task = task_of(model)
    with sealed(), quiet():
        if task == "classify":
            found = folder_of(source, lambda name: _folder(name, package), val=val)
            kind = _loaders(package).ClassificationDataset
            dataset = kind(str(found["train"]), augment=False, imgsz=imgsz)
            data = pictures_of(source, dataset, found, limit, _formats(package))
        else:
            train = split_of(source, lambda name: _check(name, package), "train", task)
            held = _held(source, task, package) if val else None
            data = _images(source, train, held, (imgsz, limit), package)
    return check_channels(data, model)


def _module(package: str, name: str) -> Any:
    return importlib.import_module(f"{package}.{name}" if package else name)


def _loaders(package: str) -> Any:
    """Return the module of loaders, `dataloaders` since v6.2."""
    try:
        return _module(package, "utils.dataloaders")
    except ModuleNotFoundError:
        return _module(package, "utils.datasets")


def _formats(package: str) -> set[str]:
    loaders = _loaders(package)
    return set(getattr(loaders, "IMG_FORMATS", None) or loaders.img_formats)


def _check(name: str, package: str) -> Any:
    """Resolve a data set's YAML as `train.py` does; v5.0 has a function for what was read already."""
    import yaml  # noqa: PLC0415 - upstream requires it

    general = _module(package, "utils.general")
    file = name if Path(name).is_file() else general.check_file(name)
    if "autodownload" in inspect.signature(general.check_dataset).parameters:
        return general.check_dataset(file, autodownload=False)
    with Path(file).open() as opened:  # in the encoding of the machine, as upstream
        found = yaml.safe_load(opened)
    general.check_dataset(found)
    return found


def _held(source: Path, task: str, package: str) -> Split:
    """Find the split to validate on, all of whose images must be there.

    Raises:
        CalibrationError: One is not.
    """
    held = split_of(source, lambda name: _check(name, package), "val", task)
    check_there(source, held, _files(_listed(source, held, "val", package)))
    return held


def _files(dataset: Any) -> list[str]:
    """Return the images of upstream's data set, `img_files` before v6.1."""
    files: list[str] = dataset.im_files if hasattr(dataset, "im_files") else dataset.img_files
    return files


def _listed(source: Path, split: Split, name: str, package: str, imgsz: int = 32, limit: int = 0) -> Any:
    """Return upstream's own data set of images, without their labels; of a limit of 0 no image is looked at."""
    base, formats = _loaders(package).LoadImagesAndLabels, _formats(package)

    class Pictures(base):  # type: ignore[misc, valid-type]
        def cache_labels(self, *_: Any, **__: Any) -> Unlabelled:
            files = _files(self)
            if limit:
                chosen, skipped = choose(source, files, limit, formats)
                self.skipped = leftovers(split.places, formats) + skipped
                files = [files[index] for index in chosen]
            return Unlabelled({file: [np.zeros((0, 5), np.float32), (1, 1), []] for file in files})

    places = [str(place) for place in split.places]
    try:
        return Pictures(places, img_size=imgsz, batch_size=1, augment=False)
    except CalibrationError:
        raise
    except Exception as error:  # of that very class
        raise CalibrationError(nothing_at(source, split.places, name, split.content)) from error


def _images(source: Path, train: Split, held: Split | None, size: tuple[int, int], package: str) -> DataSet:
    """Return the training images as upstream's loader and letterbox give them."""
    imgsz, limit = size
    found = _listed(source, train, "train", package, imgsz, limit)
    write = None if held is None else lambda folder: for_validation(source, held, train, folder)
    return DataSet(source, _files(found), lambda index: found[index][0].float() / 255, found.skipped, write)


def _folder(name: str, package: str) -> dict[str, Path]:
    """Find the splits of a folder of classes as `classify/train.py` does."""
    root = _module(package, "utils.general").DATASETS_DIR
    place = Path(name) if Path(name).is_dir() else Path(root) / name
    if not place.is_dir():
        raise FileNotFoundError(f"no folder {place}")
    test = place / "test"
    return {"train": place / "train", "val": test if test.exists() else place / "val"}
