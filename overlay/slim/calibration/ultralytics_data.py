"""How a release of ultralytics reads a data set: its YAML or folder, the list of images, and each image."""

from __future__ import annotations

import importlib
import inspect
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..files.sealed import swapped
from ..writing.log import first_line
from ..writing.whole_files import scratch
from .datasets import CalibrationError, DataSet, takes
from .documents import nothing_at
from .reader import Listed, Reader

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from types import ModuleType

    from torch import Tensor, nn

    from .documents import Document, Split
    from .folders import Classes

_SPLITS: list[tempfile.TemporaryDirectory[str]] = []  # what lives until the run ends


def open_data(source: Path, model: nn.Module, imgsz: int, limit: int, *, val: bool = False) -> DataSet:
    """Open a data set for a model, as `Reader.open`."""
    return _Reader().open(source, model, imgsz, limit, val=val)


def _module(name: str) -> ModuleType:
    """Return a module of upstream's, which early releases keep in `ultralytics.yolo`."""
    try:
        return importlib.import_module(f"ultralytics.{name}")
    except ModuleNotFoundError:
        return importlib.import_module(f"ultralytics.yolo.{name}")


def _utils() -> ModuleType:
    return _module("data.utils")


class _Reader(Reader):
    def formats(self) -> Collection[str]:
        return set(_utils().IMG_FORMATS)

    def check(self, name: str) -> Document:
        utils = _utils()
        check = getattr(utils, "check_det_dataset", None) or utils.check_dataset_yaml  # the latter before 8.0.2x
        resolved: Document = check(name, autodownload=False)
        return resolved

    def listed(self, source: Path, split: Split, name: str, imgsz: int = 32, limit: int = 0) -> Listed:
        base, augment, take = _module("data.base").BaseDataset, _module("data.augment"), self.taken

        class Pictures(base):  # type: ignore[misc, valid-type]
            """As upstream says: data sets of one's own format override these."""

            def get_labels(self) -> list[dict[str, object]]:
                self.im_files, self.skipped = take(source, split, self.im_files, limit)  # type: ignore[has-type]
                return [
                    {"im_file": file, "cls": np.zeros((0, 1)), "bboxes": np.zeros((0, 4))} for file in self.im_files
                ]

            def build_transforms(self, hyp: object = None) -> object:  # noqa: ARG002 - upstream names it
                return augment.LetterBox(new_shape=(imgsz, imgsz))

            def __getitem__(self, index: int) -> Tensor:
                image = self.transforms(image=self.load_image(index)[0])
                tensor: Tensor = augment.Format()._format_img(image)  # noqa: SLF001 - of every release
                return tensor

        channels = split.resolved.get("channels", 3)
        more = {"channels": channels} if "channels" in inspect.signature(base.__init__).parameters else {}
        try:
            pictures = Pictures(img_path=split.paths(), imgsz=imgsz, augment=False, **more)
        except FileNotFoundError as error:
            raise CalibrationError(nothing_at(source, split.places, name, split.content)) from error
        return Listed(pictures.im_files, pictures.__getitem__, pictures.skipped)

    def check_labels(self, data: DataSet, train: Split, task: str) -> None:
        """Refuse labels that upstream refuses for the task, such as boxes for a segmenter; none at all will do.

        Raises:
            CalibrationError: With what upstream says.
        """
        build = getattr(_module("data.build"), "build_yolo_dataset", None)
        labels = _utils().img2label_paths(list(data.images))
        if task == "detect" or build is None or not any(Path(label).is_file() for label in labels):
            return
        cfg = _module("cfg").get_cfg(overrides={"task": task, "imgsz": 32})
        with scratch() as temporary:
            listed = Path(temporary) / "images.txt"
            listed.write_text("\n".join(data.images), encoding="utf-8")
            resolved = {**train.resolved, "path": Path(temporary)}
            try:
                build(cfg, str(listed), 1, resolved, mode="val")
            except Exception as error:  # upstream raises anything
                what = f"{data.source}: is no data set for task {task} ({first_line(error)})"
                raise CalibrationError(f"{what}: give {takes(task)}") from error

    def folder(self, name: str) -> Mapping[str, object]:
        """Find the splits of a folder of classes; what has none is split as upstream's training splits it."""
        utils = _utils()
        check: Callable[..., Mapping[str, object]] = getattr(utils, "check_cls_dataset", None) or utils.check_dataset
        more = {"split": "val"} if "split" in inspect.signature(check).parameters else {}
        download = utils.download

        def local(url: object, *arguments: object, **options: object) -> object:
            if "://" in str(url):
                raise FileNotFoundError(f"no folder {options.get('dir', '')}{os.sep}{Path(name).name}")
            return download(url, *arguments, **options)

        try:
            parts: ModuleType | None = _module("data.split")
        except ModuleNotFoundError:
            parts = None
        split = getattr(parts, "split_classify_dataset", None)
        with swapped((utils, "download", local)):
            if split is None:
                return check(name, **more)
            with swapped((parts, "split_classify_dataset", lambda place, **ratio: _split(split, Path(place), ratio))):
                return check(name, **more)

    def classes(self, train: Path, imgsz: int) -> Classes:
        """Return upstream's own data set of classes, with the transforms of its validation; no image is looked at."""
        base = _module("data.dataset").ClassificationDataset
        kind: Callable[..., Classes] = type("Images", (base,), {"verify_images": lambda self: self.samples})  # no cache
        if "args" not in inspect.signature(base.__init__).parameters:
            return kind(str(train), augment=False, imgsz=imgsz)
        cfg = _module("cfg").get_cfg(overrides={"task": "classify", "imgsz": imgsz})
        return kind(str(train), cfg, augment=False)


def _split(split: Callable[..., str | Path], place: Path, ratio: Mapping[str, object]) -> Path:
    """Split a folder that has no `train/`: as training has done it, or elsewhere, as links to the user's images."""
    made = Path(f"{place}_split")
    if (made / "train").is_dir():
        return made
    _SPLITS.append(tempfile.TemporaryDirectory(prefix=f"slim-{os.getpid()}-"))
    mirror = Path(_SPLITS[-1].name) / place.name
    mirror.mkdir()
    for folder in place.iterdir():
        if folder.is_dir():
            (mirror / folder.name).symlink_to(folder.resolve(), target_is_directory=True)
    with swapped((shutil, "copy2", lambda file, to: Path(to).symlink_to(Path(file).resolve()))):
        return Path(split(mirror, **ratio))
