"""What upstream's tests download, made here instead: small data sets, drawn, and checkpoints of random weights.

Without them nearly every test that trains, validates or predicts would end at a download, on every tree alike, and the
comparison would say nothing about the files that a fork changes. They lie where upstream looks before it downloads:
`datasets/` and `weights/` in the folder that the tests run in.
"""

from __future__ import annotations

import re
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import yaml

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

WIDTH, HEIGHT, PICTURES = 160, 128, 4  # as many pictures a split as the sets that they stand for
SMALL_SETS = re.compile(r"(coco8|dota8|cityscapes8|depth8)[\w-]*")
IMAGENET_CLASSES = 10  # imagenet10
SPACES = "path with spaces"  # tests from 8.0.163 on keep their checkpoint there
# Larger ones would take minutes, and files of a gigabyte.
SMALL = re.compile(r"(yolo(?:v?\d+|e-v?\d+))[ns](?=-|$)")
TAIL = re.compile(r"\}(-\w+|)\.pt")  # f"{MODEL}-seg.pt"
BOXES = ((0, 0.3, 0.4, 0.3, 0.4), (1, 0.7, 0.6, 0.4, 0.5))  # class, centre, size


def stems(tree: Path) -> list[str]:
    """Return the checkpoints that the tests of a tree name, and that a YAML of the tree can build, without `.pt`."""
    files = (*tree.glob("tests/*.py"), *tree.rglob("cfg/__init__.py"))
    known = {path.stem for path in (tree / "ultralytics").rglob("*.yaml")}
    built = []
    for stem in sorted(_named("\n".join(_texts(files)))):
        if SMALL.match(stem) and (stem in known or SMALL.sub(r"\1", stem, count=1) in known):
            built.append(stem)
    return built


def _named(text: str) -> set[str]:
    """Return the checkpoints that a text names, in one piece or as a model and a tail."""
    tails = TAIL.findall(text)
    named = set()
    for word in re.findall(r"[\w.-]+", text):
        if word.endswith(".pt"):
            named.add(word.removesuffix(".pt"))
        elif SMALL.fullmatch(word):
            named.update(word + tail for tail in tails)
    return named


def _texts(files: Iterable[Path]) -> Iterator[str]:
    for file in files:
        yield file.read_text("utf-8", "replace")


def draw_sets(tree: Path, folder: Path) -> list[str]:
    """Draw the small data sets that a tree describes into a folder, and return their names."""
    made = []
    for path in sorted((tree / "ultralytics").rglob("datasets/*.yaml")):
        if SMALL_SETS.fullmatch(path.stem):
            described = yaml.safe_load(path.read_text(encoding="utf-8"))
            root = folder / Path(described["path"]).name
            if not root.exists():
                _draw_set(root, described)
                made.append(root.name)
    _draw_classes(folder / "imagenet10", _synsets(tree))
    return [*made, "imagenet10"]


def place(tree: Path, made: Path) -> None:
    """Copy what was made into the folder in which the tests of a tree run: they may write to it."""
    for source in sorted(filter(Path.is_file, made.rglob("*"))):
        for target in (tree / source.relative_to(made), *_spaced(tree, source)):
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(source.read_bytes())


def _spaced(tree: Path, source: Path) -> list[Path]:
    """Return where the tests look for a file in the folder that has spaces, if they do."""
    for text in _texts(tree.glob("tests/*.py")):
        if f'"{SPACES}" / "{source.name}"' in text:
            return [tree / "weights" / SPACES / source.name]
    return []


def _draw_set(root: Path, described: dict[str, Any]) -> None:
    """Draw pictures with two boxes each, and label them for the task that the description is of."""
    channels = int(described.get("channels", 3))
    for split in ("train", "val"):
        images = root / described[split]
        images.mkdir(parents=True)
        for index, picture in enumerate(_pictures(channels, seed=split == "val")):
            _write_picture(images / f"{index:012d}", picture)
            _label(images, f"{index:012d}", described, root.name)


def _label(images: Path, name: str, described: dict[str, Any], kind: str) -> None:
    if "masks_dir" in described:
        _write_map(_beside(images, described["masks_dir"]) / f"{name}.png", np.uint8, scale=7)
    elif "depth_scale" in described:
        _write_map(_beside(images, "depth") / f"{name}.png", np.uint16, scale=described["depth_scale"])
    else:
        labels = _beside(images, "labels")
        labels.mkdir(parents=True, exist_ok=True)
        with (labels / f"{name}.txt").open("w", encoding="utf-8") as file:
            for box in BOXES:
                file.write(_row(box, described.get("kpt_shape"), kind) + "\n")


def _beside(images: Path, name: str) -> Path:
    """Return the folder that goes with `images/train`: `labels/train`."""
    return images.parent.parent / name / images.name


def _row(box: tuple[int, float, float, float, float], keypoints: list[int] | None, kind: str) -> str:
    """Return a line of a label file: a box, or its corners, or the box and keypoints inside."""
    number, x, y, w, h = box
    if keypoints:
        count, size = keypoints
        points = [(x + w * (i / count - 0.5), y, 2)[:size] for i in range(count)]
        return _line(0, (x, y, w, h), *points)
    if "-seg" in kind or kind.startswith("dota"):
        left, right, top, bottom = x - w / 2, x + w / 2, y - h / 2, y + h / 2
        return _line(number, (left, top), (right, top), (right, bottom), (left, bottom))
    return _line(number, (x, y, w, h))


def _line(number: int, *groups: tuple[float, ...]) -> str:
    values = [f"{value:g}" for value in chain.from_iterable(groups)]
    return " ".join([str(number), *values])


def _pictures(channels: int, *, seed: int) -> Iterator[NDArray[np.uint8]]:
    """Yield noise with a bright and a dark box, height x width x channels."""
    generator = np.random.default_rng(seed)
    for _ in range(PICTURES):
        picture = generator.integers(64, 192, (HEIGHT, WIDTH, channels), dtype=np.uint8)
        for number, x, y, w, h in BOXES:
            rows = slice(round((y - h / 2) * HEIGHT), round((y + h / 2) * HEIGHT))
            columns = slice(round((x - w / 2) * WIDTH), round((x + w / 2) * WIDTH))
            picture[rows, columns] = 32 if number else 224
        yield picture


def _write_picture(stem: Path, picture: NDArray[np.uint8]) -> None:
    if picture.shape[2] in {1, 3}:
        cv2.imwrite(f"{stem}.jpg", picture)
    else:
        cv2.imwritemulti(f"{stem}.tiff", list(np.ascontiguousarray(picture.transpose(2, 0, 1))))


def _write_map(path: Path, kind: type[np.uint8 | np.uint16], *, scale: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.full((HEIGHT, WIDTH), scale, dtype=kind)
    values[: HEIGHT // 2] = scale + 1
    cv2.imwrite(str(path), values)


def _synsets(tree: Path) -> list[str]:
    """Return the names of the first ImageNet classes, which some releases look up, or any names."""
    names: list[str] = []
    for path in tree.rglob("datasets/ImageNet.yaml"):
        described = yaml.safe_load(path.read_text("utf-8"))
        if "map" in described:
            names = sorted(described["map"])
            break
    return names[:IMAGENET_CLASSES] or [f"n{number:08d}" for number in range(IMAGENET_CLASSES)]


def _draw_classes(root: Path, names: list[str]) -> None:
    for split in ("train", "val"):
        for number, name in enumerate(names):
            folder = root / split / name
            folder.mkdir(parents=True)
            picture = next(_pictures(3, seed=number + IMAGENET_CLASSES * (split == "val")))
            cv2.imwrite(str(folder / f"{number:08d}.JPEG"), picture)
