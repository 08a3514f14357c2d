"""Small data sets of every task, made of the same pictures, with whatever a data YAML can set."""

from __future__ import annotations

import shutil

# Of the checkpoint, and of the data sets that it is trained on.
OWN = ("ant", "bee")
CLASSES = {
    "same": OWN,
    "another order": ("bee", "ant"),
    "more": ("ant", "bee", "cat"),
    "one, another": ("cat",),
    "many": tuple(f"kind {index}" for index in range(90)),
}
KEYPOINTS = {"same": (3, 3), "more": (5, 3), "flat": (4, 2)}
SHAPES = {
    "detect": lambda x, y, w, h, _: (x, y, w, h),
    "segment": lambda x, y, w, h, _: _corners(x, y, w, h),
    "obb": lambda x, y, w, h, _: _corners(x, y, w, h),
    "pose": lambda x, y, w, h, shape: (x, y, w, h, *((x, y, 2)[: shape[1]] * shape[0])),
}


def _corners(x, y, w, h):
    return (x - w / 2, y - h / 2, x + w / 2, y - h / 2, x + w / 2, y + h / 2, x - w / 2, y + h / 2)


def make(source, folder, task, *, names=OWN, keypoints=(3, 3), channels=3):
    """Copy a set of boxes as one of a task; its YAML, or its folder."""
    if task == "classify":
        return _folders(source, folder, names)
    shutil.copytree(source / "images", folder / "images")
    for index, label in enumerate(sorted((source / "labels").rglob("*.txt"))):
        place = folder / "labels" / label.parent.name / label.name
        place.parent.mkdir(parents=True, exist_ok=True)
        rows = [list(map(float, line.split()[1:5])) for line in label.read_text().splitlines()]
        lines = [(index + row, *SHAPES[task](*box, keypoints)) for row, box in enumerate(rows)]
        place.write_text("".join(f"{first % len(names)} {' '.join(map(str, rest))}\n" for first, *rest in lines))
    lines = [f"path: {folder}", "train: images/train", "val: images/val", "names:"]
    lines += [f"  {index}: {name}" for index, name in enumerate(names)]
    lines += [f"kpt_shape: {list(keypoints)}"] if task == "pose" else []
    lines += [f"channels: {channels}"] if channels != 3 else []
    (folder / "data.yaml").write_text("\n".join([*lines, ""]))
    return folder / "data.yaml"


def _folders(source, folder, names):
    for split in ("train", "val"):
        for index, picture in enumerate(sorted((source / "images" / split).iterdir())):
            place = folder / split / names[index % len(names)] / picture.name
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(picture, place)
        for name in names[index + 1 :]:  # upstream wants a picture of each
            (folder / split / name).mkdir()
            shutil.copy(picture, folder / split / name)
    return folder
