"""Steps inside a YOLOv5 tree: what `keep_architecture` makes of a checkpoint, as upstream's train.py calls it."""

from __future__ import annotations

import copy
import logging
import tempfile
from functools import cache
from pathlib import Path

import torch
from networks import photo, randomise
from torch import nn
from yolov5_models import build, leaves, upstream

from slim.analysis.channels import analyse
from slim.architecture import is_pruned, keep_architecture
from slim.pruning.apply import apply_plan
from slim.pruning.plan import make_plan
from slim.yolov5_line import load


@cache
def _pruned(cfg, nc):
    model = randomise(build(cfg, nc))
    apply_plan(model, make_plan(model, channels := analyse(model), ratio=0.4), channels)
    for parameter in model.parameters():
        parameter.requires_grad = False  # as checkpoints are saved
    return model


def checkpoint(cfg, nc, *, pruned=True, ema=False):
    """Return what upstream saves: half precision, and in the middle of a run an EMA beside the model."""
    model = (copy.deepcopy(_pruned(cfg, nc)) if pruned else randomise(build(cfg, nc))).half()
    average = copy.deepcopy(model) if ema else None
    if average is not None:
        for tensor in average.state_dict().values():
            tensor.mul_(0.5 if tensor.is_floating_point() else 1)
    return {"epoch": 3 if ema else -1, "model": model, "ema": average, "optimizer": None}


def start(cfg, ckpt, nc, *, exclude=(), **changed):
    """Build, keep, and load the weights that fit, as upstream does."""
    built = build(cfg, nc, **changed)
    model = keep_architecture(built, ckpt)
    theirs, ours = ckpt["model"].float().state_dict(), model.state_dict()
    shared = [name for name in theirs if name in ours and theirs[name].shape == ours[name].shape]
    wanted = [name for name in shared if not is_excluded(name, exclude)]
    model.load_state_dict({name: theirs[name] for name in wanted}, strict=False)
    return built, model


def is_excluded(name, parts):
    return any(part in name for part in parts)


def differences(ours, theirs):
    """Name the tensors that differ, by name without the level of the head."""
    ours, theirs = ours.state_dict(), theirs.state_dict()
    return sorted(
        k for k in ours if ours[k].shape != theirs[k].shape or not torch.equal(ours[k], theirs[k].to(ours[k]))
    )


def kept(cfg, nc=2, *, ema=False):
    """Keep a pruned checkpoint, and look at it."""
    ckpt = checkpoint(cfg, nc, ema=ema)
    built, model = start(cfg, ckpt, nc)
    return {
        "built": model is built,
        "different": differences(model, ckpt["model"]),
        "training": model.training,
        "frozen": [name for name, parameter in model.named_parameters() if not parameter.requires_grad],
        "kinds": sorted({str(t.dtype) for t in model.state_dict().values() if t.is_floating_point()}),
        "pruned": [is_pruned(model), is_pruned(model, built), is_pruned(built)],
        "saved_in_half": next(checkpoint(cfg, nc)["model"].parameters()).dtype == torch.float16,
    }


def unpruned(cfg, nc, other, **changed):
    """Say whether an unpruned checkpoint goes upstream's way."""
    ckpt = checkpoint(cfg, nc, pruned=False)
    built, model = start(cfg, ckpt, other, **changed)
    return model is built


def early(cfg, nc, other, *, pruned):
    """Start a checkpoint of a release that kept `anchor_grid` as a buffer, and no setting that came later.

    Says whether what upstream built is trained, and whether the model and the one that prune.py loads still run.
    """
    ckpt = checkpoint(cfg, nc, pruned=pruned)
    head = ckpt["model"].model[-1]
    vars(head).pop("anchor_grid", None)
    head.register_buffer("anchor_grid", head.anchors.clone().view(head.nl, 1, -1, 1, 1, 2))
    for module in ckpt["model"].modules():
        vars(module).pop("recompute_scale_factor", None)
    vars(head).pop("inplace", None)
    package = upstream("models").__name__.rpartition(".")[0]
    with tempfile.TemporaryDirectory() as folder:
        torch.save(ckpt, Path(folder) / "early.pt")
        loaded, _ = load(Path(folder) / "early.pt", package)
    built, model = start(cfg, ckpt, other)
    sum(tensor.sum() for tensor in leaves(model(photo(64, 2)))).backward()
    for each in (model, loaded.float()):
        each.eval()(photo(64))
    return {"built": model is built, "narrower": is_pruned(model), "classes": model.model[-1].nc}


def another(cfg, weights_cfg, *, pruned):
    """Start a YAML from the checkpoint of another; say whether it was built, and what was warned of."""
    records = []
    handler = logging.Handler()
    handler.emit = lambda record: records.append(record.getMessage())
    logging.getLogger("slim").addHandler(handler)
    ckpt = checkpoint(weights_cfg, 2, pruned=pruned)
    built = build(cfg, 2, width_multiple=0.125)
    same = keep_architecture(built, ckpt) is built
    logging.getLogger("slim").removeHandler(handler)
    return {"built": same, "warned": records}


def classes(cfg, nc, other):
    """Give a pruned checkpoint other classes; say which rows of the head are as they were, and that it trains."""
    ckpt = checkpoint(cfg, nc)
    built, model = start(cfg, ckpt, other)
    head, old, like = model.model[-1], ckpt["model"].model[-1], built.model[-1]
    masks = head.no - 5 - head.nc
    rows = []
    for ours, theirs, fresh in zip(head.m, old.m, like.m, strict=True):
        for name in ("weight", "bias"):
            a, b, c = (getattr(m, name).detach().float().unflatten(0, (head.na, -1)) for m in (ours, theirs, fresh))
            rows += [torch.equal(a[:, :5], b[:, :5]), torch.equal(a[:, 5 + other :], b[:, 5 + nc :])]
            rows += [name == "weight" or torch.equal(a[:, 5 : 5 + other], c[:, 5 : 5 + other])]
    different = differences_but_head(model, ckpt["model"])
    sum(tensor.sum() for tensor in leaves(model(photo(64, 2)))).backward()
    return {
        "rows": all(rows),
        "different": different,
        "numbers": [head.nc, head.no, model.nc, model.yaml["nc"], ckpt["model"].yaml["nc"]],
        "expected": [other, like.no, other, other, nc],
        "masks": masks,
        "gradients": all(layer.weight.grad.abs().sum() > 0 for layer in head.m),
        "pruned": is_pruned(model),
    }


def differences_but_head(model, other):
    """Name the tensors outside of the head's output layers that differ."""
    last = f"model.{len(model.model) - 1}.m."
    names = {k for k in model.state_dict() if not k.startswith(last)}
    ours, theirs = model.state_dict(), other.state_dict()
    return sorted(k for k in names if not torch.equal(ours[k], theirs[k].to(ours[k])))


def anchors(cfg, count=None):
    """Start a pruned checkpoint with other anchors: another number, or other sizes as with `--cfg`."""
    ckpt = checkpoint(cfg, 2)
    if count:
        start(cfg, ckpt, 2, anchors=count)
        return None
    levels = ckpt["model"].model[-1].nl
    sizes = [[7 * 2**level, 9 * 2**level] * 3 for level in range(levels)]
    head = ckpt["model"].model[-1]
    head.grid = [torch.ones(1, 3, 2, 2, 2).half()] * levels  # left behind by a validation
    built, model = start(cfg, ckpt, 2, exclude=["anchor"], anchors=sizes)
    model.eval()(photo(64))
    kept_ones = torch.equal(model.model[-1].anchors, built.model[-1].anchors)
    return kept_ones and not torch.equal(model.model[-1].anchors, head.anchors.float())


def silent(cfg):
    """Keep a checkpoint of other classes, which builds another model to compare; return what was logged meanwhile."""
    records = []
    handler = logging.Handler()
    handler.emit = lambda record: records.append(record.getMessage())
    loggers = [logging.getLogger(), *(logging.getLogger(name) for name in list(logging.root.manager.loggerDict))]
    ckpt, built = checkpoint(cfg, 2), build(cfg, 3)
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
    torch.manual_seed(5)
    is_pruned(ckpt["model"], built)
    drawn = torch.rand(4)
    for logger, level in zip(loggers, levels, strict=True):
        logger.removeHandler(handler)
        logger.setLevel(level)
    torch.manual_seed(5)
    return {"records": records, "same": torch.equal(drawn, torch.rand(4)), "again": logging.root.manager.disable}


def device(cfg):
    """Say on which device a kept model is when upstream's is on another."""
    return {str(p.device) for p in keep_architecture(build(cfg, 2).to("meta"), checkpoint(cfg, 2)).parameters()}.pop()


def resumed(cfg):
    """Resume as upstream does: an EMA of the model, whose state is loaded strictly, then updated."""
    ckpt = checkpoint(cfg, 2, ema=True)
    _, model = start(cfg, ckpt, 2)
    ema = upstream("utils.torch_utils").ModelEMA(model)
    ema.ema.load_state_dict(ckpt["ema"].float().state_dict())
    equal = differences(ema.ema, ckpt["ema"]) == []
    ema.update(model)
    moved = differences(ema.ema, ckpt["ema"]) != []
    shapes = [[tuple(p.shape) for p in each.parameters()] for each in (ema.ema, ckpt["model"])]
    return equal and moved and shapes[0] == shapes[1] and any(isinstance(m, nn.BatchNorm2d) for m in ema.ema.modules())
