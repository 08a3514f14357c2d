"""What `prune.py` is given: the options that do not fit, the checkpoint, the size of pictures, the plan."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import calibrate
from .plan import Plan

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

    from torch import nn

    from .interface import Line


def check_options(line: Line, options: argparse.Namespace, out: Path) -> None:
    """Refuse what would only be found out after the work is done."""
    weights = options.weights
    check_weights(weights)
    if options.plan and (options.keep or options.only):
        raise ValueError("--plan says already which channels stay: leave --keep and --only to the run that makes it")
    if options.val and not options.data:
        raise ValueError("--val: needs --data, the data set to validate on")
    if options.val and line.validate is None:
        raise ValueError("--val: this release line has no validator; validate the checkpoints with upstream's own")
    if out.suffix != ".pt":
        raise ValueError(f"--out {out}: must end in .pt, as upstream expects of a checkpoint")
    if out.resolve() == weights.resolve():
        raise ValueError(f"--out {out}: is the checkpoint to prune; write the pruned one elsewhere")
    if options.plan_out and options.plan_out.suffix != ".json":
        raise ValueError(f"--plan-out {options.plan_out}: must end in .json, which a plan is")
    if options.data:
        calibrate.image_paths(options.data)


def check_weights(weights: Path) -> None:
    """Refuse a checkpoint that is not there."""
    if not weights.is_file():
        raise FileNotFoundError(f"{weights}: no such checkpoint; a training run leaves one in its weights/ folder")


def image_size(asked: int | None, model: nn.Module, checkpoint: dict[str, Any]) -> int:
    """Return the image size to work at: as asked, or as trained."""
    trained: Any = checkpoint.get("train_args") or checkpoint.get("opt") or {}  # YOLOv5 keeps it from v6.2 on
    imgsz = int(trained.get("imgsz", 640)) if asked is None else asked
    stride = max(32, int(max(getattr(model, "stride", [32]))))
    if imgsz < stride or imgsz % stride:
        raise ValueError(f"--imgsz {imgsz}: must be a multiple of the model's stride, {stride}")
    return imgsz


def load(line: Line, weights: Path) -> tuple[nn.Module, dict[str, Any]]:
    """Open a checkpoint with upstream's loader, in float and eval mode; all parameters ask for gradients."""
    try:
        model, checkpoint = line.load(weights)
        for parameter in model.parameters():
            parameter.requires_grad = True  # the write-up's point 4: stripped checkpoints are frozen
    except Exception as error:  # a pickle may raise anything
        reason = f"{type(error).__name__}: {(str(error).splitlines() or [''])[0][:200]}"
        raise ValueError(f"{weights}: not a checkpoint that this fork can load ({reason})") from error
    return model.float().eval(), checkpoint


def read_plan(path: Path) -> Plan:
    """Read a plan."""
    return Plan.from_json(path.read_text(encoding="utf-8"))


def write_plan(path: Path, plan: Plan) -> None:
    """Write a plan as JSON, and the folder that it is to lie in."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(plan.to_json(), encoding="utf-8")
