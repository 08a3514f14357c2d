"""How a release of ultralytics reads a data set: its YAML or folder, the list of images, and each image."""

from __future__ import annotations

import importlib
import inspect
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..files.sealed import sealed, swapped
from ..writing.log import first_line, quiet
from ..writing.whole_files import scratch
from .datasets import CalibrationError, DataSet, check_channels, choose, leftovers, takes, task_of
from .documents import Split, check_there, for_validation, nothing_at, split_of
from .folders import folder_of, pictures_of

if TYPE_CHECKING:
    from torch import Tensor, nn

_SPLITS: list[tempfile.TemporaryDirectory[str]] = []  # what lives until the run ends


def open_data(source: Path, model: nn.Module, imgsz: int, limit: int, *, val: bool = False) -> DataSet:
    """Open a data set for a model.

    Args:
        source: A data set's YAML, or its name; for a classifier its folder.
        model: What it is for.
        imgsz: Side of an image, in pixels.
        limit: Images at most.
        val: Whether its `val` is asked for as well.

    Raises:
        CalibrationError: It is not there, has no images, or does not fit the model.
    """
    task = task_of(model)
    with sealed(), quiet():
        if task == "classify":
            found = folder_of(source, _folder, val=val)
            data = pictures_of(source, _classes(found["train"], imgsz), found, limit, _utils().IMG_FORMATS)
        else:
            train = split_of(source, _check, "train", task)
            held = _held(source, task) if val else None
            data = _images(source, train, held, imgsz, limit)
            _check_labels(data, train, task)
    return check_channels(data, model)


def _module(name: str) -> Any:
    """Return a module of upstream's, which early releases keep in `ultralytics.yolo`."""
    try:
        return importlib.import_module(f"ultralytics.{name}")
    except ModuleNotFoundError:
        return importlib.import_module(f"ultralytics.yolo.{name}")


def _utils() -> Any:
    return _module("data.utils")


def _check(name: str) -> Any:
    """Resolve a data set's YAML."""
    utils = _utils()
    check = getattr(utils, "check_det_dataset", None) or utils.check_dataset_yaml  # the latter before 8.0.2x
    return check(name, autodownload=False)


def _held(source: Path, task: str) -> Split:
    """Find the split to validate on, all of whose images must be there.

    Raises:
        CalibrationError: One is not.
    """
    held = split_of(source, _check, "val", task)
    check_there(source, held, _listed(source, held, "val").im_files)
    return held


def _listed(source: Path, split: Split, name: str, imgsz: int = 32, limit: int = 0) -> Any:
    """Return upstream's own data set of images, without their labels; of a limit of 0 no image is looked at."""
    base, augment = _module("data.base").BaseDataset, _module("data.augment")
    formats = set(_utils().IMG_FORMATS)

    class Pictures(base):  # type: ignore[misc, valid-type]
        """As upstream says: data sets of one's own format override these."""

        def get_labels(self) -> list[dict[str, Any]]:
            files: list[str] = self.im_files  # type: ignore[has-type]
            if limit:
                chosen, skipped = choose(source, files, limit, formats)
                self.skipped = leftovers(split.places, formats) + skipped
                self.im_files = files = [files[index] for index in chosen]
            return [{"im_file": file, "cls": np.zeros((0, 1)), "bboxes": np.zeros((0, 4))} for file in files]

        def build_transforms(self, hyp: Any = None) -> Any:  # noqa: ARG002 - upstream names it
            return augment.LetterBox(new_shape=(imgsz, imgsz))

        def __getitem__(self, index: int) -> Tensor:
            image = self.transforms(image=self.load_image(index)[0])
            tensor: Tensor = augment.Format()._format_img(image)  # noqa: SLF001 - of every release
            return tensor

    places = [str(place) for place in split.places]
    channels = split.resolved.get("channels", 3)
    more = {"channels": channels} if "channels" in inspect.signature(base.__init__).parameters else {}
    try:
        return Pictures(img_path=places, imgsz=imgsz, augment=False, **more)
    except FileNotFoundError as error:
        raise CalibrationError(nothing_at(source, split.places, name, split.content)) from error


def _images(source: Path, train: Split, held: Split | None, imgsz: int, limit: int) -> DataSet:
    """Return the training images as upstream's loader and letterbox give them."""
    found = _listed(source, train, "train", imgsz, limit)
    write = None if held is None else lambda folder: for_validation(source, held, train, folder)
    return DataSet(source, found.im_files, lambda index: found[index].float() / 255, found.skipped, write)


def _check_labels(data: DataSet, train: Split, task: str) -> None:
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


def _folder(name: str) -> Any:
    """Find the splits of a folder of classes; what has none is split as upstream's training splits it."""
    utils = _utils()
    check = getattr(utils, "check_cls_dataset", None) or utils.check_dataset
    more = {"split": "val"} if "split" in inspect.signature(check).parameters else {}
    download = utils.download

    def local(url: Any, *arguments: Any, **options: Any) -> Any:
        if "://" in str(url):
            raise FileNotFoundError(f"no folder {options.get('dir', '')}{os.sep}{Path(name).name}")
        return download(url, *arguments, **options)

    try:
        parts = _module("data.split")
    except ModuleNotFoundError:
        parts = None
    original = getattr(parts, "split_classify_dataset", None)
    with swapped((utils, "download", local)):
        if original is None:
            return check(name, **more)
        with swapped((parts, "split_classify_dataset", lambda place, **ratio: _split(original, Path(place), ratio))):
            return check(name, **more)


def _split(split: Any, place: Path, ratio: dict[str, Any]) -> Path:
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


def _classes(train: Path, imgsz: int) -> Any:
    """Return upstream's own data set of classes, with the transforms of its validation; no image is looked at."""
    base = _module("data.dataset").ClassificationDataset
    kind = type("Images", (base,), {"verify_images": lambda self: self.samples})  # which writes a cache
    if "args" not in inspect.signature(base.__init__).parameters:
        return kind(str(train), augment=False, imgsz=imgsz)
    cfg = _module("cfg").get_cfg(overrides={"task": "classify", "imgsz": imgsz})
    return kind(str(train), cfg, augment=False)
