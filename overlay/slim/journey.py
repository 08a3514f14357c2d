"""The journey of `prune.py`: load, plan, prune, re-estimate, save, export, compare.

The script of a release line hands over how that line loads a checkpoint and exports a model; `command` (ultralytics)
and `writeup` (YOLOv5) hand over how its options are spelled and what its files are called; the rest is here.
"""

from __future__ import annotations

import json
import os
import sys
from contextlib import contextmanager, nullcontext, redirect_stdout
from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Callable, TextIO

from . import calibrate, measure
from .channels import analyse
from .checkpoint import save_checkpoint
from .choosing import Chooser
from .comparing import measured
from .fitting import lost_groups
from .patterns import protect
from .plan import Plan
from .report import report
from .scoring import Scores
from .surgery import apply_plan
from .target import Target

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from torch import nn

    from .channels import Channels

BATCH = 16  # pictures at a time for BatchNorm statistics
LARGE_GAMMA = 0.1  # a dropped |γ| above this is no channel that sparse training emptied


@dataclass(frozen=True)
class Line:
    """What differs between release lines.

    Attributes:
        load: Path of a checkpoint to its model and the checkpoint itself, with upstream's own loader.
        export: Path of a checkpoint and image size; writes the ONNX file beside it and returns its path.
    """

    load: Callable[[Path], tuple[nn.Module, dict[str, Any]]]
    export: Callable[[Path, int], Path]


@dataclass(frozen=True)
class Files:
    """Where the results of a run lie: all beside the pruned checkpoint."""

    checkpoint: Path

    def beside(self, ending: str) -> Path:
        """Return the path of a companion, `<name><ending>`."""
        return self.checkpoint.with_name(self.checkpoint.stem + ending)


@dataclass(frozen=True)
class Interface:
    """What differs between the prune scripts of the two upstreams.

    Attributes:
        parser: Makes the parser. These options are common: weights, plan, target, score, report, out, data, pictures,
            imgsz, no_fold, no_onnx, dry_run, json.
        out: Where the pruned checkpoint goes.
        prepare: Makes the loaded model the one to prune; says what it did, a line each.
        choose: Makes the plan, unless `--plan` names one, by these scores; at this ratio where there is one.
        remarks: What to say of the result, a line each.
        draw: Writes the pictures beside the result, and returns their paths.
        sparse: How a model is trained sparse, for the doubts about one that was not.
        trainable: Whether parameters ask for gradients in the checkpoint that is written.
    """

    parser: Callable[[], argparse.ArgumentParser]
    out: Callable[[argparse.Namespace], Path]
    prepare: Callable[[nn.Module, argparse.Namespace], tuple[nn.Module, list[str]]]
    choose: Callable[[nn.Module, Channels, Scores, argparse.Namespace, float | None], Plan]
    remarks: Callable[[nn.Module, nn.Module, Plan, int], list[str]]
    draw: Callable[[Files, nn.Module, nn.Module, Channels], list[Path]]
    sparse: str
    trainable: bool = False


def run(line: Line, interface: Interface, arguments: Sequence[str] | None = None) -> int:
    """Run the script; returns its exit code (0 done, 2 usage or input)."""
    options = interface.parser().parse_args(arguments)
    try:
        with _only_json() if options.json else nullcontext(sys.stdout) as result:
            outcome = (look if options.report else prune)(line, interface, options)
            if options.json:
                result.write(json.dumps(outcome, indent=2, sort_keys=True) + "\n")
    except (ValueError, OSError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    return 0


@contextmanager
def _only_json() -> Iterator[TextIO]:
    """Yield the real stdout, and send to stderr what upstream's logger and libraries write to theirs meanwhile."""
    sys.stdout.flush()
    real = os.dup(1)
    os.dup2(2, 1)
    try:
        with os.fdopen(os.dup(real), "w", encoding="utf-8") as result, redirect_stdout(sys.stderr):
            yield result
    finally:
        sys.stdout.flush()
        os.dup2(real, 1)
        os.close(real)


def say(text: str) -> None:
    """Print a line at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def look(line: Line, interface: Interface, options: argparse.Namespace) -> dict[str, Any]:
    """Say what of a checkpoint can be pruned, what stays and why; write nothing.

    Raises:
        ValueError: The checkpoint does not fit.
    """
    _check_weights(options.weights)
    dense, _ = _load(line, options.weights)
    dense, said = interface.prepare(dense, options)
    found = report(dense, analyse(dense))
    for text in (*said, *found.lines()):
        say(text)
    return found.to_dict()


def prune(line: Line, interface: Interface, options: argparse.Namespace) -> dict[str, Any]:
    """Prune as the options say and return the report.

    Raises:
        ValueError: The checkpoint, the plan or the options do not fit.
    """
    target = Target.parse(options.target) if options.target else None
    files = Files(interface.out(options))
    _check_paths(options, files.checkpoint)
    dense, checkpoint = _load(line, options.weights)
    dense, said = interface.prepare(dense, options)
    imgsz = _imgsz(options.imgsz, dense, checkpoint)
    channels = analyse(dense)
    allowed = protect(channels, keep=options.keep, only=options.only)
    if options.plan:
        plan = _read(options.plan)
    else:
        chooser = Chooser.of(interface, options, dense, allowed, imgsz)
        plan = chooser.plan_for(target) if target else chooser.choose(None)
    pruned = deepcopy(dense)
    doubts = _doubts(dense, channels, plan, interface)
    notes = [*plan.notes, *doubts, *apply_plan(pruned, plan, channels, fold=not options.no_fold)]
    for text in (*said, *(f"note: {note}" for note in notes)):
        say(text)
    if options.data:
        say(f"re-estimating BatchNorm statistics on pictures of {options.data}")
        batches = calibrate.image_batches(options.data, imgsz=imgsz, batch=BATCH, limit=options.pictures)
        calibrate.reestimate(pruned, batches)
    for text in interface.remarks(dense, pruned, plan, imgsz):
        say(text)
    if options.dry_run:
        drawn, before, after = [], measure.measure(dense, imgsz=imgsz), measure.measure(pruned, imgsz=imgsz)
    else:
        save_checkpoint(files.checkpoint, pruned, checkpoint, plan, trainable=interface.trainable)
        files.beside(".json").write_text(plan.to_json(), encoding="utf-8")
        drawn = interface.draw(files, dense, pruned, channels)
        export = None if options.no_onnx else line.export
        before, after = measured(export, files.checkpoint, dense, pruned, checkpoint, imgsz)
    lines, rows = measure.table(before, after)
    for text in (*lines, *([] if options.dry_run else _made(files, drawn))):
        say(text)
    return {
        "checkpoint": None if options.dry_run else str(files.checkpoint),
        "imgsz": imgsz,
        "notes": notes,
        "rows": rows,
        "threshold": plan.threshold,
    }


def _check_paths(options: argparse.Namespace, out: Path) -> None:
    """Refuse what would only be found out after the work is done."""
    weights = options.weights
    _check_weights(weights)
    if options.plan and (options.keep or options.only):
        raise ValueError("--plan says already which channels stay: leave --keep and --only to the run that makes it")
    if out.suffix != ".pt":
        raise ValueError(f"--out {out}: must end in .pt, as upstream expects of a checkpoint")
    if out.resolve() == weights.resolve():
        raise ValueError(f"--out {out}: is the checkpoint to prune; write the pruned one elsewhere")
    if options.data:
        calibrate.image_paths(options.data)


def _check_weights(weights: Path) -> None:
    if not weights.is_file():
        raise FileNotFoundError(f"{weights}: no such checkpoint; a training run leaves one in its weights/ folder")


def _imgsz(asked: int | None, model: nn.Module, checkpoint: dict[str, Any]) -> int:
    """Return the image size to work at: as asked, or as trained."""
    trained: Any = checkpoint.get("train_args") or checkpoint.get("opt") or {}  # YOLOv5 keeps it from v6.2 on
    imgsz = int(trained.get("imgsz", 640)) if asked is None else asked
    stride = max(32, int(max(getattr(model, "stride", [32]))))
    if imgsz < stride or imgsz % stride:
        raise ValueError(f"--imgsz {imgsz}: must be a multiple of the model's stride, {stride}")
    return imgsz


def _load(line: Line, weights: Path) -> tuple[nn.Module, dict[str, Any]]:
    try:
        model, checkpoint = line.load(weights)
        for parameter in model.parameters():
            parameter.requires_grad = True  # the write-up's point 4: stripped checkpoints are frozen
    except Exception as error:  # a pickle may raise anything
        reason = f"{type(error).__name__}: {(str(error).splitlines() or [''])[0][:200]}"
        raise ValueError(f"{weights}: not a checkpoint that this fork can load ({reason})") from error
    return model.float().eval(), checkpoint


def _read(plan: Path) -> Plan:
    return Plan.from_json(plan.read_text(encoding="utf-8"))


def _doubts(dense: nn.Module, channels: Channels, plan: Plan, interface: Interface) -> list[str]:
    """Say so when the channels that are dropped are not near zero: the model was not trained sparse."""
    gamma = Scores.of(dense, channels).of_group
    largest = max((gamma[group] for group in lost_groups(plan, channels)), default=0.0)
    if largest <= LARGE_GAMMA:
        return []
    known = f"a model trained with {interface.sparse} has none that large to lose"
    return [f"channels with |γ| up to {largest:.3g} go; {known}"]


def _made(files: Files, drawn: list[Path]) -> list[str]:
    """Name what lies beside the result."""
    stem, own = files.checkpoint.stem, files.checkpoint.name
    named = [path for path in files.checkpoint.parent.glob(f"{stem}*") if path.name != own]
    return [f"wrote {files.checkpoint}, and beside it:", *(f"  {path}" for path in sorted({*named, *drawn}))]
