"""A data set as upstream reads it: the images that its training takes, read by its own loader.

`ultralytics_data` and `yolov5_data` open one with what the release at hand has for that; here is what both share: which
images are taken, which cannot be read, and what is said of them.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Callable, TypeVar

import torch

from ..files.sealed import sealed
from ..models.image_inputs import inputs_of
from ..passes.shadow import image

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from torch import Tensor, nn

Thing = TypeVar("Thing")

SMALLEST = 10  # pixels a side; upstream takes what is smaller for corrupt
KINDS = {
    "ClassificationModel": "classify",
    "SegmentationModel": "segment",
    "PoseModel": "pose",
    "OBBModel": "obb",
}
TAKES = {
    "classify": "the folder that holds train/ and val/ (or test/), and in each a folder a class",
    "segment": "a data set whose labels are polygons",
    "pose": "a data set whose labels have keypoints, and whose YAML says `kpt_shape:`",
    "obb": "a data set whose labels are boxes by four corners",
}


class CalibrationError(ValueError):
    """There are no images to calibrate with, or none that fit the model."""


@dataclass(frozen=True)
class DataSet:
    """Images of a data set, those that upstream trains on.

    Attributes:
        source: The data set, as the user named it.
        images: Their paths; of a larger set as many as were asked for, taken evenly.
        read: An index to an image as the model is given it, (C, H, W) float32.
        skipped: What was passed over because it cannot be read.
        validation: Writes into a folder what upstream's validator is given, and returns its path.
    """

    source: Path
    images: Sequence[str]
    read: Callable[[int], Tensor]
    skipped: Sequence[str] = ()
    validation: Callable[[Path], Path] | None = None

    def batches(self, batch: int, limit: int | None = None) -> Iterator[Tensor]:
        """Yield the images in whole batches, (batch, C, H, W); a smaller rest only where it is all there is.

        Args:
            batch: Images a batch.
            limit: Images at most, taken evenly; all when None.
        """
        chosen = evenly(range(len(self.images)), limit or len(self.images))
        batch = min(batch, len(chosen))
        for start in range(0, len(chosen) - batch + 1, batch):
            with sealed():
                images = [self.read(index) for index in chosen[start : start + batch]]
            yield torch.stack(images)

    def said(self) -> list[str]:
        """Say in a line what was passed over."""
        if not self.skipped:
            return []
        what = f"{len(self.skipped)} images that" if len(self.skipped) > 1 else "1 image that"
        first = "the first is " if len(self.skipped) > 1 else ""
        return [f"skipped {what} cannot be read, as upstream's training does: {first}{self.skipped[0]}"]


def evenly(things: Sequence[Thing], count: int) -> list[Thing]:
    """Return that many of them, or all there are, taken evenly."""
    count = max(0, min(count, len(things)))
    return [things[index * len(things) // count] for index in range(count)]


def pick(things: Sequence[Thing], chosen: Iterable[int]) -> list[Thing]:
    """Return the things at these places."""
    return [things[index] for index in chosen]


def choose(source: Path, images: Sequence[str], limit: int, formats: Collection[str]) -> tuple[list[int], list[str]]:
    """Choose images that can be read: evenly from all, and others in the place of those that cannot.

    Args:
        source: The data set, for what is said.
        images: Its paths.
        limit: How many at most.
        formats: The formats that upstream takes, in lower case.

    Returns:
        Their indices, ascending, and the paths that were passed over.

    Raises:
        CalibrationError: None can be read; names the first.
    """
    sound: list[int] = []
    skipped: list[str] = []
    everything = range(len(images))
    for index in dict.fromkeys([*evenly(everything, limit), *everything]):  # each once
        if len(sound) == limit:
            break
        if is_sound(images[index], formats):
            sound.append(index)
        else:
            skipped.append(images[index])
    if not sound:
        raise CalibrationError(f"{source}: none of its images can be read, {len(skipped)} in all: as {skipped[0]}")
    return sorted(sound), skipped


def leftovers(places: Sequence[Path], formats: Collection[str]) -> list[str]:
    """Return what macOS leaves beside images, `._<name>`: upstream passes over it, and it is no image."""
    files: list[str] = []
    for place in places:
        if not place.is_dir():
            continue
        for path in place.rglob("._*"):
            if path.suffix[1:].lower() in formats:
                files.append(str(path))
    return sorted(files)


def is_sound(path: str, formats: Collection[str]) -> bool:
    """Return whether upstream takes an image, by the rule of its `verify_image_label`, the same in every release.

    That function would also write what it can mend of a JPEG whose end is missing; here it need only be mendable.
    """
    from PIL import Image  # noqa: PLC0415 - upstream requires it

    try:
        with Image.open(path) as image:
            image.verify()
            kind, size = str(image.format).lower(), image.size
        if kind == "jpeg" and not _is_whole(path):
            with Image.open(path) as image:
                image.load()
    except Exception:  # noqa: BLE001 - of a file of any content
        return False
    return min(size) >= SMALLEST and kind in {*formats, "jpeg", "jpeg2000"}


def _is_whole(path: str) -> bool:
    """Return whether a JPEG ends as it should."""
    with Path(path).open("rb") as file:
        file.seek(-2, os.SEEK_END)
        return file.read() == b"\xff\xd9"


def task_of(model: nn.Module) -> str:
    """Return what a model is for, by the names of upstream's classes; `detect` where they say nothing else."""
    classes = type(model).__mro__
    for kind in classes:
        if kind.__name__ in KINDS:
            return KINDS[kind.__name__]
    return "classify" if classes[0].__module__.startswith("torchvision.") else "detect"


def takes(task: str) -> str:
    """Say what data set a model takes."""
    return TAKES.get(task, "a data set's YAML")


def check_channels(data: DataSet, model: nn.Module) -> DataSet:
    """Refuse images that have other channels than a model takes.

    Raises:
        CalibrationError: They have.
    """
    with sealed():
        channels = len(data.read(0))
    taken = image(model, 32).shape[1]
    if channels not in {taken, inputs_of(model)}:
        raise CalibrationError(
            f"{data.source}: this release reads images of {channels} channels from it, and the model takes {taken}: "
            f"give the data set that it was trained on (`channels: {taken}` in its YAML)"
        )
    return data
