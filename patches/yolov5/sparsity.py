"""Sparse training: `--sl` and its like, `sl` in every hyp file, and one call after the loss of a batch."""

from __future__ import annotations

from typing import Any

from slimfork.codemods import Insert, Patch, Variant, YamlKeys
from slimfork.handmade.forms import penalty_in_yolov5

SL = "sl: 0.0  # strength of the sparsity penalty on BatchNorm scales, 0 disables (network slimming; --sl goes before)"
OURS = "slim_yolov5"  # a name that cannot meet one of upstream's: what is in it was once imported without it
LOSS, KEEP = "loss, loss_items = compute_loss(...)", "keep_out_of_evolution(meta, hyp)"
IN_EVOLUTION = "opt.noval, opt.nosave, save_dir = True, True, Path(opt.save_dir)"
FIRST = {"folder": "data", "after": "mixup", "evolve": "opt.notest, opt.nosave = True, True"}
Edits = tuple[Insert | YamlKeys, ...]


def trainer(file: str, root: str, *, loss: str = LOSS, batch: str = "imgs, nb", evolve: str = IN_EVOLUTION) -> Edits:
    """Return the edits of a train script: its loss, its batch and their number, and where `--evolve` has its table."""
    package, file = root.replace("/", "."), f"{root}{file}"
    names = "keep_out_of_evolution, penalize, sparse_arguments" if evolve else "penalize, sparse_arguments"
    call = f"penalize(loss, model, optimizer, opt, {'hyp' if evolve else '{}'}, epoch, epochs, {batch})"

    def put(anchor: str, code: str, former: str, *within: str, **more: Any) -> Insert:
        return Insert(file=file, within=within, anchor=anchor, code=code, former=former, **more)

    own, once = f"from {package}slim import yolov5 as {OURS}", f"from {package}slim.yolov5 import {names}"
    edits = (
        put(f"from {package}models.experimental import attempt_load", own, once),
        put("parser = argparse.ArgumentParser(...)", f"{OURS}.sparse_arguments(parser)", "sparse_arguments(parser)"),
        put(loss, f"loss = {OURS}.{call}", f"loss = {call}", "train"),
    )
    return (*edits, put(evolve, f"{OURS}.{KEEP}", KEEP, where="before")) if evolve else edits


def detect(hyps: str, root: str = "", folder: str = "data/hyps", after: str = "copy_paste", **loop: str) -> Edits:
    """Return the edits for a release without other tasks, given the middles of the names of its hyp files."""
    files = [f"{root}{folder}/hyp.{name}.yaml" for name in hyps.split()]
    return (*trainer("train.py", root, **loop), *(YamlKeys(file=file, after=after, lines=(SL,)) for file in files))


def classify(root: str = "") -> Edits:
    """Return the edits of the classifier's trainer, which has no hyperparameters and no evolution."""
    return trainer("classify/train.py", root, loss="loss = criterion(...)", batch="images, len(trainloader)", evolve="")


def every(hyps: str, root: str = "") -> Edits:
    """Return the edits for a release that segments and classifies as well."""
    return (*detect(hyps, root), *trainer("segment/train.py", root), *classify(root))


PYPI, OLD = "yolov5/", "finetune finetune_objects365 scratch"
NOW = "Objects365 VOC scratch-high scratch-low scratch-med"

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
