"""Steps inside a YOLOv5 tree: build a model of a YAML, prune it, compare it with the masked one, load it again."""

from __future__ import annotations

import copy
import importlib
import logging
import sys
from pathlib import Path

import torch
import yaml
from torch import nn

WIDTH, DEPTH = 0.25, 0.34  # the large ones are built as narrow as the small; depth 0.34 repeats a block once


def upstream(name):
    """Import a module of upstream's, whose package is `yolov5` in PyPI's releases."""
    package = importlib.util.find_spec("yolov5")  # a folder of that name in the overlay has no origin
    return importlib.import_module(f"yolov5.{name}" if package and package.origin else name)


def build(cfg, nc=80, **changed):
    """Build a model of the tree, at most as wide and deep as the small ones; in silence."""
    yolo = upstream("models.yolo")
    definition = yaml.safe_load(Path(cfg).read_text(encoding="ascii", errors="ignore"))
    for key, most in (("width_multiple", WIDTH), ("depth_multiple", DEPTH)):
        definition[key] = min(definition[key], most)
    segments = any(row[2] == "Segment" for row in definition["head"])
    torch.manual_seed(0)
    logging.disable(logging.INFO)
    try:
        return (yolo.SegmentationModel if segments else yolo.Model)({**definition, "nc": nc, **changed})
    finally:
        logging.disable(logging.NOTSET)


def classifier(cfg):
    """Build a classifier out of a detector's backbone, as upstream does."""
    return upstream("models.yolo").ClassificationModel(model=build(cfg), nc=10, cutoff=10)


def readable(cfg):
    """Say whether upstream itself can build a YAML."""
    try:
        upstream("models.yolo").Model(cfg)
    except yaml.YAMLError:
        return False
    return True


def prune(cfg, out, make="build"):
    """Analyse, prune and mask a model of random scales, write it, and say how far the two are apart."""
    from networks import differ, photo, randomise, run

    from slim.analysis.channels import analyse
    from slim.costs.layer_costs import Costs
    from slim.costs.measure import count_parameters
    from slim.passes.flops import count_flops
    from slim.pruning.apply import apply_plan, mask_plan
    from slim.pruning.plan import make_plan
    from slim.pruning.validate import lost_groups

    masked = randomise(globals()[make](cfg))
    pruned, side = copy.deepcopy(masked), 32 * max(2, int(masked.stride.max()) // 32)
    channels = analyse(masked)
    plan = make_plan(masked, channels, ratio=0.4)
    full = run(masked, photo(side))
    costs = Costs.of(masked, channels, side).total(channels, lost_groups(plan, channels), plan.removed, fold=False)
    mask_plan(masked, plan, channels)
    apply_plan(pruned, plan, channels, fold=False)
    worst = {mode: apart(pruned, masked, photo(side), mode) for mode in ("train", "export", "eval")}
    torch.save({"model": pruned, "photo": photo(side), "seen": run(pruned, photo(side))}, out)
    total = sum(channels.widths[name] for name in channels.norms)
    return {
        "worst": worst,
        "changed": differ(full, run(masked, photo(side))),
        "predicted": [costs.params, costs.flops],
        "counted": [count_parameters(pruned), count_flops(pruned, side)],
        "parameters": [count_parameters(masked), count_parameters(pruned)],
        "frozen": channels.reasons(),
        "unreached": channels.unreached,
        "prunable": sum(sum(channels.prunable(name)) for name in channels.norms) / total,
        "blocks": sorted({type(m).__name__ for m in pruned.modules()}),
        "norms": sum(isinstance(m, nn.BatchNorm2d) for m in pruned.modules()),
    }


def apart(pruned, masked, image, mode):
    """Return the greatest difference of any two outputs, with the head in inference, training, or export."""
    from networks import audible, run

    worst = 0.0
    for model in (pruned, masked):
        head = model.model[-1]
        model.eval()
        head.training, head.export = mode == "train", mode == "export"
    for pair in zip(run(pruned, image), run(masked, image), strict=True):
        ours, theirs = pair if pair[0].shape == pair[1].shape else map(audible, pair)
        # Boxes are in pixels, up to hundreds: beyond ten, in relation to that.
        worst = max(worst, ((ours - theirs).abs() / (theirs.abs() / 10).clamp_min(1)).max().item())
    return worst


def reload(path):
    """Load a pruned model in this tree, and say whether it computes the very same as when it was written."""
    upstream("models.yolo")
    saved = torch.load(path, weights_only=False)
    with torch.no_grad():
        said = leaves(saved["model"](saved["photo"]))
    return {
        "equal": all(torch.equal(a, b) for a, b in zip(said, saved["seen"], strict=True)),
        "slim": sorted(name for name in sys.modules if name.rpartition(".")[2] == "slim"),
        "norms": sum(isinstance(m, nn.BatchNorm2d) for m in saved["model"].modules()),
    }


def leaves(value):
    """Return the tensors in nested lists and tuples, in order."""
    if isinstance(value, torch.Tensor):
        return [value]
    return [leaf for item in value for leaf in leaves(item)]


def said_by_upstream(path):
    """Open a checkpoint with upstream's loader for inference, and return what it says of an image."""
    try:
        model = upstream("models.experimental").attempt_load(path)
    except ModuleNotFoundError:  # PyPI's 7.0.x asks the hub of another company first; this is what it does after that
        model = torch.load(path, map_location="cpu", weights_only=False)["model"].float().fuse()
    image = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        return [tensor.double().sum().item() for tensor in leaves(model.eval()(image))]
