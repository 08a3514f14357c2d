"""How a data set is opened, whichever release reads it: the steps, and what a release must have for each."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Callable

from ..files.sealed import sealed
from ..writing.log import quiet
from .datasets import DataSet, check_channels, choose, leftovers, pick, task_of
from .documents import check_there, for_validation, split_of
from .folders import folder_of, pictures_of

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from pathlib import Path

    from torch import Tensor, nn

    from .documents import Document, Split
    from .folders import Classes


@dataclass(frozen=True)
class Listed:
    """A split's images as upstream's own data set has them, without their labels.

    Attributes:
        files: Their paths.
        read: An index to an image in upstream's letterbox, (C, H, W) uint8.
        skipped: What was passed over because it cannot be read.
    """

    files: list[str]
    read: Callable[[int], Tensor]
    skipped: Sequence[str]


class Reader(ABC):
    """What a release has for reading data sets; `ultralytics_data` and `yolov5_data` each have one."""

    def open(self, source: Path, model: nn.Module, imgsz: int, limit: int, *, val: bool) -> DataSet:
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
                splits = folder_of(source, self.folder, val=val)
                data = pictures_of(source, self.classes(splits["train"], imgsz), splits, limit, self.formats())
            else:
                train = split_of(source, self.check, "train", task)
                held = self._held(source, task) if val else None
                data = self._images(source, train, held, imgsz, limit)
                self.check_labels(data, train, task)
        return check_channels(data, model)

    def _held(self, source: Path, task: str) -> Split:
        """Find the split to validate on, all of whose images must be there.

        Raises:
            CalibrationError: One is not.
        """
        held = split_of(source, self.check, "val", task)
        check_there(source, held, self.listed(source, held, "val").files)
        return held

    def _images(self, source: Path, train: Split, held: Split | None, imgsz: int, limit: int) -> DataSet:
        """Return the training images as upstream's loader and letterbox give them."""
        listed = self.listed(source, train, "train", imgsz, limit)
        write = None if held is None else lambda folder: for_validation(source, held, train, folder)
        return DataSet(source, listed.files, lambda index: listed.read(index).float() / 255, listed.skipped, write)

    def taken(self, source: Path, split: Split, files: list[str], limit: int) -> tuple[list[str], list[str]]:
        """Return the images of a split to take and those passed over; of a limit of 0 all, and none is looked at."""
        if not limit:
            return files, []
        chosen, skipped = choose(source, files, limit, self.formats())
        return pick(files, chosen), leftovers(split.places, self.formats()) + skipped

    @abstractmethod
    def formats(self) -> Collection[str]:
        """Return the formats of images that the release takes, in lower case."""

    @abstractmethod
    def check(self, name: str) -> Document:
        """Resolve a data set's YAML as training does."""

    @abstractmethod
    def listed(self, source: Path, split: Split, name: str, imgsz: int = 32, limit: int = 0) -> Listed:
        """Return the images of a split; of a limit of 0 none is looked at."""

    def check_labels(self, data: DataSet, train: Split, task: str) -> None:  # noqa: B027 - some refuse none
        """Refuse labels that upstream refuses for the task, where it does."""

    @abstractmethod
    def folder(self, name: str) -> Mapping[str, object]:
        """Find the splits of a folder of classes."""

    @abstractmethod
    def classes(self, train: Path, imgsz: int) -> Classes:
        """Return upstream's own data set of classes, with the transforms of its validation."""
