"""DeepPCB as a data set for YOLO: `python tools/bench/data/deeppcb.py CLONE --into FOLDER [--images 300]`.

CLONE is your own copy of github.com/tangsanli5201/DeepPCB (1,500 pictures of circuit boards, 640 x 640, six kinds of
defects; MIT, for research). Of its list of 1,000 for training, every tenth picture goes to the val split and the others
to the train split; its list of 500 is the test split. With --images, the train split is as many, evenly taken. Pictures
are linked, not copied.
"""

from __future__ import annotations

import argparse
from pathlib import Path

NAMES = ("open", "short", "mousebite", "spur", "copper", "pin-hole")  # classes 1 to 6 there
SIDE = 640  # px, of every picture
VAL = 10  # every such picture of the list for training

Pair = tuple[Path, Path]


def listed(root: Path, name: str) -> list[Pair]:
    """Return pictures and their boxes in the order of a list; what it calls X.jpg is the file X_test.jpg."""
    pairs = []
    for line in written(root / name):
        picture, boxes = line.split()
        pairs.append((root / picture.replace(".jpg", "_test.jpg"), root / boxes))
    return pairs


def written(path: Path) -> list[str]:
    """Return the lines of a file that are not blank."""
    return list(filter(str.strip, path.read_text(encoding="utf-8").splitlines()))


def converted(line: str) -> str:
    """Return a line `x1 y1 x2 y2 class` in pixels as `class x y w h` in shares of the picture."""
    left, top, right, bottom, kind = map(int, line.replace(",", " ").split())
    x, y = (left + right) / 2, (top + bottom) / 2
    width, height = right - left, bottom - top
    return f"{kind - 1} {x / SIDE:.6f} {y / SIDE:.6f} {width / SIDE:.6f} {height / SIDE:.6f}"


def evenly(pairs: list[Pair], count: int) -> list[Pair]:
    """Return as many, spread over all."""
    return [pairs[index * len(pairs) // count] for index in range(min(count, len(pairs)))]


def put(pairs: list[Pair], into: Path, split: str) -> None:
    """Write a split's folders of pictures and labels."""
    for folder in ("images", "labels"):
        (into / folder / split).mkdir(parents=True)
    for picture, boxes in pairs:
        (into / "images" / split / picture.name).symlink_to(picture)
        lines = "\n".join(map(converted, written(boxes)))
        (into / "labels" / split / f"{picture.stem}.txt").write_text(lines + "\n", encoding="utf-8")


def main() -> None:
    """Write the folders and the data YAML."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("clone", type=Path)
    made.add_argument("--into", type=Path, required=True, help="a new folder")
    made.add_argument("--images", type=int, help="of the train split (default: all)")
    options = made.parse_args()
    root, into = options.clone.resolve() / "PCBData", options.into.resolve()
    if not root.is_dir():
        made.error(f"{root}: no such folder; clone github.com/tangsanli5201/DeepPCB and give its path")
    if into.exists():
        made.error(f"{into} is there already; give --into another")
    known = listed(root, "trainval.txt")
    train = list(known)
    del train[::VAL]
    splits = {"train": evenly(train, options.images or len(train)), "val": known[::VAL]}
    splits["test"] = listed(root, "test.txt")
    lines, counts = [f"path: {into}"], []
    for split, pairs in splits.items():
        put(pairs, into, split)
        lines.append(f"{split}: images/{split}")
        counts.append(f"{split} {len(pairs)}")
    lines += [f"nc: {len(NAMES)}", f"names: [{', '.join(NAMES)}]"]
    (into / "data.yaml").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"{into / 'data.yaml'}: {', '.join(counts)}")  # noqa: T201


if __name__ == "__main__":
    main()
