"""NumPy 1.24 removed `np.int` and `np.float`: batches, label statistics and CoreML's outputs are cast with them."""

from __future__ import annotations

from slimfork.codemods import Patch, Replace, Variant


def ints(file: str, count: int) -> Replace:
    """Return the edit for a file and its number of integer casts."""
    return Replace(file=file, anchor="np.int", code="np.int64", count=count)


def floats(root: str = "") -> Replace:
    """Return the edit for the backend that reads CoreML models."""
    return Replace(file=f"{root}models/common.py", anchor="np.float", code="np.float64")


def loaders(root: str, *names: str) -> tuple[Replace, ...]:
    """Return the edits for the files with data loaders, and for label statistics."""
    return tuple(ints(f"{root}utils/{name}.py", 2 if name == "general" else 3) for name in names)


PATCH = Patch(
    id="np_types",
    title="Name number types as NumPy 1.24 and later do",
    why="NumPy 1.24 removed np.int and np.float, so no data set can be loaded",
    until="releases before master are no longer of use",
    compat=True,
    variants=(
        Variant(tags=("v5.0", "v6.0"), edits=loaders("", "datasets", "general")),
        Variant(tags=("v6.1",), edits=(*loaders("", "datasets", "general"), floats())),
        Variant(tags=("v6.2",), edits=(*loaders("", "dataloaders"), floats())),
        Variant(tags=("v7.0",), edits=(floats(),)),
        Variant(versions=">=5.0.0,<=6.0.7", edits=loaders("yolov5/", "datasets", "general")),
        Variant(versions=">=6.1.0,<=6.1.6", edits=(*loaders("yolov5/", "datasets", "general"), floats("yolov5/"))),
        # 6.1.7 carries the loaders twice: under the old name nobody imports them.
        Variant(versions=">=6.1.7,<=6.1.7", edits=(*loaders("yolov5/", "dataloaders", "datasets"), floats("yolov5/"))),
        Variant(versions=">=6.1.8,<=6.1.9", edits=(*loaders("yolov5/", "dataloaders"), floats("yolov5/"))),
        Variant(versions=">=6.2.0,<=7.0.14", edits=(floats("yolov5/"),)),
    ),
)
