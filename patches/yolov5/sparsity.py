"""Sparse training: `--sl` and its like, `sl` in every hyp file, and one call after the loss of a batch.

Write-up 2 adds its term at this place. The call reaches both modes: the write-up's, and the one that works after
every optimizer step; `slim/yolov5.py` says how. `--evolve` looks every key of a hyp file up in a table of its own.
"""

from __future__ import annotations

from slimfork.codemod import Insert
from slimfork.handmade_forms import penalty_in_yolov5
from slimfork.patch import Patch, Variant
from slimfork.settings import YamlKeys

SL = "sl: 0.0  # strength of the sparsity penalty on BatchNorm scales, 0 disables (network slimming; --sl goes before)"
LOSS = "loss, loss_items = compute_loss(...)"
IN_EVOLUTION = "opt.noval, opt.nosave, save_dir = True, True, Path(opt.save_dir)"
FIRST = {"folder": "data", "after": "mixup", "evolve": "opt.notest, opt.nosave = True, True"}

Edits = tuple[Insert | YamlKeys, ...]


def trainer(file: str, root: str, *, loss: str = LOSS, batch: str = "imgs, nb", evolve: str = IN_EVOLUTION) -> Edits:
    """Return the edits of a train script: its loss, its batch and their number, and where `--evolve` has its table."""
    package, file = root.replace("/", "."), f"{root}{file}"
    names = "keep_out_of_evolution, penalize, sparse_arguments" if evolve else "penalize, sparse_arguments"
    call = f"loss = penalize(loss, model, optimizer, opt, {'hyp' if evolve else '{}'}, epoch, epochs, {batch})"
    imports = f"from {package}slim.yolov5 import {names}"
    keep = "keep_out_of_evolution(meta, hyp)"
    edits = (
        Insert(file=file, within=(), anchor=f"from {package}models.experimental import attempt_load", code=imports),
        Insert(file=file, within=(), anchor="parser = argparse.ArgumentParser(...)", code="sparse_arguments(parser)"),
        Insert(file=file, within=("train",), anchor=loss, code=call),
    )
    return (*edits, Insert(file=file, within=(), anchor=evolve, code=keep, where="before")) if evolve else edits


def detect(hyps: str, root: str = "", folder: str = "data/hyps", after: str = "copy_paste", **loop: str) -> Edits:
    """Return the edits for a release without other tasks, given the middles of the names of its hyp files."""
    files = [f"{root}{folder}/hyp.{name}.yaml" for name in hyps.split()]
    return (*trainer("train.py", root, **loop), *(YamlKeys(file=file, after=after, lines=(SL,)) for file in files))


def classify(root: str = "") -> Edits:
    """Return the edits of the classifier's trainer, which has no hyperparameters and no evolution."""
    batch = "images, len(trainloader)"
    return trainer("classify/train.py", root, loss="loss = criterion(...)", batch=batch, evolve="")


def every(hyps: str, root: str = "") -> Edits:
    """Return the edits for a release that segments and classifies as well."""
    return (*detect(hyps, root), *trainer("segment/train.py", root), *classify(root))


PYPI = "yolov5/"
OLD, NOW = "finetune finetune_objects365 scratch", "Objects365 VOC scratch-high scratch-low scratch-med"

PATCH = Patch(
    id="sparsity",
    title="Train with a sparsity penalty on BatchNorm scales",
    why="network slimming needs channels whose scale is near zero; upstream has no such penalty (write-up 2)",
    until="upstream trains with a penalty on BatchNorm scales of its own",
    skippable=False,
    handmade=penalty_in_yolov5(SL),
    variants=(
        Variant(tags=("v5.0",), edits=detect("finetune scratch", **FIRST)),
        Variant(tags=("v6.0",), edits=detect(f"{OLD} scratch-high scratch-low")),
        Variant(tags=("v6.1",), edits=detect(NOW)),
        Variant(tags=("v6.2",), edits=(*detect(NOW), *classify())),
        Variant(tags=("v7.0",), edits=every(NOW)),
        Variant(tags=("master",), edits=every(f"{NOW} no-augmentation")),
        Variant(versions=">=5.0.0,<=5.0.3", edits=detect("finetune scratch", PYPI, **FIRST)),
        Variant(versions=">=5.0.5,<=5.0.7", edits=detect(OLD, PYPI, **FIRST)),
        Variant(versions=">=5.0.8,<=5.0.10", edits=detect(f"{OLD} scratch-p6", PYPI)),
        Variant(versions=">=6.0.1,<=6.0.1", edits=detect(f"{OLD} scratch-high scratch-low", PYPI)),
        Variant(versions=">=6.0.2,<=6.0.7", edits=detect(f"{OLD} scratch-high scratch-low scratch-med", PYPI)),
        Variant(versions=">=6.1.0,<=6.1.9", edits=detect(f"{NOW} {OLD}", PYPI)),
        Variant(versions=">=6.2.0,<=7.0.7", edits=every(NOW, PYPI)),
        Variant(versions=">=7.0.8,<=7.0.14", edits=every(f"{NOW} no-augmentation", PYPI)),
    ),
)
