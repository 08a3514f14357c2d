"""The demo's data set: QR codes to detect, drawn here, because nothing may have to be downloaded.

out/data.yaml                       what `yolo train data=` takes
out/set.json                        the settings it was drawn with, and the mark that it is complete
out/images/{train,val}/00000.jpg    pictures
out/labels/{train,val}/00000.txt    YOLO labels: class, centre x, centre y, width, height
"""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np
import yaml

from slimfork.qr.scene import scene
from slimfork.terminal import ui
from slimfork.terminal.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

DRAWING = 1  # goes up when the same settings no longer give the same pictures
JPEG_QUALITY = 92
SPLITS = ("train", "val")


@dataclass(frozen=True, slots=True, kw_only=True)
class QrSettings:
    """What a set is drawn from; the same settings give the same bytes."""

    images: int
    val: int
    imgsz: int
    seed: int
    drawing: int = DRAWING

    def __post_init__(self) -> None:
        """Refuse settings that no set can be drawn from."""
        for name, least in (("images", 1), ("val", 1), ("imgsz", 32), ("seed", 0)):
            if getattr(self, name) < least:
                raise UsageError(f"QR set: {name} is {getattr(self, name)}, and must be at least {least}")


def draw(out: Path, *, images: int, val: int, imgsz: int, seed: int = 0) -> Path:
    """Draw a QR-code detection set, or finish one that was interrupted, or find it already there.

    Args:
        out: Its folder; must not exist, be empty, or hold a set of the same settings.
        images: Training pictures.
        val: Validation pictures, of seeds of their own.
        imgsz: Side of a picture in pixels.
        seed: Another seed, other pictures.

    Returns:
        The path of its data.yaml, which names the folder absolutely, as every ultralytics release can read.

    Raises:
        UsageError: The settings are impossible, or `out` holds something else.
    """
    settings = QrSettings(images=images, val=val, imgsz=imgsz, seed=seed)
    out = out.resolve()
    if not _is_drawn(out, settings):
        part = out.with_name(out.name + ".part")
        _prepare(part, settings)
        _fill(part, settings)
        if out.exists():
            out.rmdir()  # it is empty
        part.replace(out)  # complete from one moment to the next
    _write(out / "data.yaml", yaml.safe_dump(_data(out), sort_keys=False).encode())
    return out / "data.yaml"


def _is_drawn(out: Path, settings: QrSettings) -> bool:
    """Say whether `out` holds this set; refuse a folder that holds anything else."""
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return False
    try:
        drawn = json.loads((out / "set.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise UsageError(f"{out} exists and is no QR set", hint="choose another folder, or empty it") from None
    if drawn != asdict(settings):
        raise UsageError(
            f"{out} holds a QR set of other settings: {drawn}",
            hint="choose another folder, or delete this one",
        )
    return True


def _prepare(part: Path, settings: QrSettings) -> None:
    """Make the unfinished set's folders; pictures of other settings in them are of no use."""
    mark = json.dumps(asdict(settings), indent=2).encode()
    if part.exists() and not ((part / "set.json").is_file() and (part / "set.json").read_bytes() == mark):
        shutil.rmtree(part)
    for split in SPLITS:
        (part / "images" / split).mkdir(parents=True, exist_ok=True)
        (part / "labels" / split).mkdir(parents=True, exist_ok=True)
    _write(part / "set.json", mark)


def _fill(part: Path, settings: QrSettings) -> None:
    """Draw every picture that is not there yet; a label, written last, says that its picture is whole."""
    counts = zip(SPLITS, (settings.images, settings.val), strict=True)
    todo = [(split, index) for split, count in counts for index in range(count)]
    with ui.steps(f"drawing {len(todo)} pictures with QR codes", len(todo)) as progress:
        for split, index in todo:
            label = part / "labels" / split / f"{index:05d}.txt"
            if not label.exists():
                picture, boxes = scene(
                    np.random.default_rng([settings.seed, SPLITS.index(split), index]), settings.imgsz
                )
                quality = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
                _write(part / "images" / split / f"{index:05d}.jpg", cv2.imencode(".jpg", picture, quality)[1])
                _write(label, _labels(boxes.tolist()).encode())
            progress.advance(progress.task_ids[0])


def _labels(boxes: list[tuple[float, float, float, float]]) -> str:
    """Return a line for each code: its class, the one that there is, and its box."""
    text = ""
    for x, y, width, height in boxes:
        text += f"0 {x:.6f} {y:.6f} {width:.6f} {height:.6f}\n"
    return text


def _data(out: Path) -> dict[str, object]:
    return {"path": str(out), "train": "images/train", "val": "images/val", "names": {0: "qr"}}


def _write(path: Path, content: bytes | np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> None:
    """Write a file whole or not at all."""
    part = path.with_name(path.name + ".tmp")
    part.write_bytes(bytes(content))
    part.replace(path)
