"""PyTorch 2.6 turned `torch.load(weights_only=True)` on by default; checkpoints here hold whole modules.

Master loads with ultralytics' `torch_load`, which asks for that. v5.0 keeps its label cache with `torch.save`, too.
"""

from __future__ import annotations

from slimfork.codemods import Argument, Patch, Variant


def edits(files: str, root: str = "") -> tuple[Argument, ...]:
    """Return the edits for a release: files without `.py`, one with two loads named twice, and where they lie."""
    names = files.split()
    return tuple(
        Argument(file=f"{root}{name}.py", call="torch.load", argument="weights_only=False", count=names.count(name))
        for name in dict.fromkeys(names)
    )


EVERY = "hubconf models/experimental utils/general train"
LOGGED = f"{EVERY} utils/loggers/__init__"
FIRST = f"{EVERY} train detect utils/datasets utils/aws/resume"
RESUMED = f"{LOGGED} train"  # from here on `--resume` finds a run's options in its checkpoint, too
SEGMENT = "segment/train segment/train"
PYPI = "yolov5/"

PATCH = Patch(
    id="torch_load",
    title="Load whole-module checkpoints on PyTorch 2.6 and later",
    why="torch.load defaults to weights_only=True since PyTorch 2.6, and every .pt of this release is a pickled module",
    until="releases before master are no longer of use",
    compat=True,
    variants=(
        Variant(tags=("v5.0",), edits=edits(f"{FIRST} hubconf")),
        Variant(tags=("v6.0",), edits=edits(f"{LOGGED} detect utils/aws/resume")),
        Variant(tags=("v6.1",), edits=edits(f"{LOGGED} utils/aws/resume")),
        Variant(tags=("v6.2",), edits=edits(f"{RESUMED} utils/aws/resume")),
        Variant(tags=("v7.0",), edits=edits(f"{RESUMED} {SEGMENT} utils/aws/resume")),
        Variant(versions=">=5.0.0,<=5.0.3", edits=edits(f"{FIRST} hubconf helpers", PYPI)),
        Variant(versions=">=5.0.5,<=5.0.7", edits=edits(f"{FIRST} helpers", PYPI)),
        Variant(versions=">=5.0.8,<=6.0.7", edits=edits(f"{LOGGED} detect helpers", PYPI)),
        Variant(versions=">=6.1.0,<=6.1.6", edits=edits(LOGGED, PYPI)),
        Variant(versions=">=6.1.7,<=6.1.9", edits=edits(RESUMED, PYPI)),
        Variant(versions=">=6.2.0,<=7.0.11", edits=edits(f"{RESUMED} {SEGMENT}", PYPI)),
        Variant(versions=">=7.0.12,<=7.0.14", edits=edits(f"{EVERY} train {SEGMENT}", PYPI)),
    ),
)
