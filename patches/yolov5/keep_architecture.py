"""Fine-tuning and `--resume` keep the pruned architecture; so does loading by name where that rebuilds the model.

Write-up 2 takes the stock trainer, which builds from `cfg or ckpt['model'].yaml`. What loads with `attempt_load`
takes the checkpoint's own model and needs no edit: val, detect, export, hubconf from v6.0 on, and the classifier's
trainer, which replaces the last linear layer of that model, and nothing else, for another number of classes.
"""

from __future__ import annotations

from typing import Any

from slimfork.codemods import Import, Insert, Patch, Variant
from slimfork.handmade.forms import KEPT_IN_YOLOV5

NAME = "slim_keep_architecture"  # a name that cannot meet one of upstream's; ours was once imported without it


def imported(root: str) -> dict[str, Any]:
    """Return the import of the function that keeps an architecture, as it is and as it was."""
    keep = f"from {root.replace('/', '.')}slim.architecture import keep_architecture"
    return {"code": f"{keep} as {NAME}", "former": keep}


def kept(built: str, weights: str) -> dict[str, Any]:
    """Return the line behind one that builds a model, as it is and as it was."""
    return {f: f"{built} = {n}({built}, {weights})" for f, n in (("code", NAME), ("former", "keep_architecture"))}


def trainer(root: str = "", script: str = "train", model: str = "Model", cfg: str = "cfg") -> tuple[Insert, ...]:
    """Return the edits of a train script: the class it builds, and what it calls `--cfg`."""
    file, package = f"{root}{script}.py", root.replace("/", ".")
    builds = f"{model}({cfg} or ckpt['model'].yaml, ch=3, nc=nc, anchors=hyp.get('anchors')).to(device)"
    return (
        Insert(file=file, within=(), anchor=f"from {package}models.yolo import {model}", **imported(root)),
        Insert(file=file, within=("train",), anchor=f"model = {builds}", **kept("model", "ckpt")),
    )


def loader(file: str, root: str = "", built: str = "Model(...).to(...)") -> tuple[Import | Insert, ...]:
    """Return the edits of a file that loads a checkpoint by building its YAML."""
    return (
        Import(file=f"{root}{file}", **imported(root)),
        Insert(file=f"{root}{file}", within=("*",), anchor=f"hub_model = {built}", **kept("hub_model", "model")),
    )


SEGMENT = ("segment/train", "SegmentationModel")
PYPI = "yolov5/"
HELPERS = loader("helpers.py", PYPI)

PATCH = Patch(
    id="keep_architecture",
    title="Keep a pruned checkpoint's architecture in training",
    why="the trainer rebuilds the model from its YAML, so a pruned one is trained from fresh weights, full size",
    until="upstream trains a checkpoint in the shapes it was saved in",
    skippable=False,
    handmade=KEPT_IN_YOLOV5,
    variants=(
        Variant(tags=("v5.0",), edits=(*trainer(cfg="opt.cfg"), *loader("hubconf.py"))),
        Variant(tags=("v6.0", "v6.1", "v6.2"), edits=trainer()),
        Variant(tags=("v7.0", "master"), edits=(*trainer(), *trainer("", *SEGMENT))),
        Variant(
            versions=">=5.0.0,<=5.0.3",
            edits=(*trainer(PYPI, cfg="opt.cfg"), *HELPERS, *loader("hubconf.py", PYPI)),
        ),
        Variant(versions=">=5.0.5,<=5.0.5", edits=(*trainer(PYPI, cfg="opt.cfg"), *HELPERS)),
        Variant(versions=">=5.0.6,<=5.0.10", edits=(*trainer(PYPI), *HELPERS)),
        Variant(versions=">=6.0.1,<=6.0.7", edits=(*trainer(PYPI), *loader("helpers.py", PYPI, "Model(model.yaml)"))),
        Variant(versions=">=6.1.0,<=6.1.9", edits=trainer(PYPI)),
        Variant(versions=">=6.2.0,<=7.0.14", edits=(*trainer(PYPI), *trainer(PYPI, *SEGMENT))),
    ),
)
