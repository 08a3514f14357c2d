"""Re-estimate BatchNorm statistics from pictures without labels.

Sparse training moves scales faster than running statistics follow, more so in the EMA that is saved, and pruning
and folding change what every later layer sees. A forward pass over a few batches puts both right: the idea of
`torch.optim.swa_utils.update_bn` (Izmailov et al., arXiv:1803.05407, section 3.2), for models that only take images.
"""

from __future__ import annotations

from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    Picture = np.ndarray[Any, np.dtype[np.uint8]]

SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})
GREY = 114  # of upstream's letterbox
FORK = Path(__file__).resolve().parents[1]  # in YOLOv5, where `models` and `utils` lie


class CalibrationError(ValueError):
    """There are no pictures to calibrate with."""


def reestimate(model: nn.Module, batches: Iterable[Tensor], *, device: torch.device | str | None = None) -> int:
    """Replace every BatchNorm's running mean and variance by their averages over the batches, in place.

    All else stays: parameters, momentum, training flags. If a batch fails, the old statistics are put back.

    Args:
        model: Anything that takes a batch of images; evaluated in eval mode but for its BatchNorms.
        batches: Images, (b, 3, h, w), RGB in 0..1; cast to the model's precision.
        device: Where to run; the model's own device when None. The model is moved there.

    Returns:
        How many batches were seen.

    Raises:
        CalibrationError: There was none.
    """
    if device is not None:
        model.to(device)
    parameter = next(model.parameters())
    stream = iter(batches)
    first = next(stream, None)
    if first is None:
        raise CalibrationError("no batch of images to re-estimate BatchNorm statistics with")
    seen = 0
    with _listening(model), torch.no_grad():
        for images in chain([first], stream):
            model(images.to(parameter.device, parameter.dtype))
            seen += 1
    return seen


@contextmanager
def _listening(model: nn.Module) -> Iterator[None]:
    """Let the BatchNorms, and nothing else, gather statistics: a plain mean over all batches."""
    layers = [m for m in model.modules() if isinstance(m, _BatchNorm) and m.running_mean is not None]
    modes = {module: module.training for module in model.modules()}
    momenta = [layer.momentum for layer in layers]
    before = [{name: buffer.clone() for name, buffer in layer.named_buffers()} for layer in layers]
    model.eval()
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None  # torch then weighs all batches alike
        layer.training = True
    try:
        yield
    except BaseException:
        for layer, buffers in zip(layers, before):
            layer.load_state_dict(buffers, strict=False)
        raise
    finally:
        for layer, momentum in zip(layers, momenta):
            layer.momentum = momentum
        for module, training in modes.items():
            module.training = training


def image_batches(data_yaml: Path | str, *, imgsz: int = 640, batch: int = 16, limit: int = 256) -> Iterator[Tensor]:
    """Read a data set's training pictures, without upstream's loader, which changes with every release.

    Args:
        data_yaml: A YOLO data set's YAML; `train` is a folder, a list file, a picture, or several of these.
        imgsz: Side of the square that pictures are letterboxed to, in pixels.
        batch: Pictures a batch; a smaller rest is left out, unless it is all there is.
        limit: Pictures at most, taken evenly from the whole set.

    Yields:
        (batch, 3, imgsz, imgsz) float32, RGB in 0..1.

    Raises:
        CalibrationError: The YAML is missing or unreadable, or it leads to no pictures.
    """
    paths = image_paths(data_yaml)
    count = max(1, min(limit, len(paths)))
    chosen = [paths[index * len(paths) // count] for index in range(count)]
    batch = min(batch, count)
    for start in range(0, count - batch + 1, batch):
        pictures = [_letterbox(_read(path), imgsz) for path in chosen[start : start + batch]]
        stack = np.stack(pictures)[..., ::-1].transpose(0, 3, 1, 2)  # BGR to RGB, channels first
        yield torch.from_numpy(np.ascontiguousarray(stack)).float() / 255


def image_paths(data_yaml: Path | str, split: str = "train") -> list[Path]:
    """Return the pictures of a split that a data set's YAML names, sorted.

    Nothing is fetched, and the YAML's `download:`, which may be any program, is not looked at.

    Raises:
        CalibrationError: The YAML cannot be read, or it leads to no pictures; says which are missing.
    """
    source = Path(data_yaml)
    data = read_yaml(source)
    places = places_of(source, data, split)
    missing = [place for place in places if not _exists(place)]
    found = [] if missing else sorted({path for place in places for path in _pictures(place)})
    if missing or not found:
        raise CalibrationError(f"{source}: no pictures at {', '.join(map(str, missing or places))}{_hint(data, split)}")
    gone = next((path for path in found if not path.is_file()), None) if split != "train" else None
    if gone is not None:
        raise CalibrationError(f"{source}: no picture at {gone}{_hint(data, split)}")
    return found


def read_yaml(source: Path) -> dict[str, Any]:
    """Read a data set's YAML.

    Raises:
        CalibrationError: It cannot be read, or is no data set's.
    """
    import yaml  # noqa: PLC0415 - only here, and upstream requires it

    try:
        data: Any = yaml.safe_load(source.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        kind = "is a folder" if source.is_dir() else type(error).__name__
        raise CalibrationError(f"{source}: no data set YAML can be read there ({kind})") from None
    if not isinstance(data, dict) or not data.get("train"):
        raise CalibrationError(f"{source}: has no `train:` entry")
    return data


def places_of(source: Path, data: dict[str, Any], split: str) -> list[Path]:
    """Return where a split lies, as its YAML says.

    Raises:
        CalibrationError: It does not, or not by paths.
    """
    named = data.get(split) or (data.get("validation") if split == "val" else None)  # as today's upstream has it
    entries = named if isinstance(named, list) else [named]
    if not named:
        raise CalibrationError(f"{source}: has no `{split}:` entry")
    odd = next((entry for entry in entries if not isinstance(entry, str)), None)
    root = data.get("path")
    if odd is not None or not isinstance(root, (str, type(None))):
        raise CalibrationError(f"{source}: `{split}:` and `path:` are to be paths, or `{split}:` a list of them")
    return [_place(source, str(root or ""), str(entry)) for entry in entries]


def root_of(source: Path, data: dict[str, Any]) -> Path:
    """Return the folder that a data set's `path:` stands for."""
    return _place(source, str(data.get("path") or ""), ".").resolve()


def _hint(data: dict[str, Any], split: str) -> str:
    """Say of which split, and what is not done about it."""
    return f" (`{split}:`)" + ("; its `download:` is not run: get the pictures first" if data.get("download") else "")


def _place(source: Path, path: str, entry: str) -> Path:
    """Resolve an entry below the YAML's `path:`.

    That may be relative to the YAML (ultralytics), to the working folder (YOLOv5 up to v6.1, which has no `path:` in
    v5.0) or to the fork (YOLOv5 since); and exported data sets say `../train` where `train` is meant, which both try.
    """
    spelled = [entry, entry[3:]] if entry.startswith("../") else [entry]
    tried = [root / path / name for root in (source.resolve().parent, Path.cwd(), FORK) for name in spelled]
    return next((place for place in tried if _exists(place)), tried[0])  # an absolute path stays as it is


def _exists(place: Path) -> bool:
    try:
        return place.exists()
    except (OSError, ValueError):  # a name that no file system has
        return False


def _pictures(entry: Path) -> Iterator[Path]:
    """Walk a folder, read a list file, or take a picture for what it is."""
    if entry.is_dir():
        yield from (path for path in entry.rglob("*") if path.suffix.lower() in SUFFIXES)
    elif entry.suffix == ".txt" and entry.is_file():
        for line in entry.read_text(encoding="utf-8").splitlines():
            if line.strip():
                beside = entry.parent / line.strip()
                yield beside if line.startswith("./") or beside.is_file() else Path(line.strip())
    elif entry.suffix.lower() in SUFFIXES and entry.is_file():
        yield entry


def _read(path: Path) -> Picture:
    """Decode a picture, (h, w, 3) BGR; through NumPy, because OpenCV opens no non-ASCII path on Windows."""
    import cv2  # noqa: PLC0415 - upstream requires it

    try:
        picture = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR)
    except (OSError, cv2.error):
        picture = None
    if picture is None:
        raise CalibrationError(f"{path}: not a picture that can be read; remove it from the training set")
    return np.asarray(picture, np.uint8)


def _letterbox(picture: Picture, imgsz: int) -> Picture:
    """Scale to fit a grey square, (imgsz, imgsz, 3), centred."""
    import cv2  # noqa: PLC0415

    high, wide = picture.shape[:2]
    ratio = imgsz / max(high, wide)
    size = (max(1, round(wide * ratio)), max(1, round(high * ratio)))
    square = np.full((imgsz, imgsz, 3), GREY, np.uint8)
    top, left = (imgsz - size[1]) // 2, (imgsz - size[0]) // 2
    square[top : top + size[1], left : left + size[0]] = cv2.resize(picture, size)
    return square
