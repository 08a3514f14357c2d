"""The journey of `prune.py`: load, plan, prune, re-estimate, save, export, compare.

The script of `command` (ultralytics) or of `writeup` (YOLOv5) knows how its release loads a checkpoint and exports a
model, how its options are spelled and what its files are called; the rest is here.
"""

from __future__ import annotations

import json
import os
import sys
from contextlib import contextmanager, nullcontext, redirect_stdout
from copy import deepcopy
from typing import TYPE_CHECKING, TextIO

import torch

from ..analysis.channels import analyse
from ..analysis.proof import proven
from ..calibration.calibrate import reestimate
from ..costs import measure
from ..groups.protect import protect
from ..passes.shadow import image
from ..pruning.advice import advise, doubts, table
from ..pruning.apply import apply_plan, mask_plan
from ..pruning.plan import Plan, PlanError
from ..pruning.report import report
from ..writing.interrupt import INTERRUPTED, interruptible
from .accuracy import accuracies, accuracy_table, folding_error
from .given import check_files, image_size, load, open_data, penalised, read_plan
from .interface import Files
from .planner import Chooser, predicted
from .results import Results, plan_out

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from torch import nn

    from ..analysis.channels import Channels
    from ..calibration.datasets import DataSet
    from ..files.checkpoint import Checkpoint
    from ..pruning.advice import Advice
    from .interface import PruneScript
    from .options import PruneOptions

BATCH = 16  # images at a time for BatchNorm statistics
SAMPLE = 4  # images on which the error of folding is measured


def run(script: PruneScript, arguments: Sequence[str] | None = None) -> int:
    """Run the script; returns its exit code (0 done, 2 usage or input, 130 interrupted)."""
    written: list[Path] = []
    with interruptible() as interruption:
        try:
            options = script.read(arguments)
            with _only_json() if options.json else nullcontext(sys.stdout) as result:
                outcome = look(script, options) if options.report else prune(script, options, written)
                interruption.check()
                if options.json:
                    result.write(json.dumps(outcome, indent=2, sort_keys=True) + "\n")
        except BaseException as error:
            if interruption.pressed or isinstance(error, KeyboardInterrupt):  # libraries make another error of it
                return _interrupted(written)
            if not isinstance(error, (ValueError, OSError)):
                raise
            sys.stderr.write(f"error: {one_line(error)}\n")
            return 2
    return 0


def _interrupted(written: list[Path]) -> int:
    what = f"written is {', '.join(map(str, written))}" if written else "nothing was written"
    sys.stderr.write(f"interrupted; {what}\n")
    return INTERRUPTED


def one_line(error: BaseException) -> str:
    """Return what an error says as one line, whatever a file's name holds."""
    return "".join(letter if letter.isprintable() else " " for letter in str(error))


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


def print_lines(*lines: str) -> None:
    """Print lines."""
    for text in lines:
        say(text)


def look(script: PruneScript, options: PruneOptions) -> dict[str, object]:
    """Say what of a checkpoint can be pruned, what stays and why; write nothing.

    Raises:
        ValueError: The checkpoint does not fit.
    """
    dense, _ = load(script, options.weights, trust=options.trust)
    dense, said = script.prepare(dense, options)
    found = report(dense, analyse(dense))
    print_lines(*said, *found.lines())
    return found.to_dict()


def prune(script: PruneScript, options: PruneOptions, written: list[Path]) -> dict[str, object]:
    """Prune as the options say and return the report; `written` gets the files that are there.

    Raises:
        ValueError: The checkpoint, the plan or the options do not fit.
    """
    script.check(options)
    files = Files(script.out(options))
    check_files(options, files.checkpoint)
    options = options.rounded()
    results = Results(files, script, onnx=options.onnx, written=written)
    unasked = options.dry_run or options.advice or options.overwrite
    replaced = [] if unasked else results.check(plan=options.plan)
    dense, checkpoint = load(script, options.weights, trust=options.trust)
    dense, said = script.prepare(dense, options)
    imgsz, rounded = image_size(options.imgsz, dense, checkpoint, floor=script.floor)
    data = open_data(script, options, dense, imgsz)
    said = [*said, *rounded, *(data.said() if data else [])]
    channels = analyse(dense)
    allowed = protect(channels, keep=options.keep, only=options.only)
    known = advise(dense, allowed)
    options = options.scored(sparse=known.sparse)
    if options.advice:
        print_lines(*said, *table(known))
        return {"advice": known.to_dict()}
    with _next_step(script, options):
        if options.plan:
            plan = read_plan(options.plan)
            pruned, notes = _pruned(dense, plan, channels, options, imgsz, data)
        else:

            def choose(free: Channels) -> Plan:
                chooser = Chooser.of(script, options, dense, free, imgsz)
                return chooser.plan_for(options.target, script.export, checkpoint)

            plan, (pruned, notes) = proven(
                allowed, choose, lambda plan: _pruned(dense, plan, channels, options, imgsz, data)
            )
    short = penalised(checkpoint)
    doubted = doubts(known, dense, channels, plan, penalised=short)
    if options.target and known.sparse:  # as much was asked for, and what lives on is what fine-tuning is for
        notes += doubted
        doubted = []
    warnings = [f"{doubt}; next: {_mend(known, script, options, short)}" for doubt in doubted]
    print_lines(*said, *replaced, *(f"WARNING: {text}" for text in warnings), *(f"note: {text}" for text in notes))
    accuracy = _reestimated(script, dense, pruned, (plan, channels, checkpoint), options, imgsz, data) if data else {}
    print_lines(*script.remarks(dense, pruned, plan, imgsz))
    if options.plan_out:
        plan_out(options.plan_out, plan, overwrite=options.overwrite)
        written.append(options.plan_out)
    if options.dry_run:
        before, after = measure.measure(dense, imgsz=imgsz), measure.measure(pruned, imgsz=imgsz)
    else:
        with results.workshop() as making:
            making.write(dense, pruned, channels, plan, checkpoint)
            before, after = making.measure(script.export if options.onnx else None, dense, pruned, checkpoint, imgsz)
    lines, rows = measure.table(before, after)
    print_lines(*lines, *(predicted(dense, channels, plan, imgsz) if options.dry_run else results.beside()))
    print_lines(*_planned(options))
    return {
        "accuracy": accuracy,
        "checkpoint": None if options.dry_run else str(files.checkpoint),
        "imgsz": imgsz,
        "notes": notes,
        "rows": rows,
        "threshold": plan.threshold,
        "warnings": warnings,
    }


def _pruned(
    dense: nn.Module, plan: Plan, channels: Channels, options: PruneOptions, imgsz: int, data: DataSet | None
) -> tuple[nn.Module, list[str]]:
    """Return the pruned model, and what there is to say of it."""
    pruned = deepcopy(dense)
    notes = apply_plan(pruned, plan, channels, fold=options.fold, imgsz=imgsz)
    if notes:
        masked = deepcopy(dense)
        mask_plan(masked, plan, channels, fold=True)
        if data:
            shown, images = data.batches(SAMPLE, limit=SAMPLE), "images"
        else:
            black = image(dense, imgsz, batch=SAMPLE)
            shown, images = iter([torch.rand(black.shape, generator=torch.Generator().manual_seed(0))]), "noise"
        mean, largest = folding_error(masked, pruned, channels, shown)
        notes.append(f"folding leaves the outputs {mean:.2%} off in the mean, {largest:.2%} at most, on {images}")
    return pruned, [*plan.notes, *notes]


def _reestimated(
    script: PruneScript,
    dense: nn.Module,
    pruned: nn.Module,
    made: tuple[Plan, Channels, Checkpoint],
    options: PruneOptions,
    imgsz: int,
    data: DataSet,
) -> dict[str, dict[str, float]]:
    """Re-estimate BatchNorm statistics; return the accuracy after each step, if asked for."""
    plan, channels, checkpoint = made
    steps: dict[str, nn.Module] = {}
    if options.val:
        raw = deepcopy(dense)
        apply_plan(raw, plan, channels, fold=False)
        folded = {"folded": deepcopy(pruned)} if options.fold else {}
        steps = {"dense": dense, "pruned, not folded": raw, **folded, "re-estimated": pruned}
    say(f"re-estimating BatchNorm statistics on images of {data.source}")
    kept = reestimate(pruned, data.batches(BATCH))
    if kept:
        few = "are shown one value a channel and keep the statistics they have; give more images or a larger --imgsz"
        say(f"note: {len(kept)} BatchNorm layers, the first {kept[0]}, {few}")
    if not options.val:
        return {}
    say(f"validating {len(steps)} models on {data.source}")
    found = accuracies(script.validate, steps, checkpoint, data, imgsz)
    print_lines(*accuracy_table(found))
    return found


@contextmanager
def _next_step(script: PruneScript, options: PruneOptions) -> Iterator[None]:
    """Let a plan that does not fit be refused with the command that makes one that does."""
    try:
        yield
    except PlanError as error:
        if not options.plan:
            raise
        new = f"python prune.py --weights {options.weights} {script.amount} --dry-run --plan-out new.json"
        raise PlanError(f"--plan {options.plan}: {error}: {new}") from error


def _mend(known: Advice, script: PruneScript, options: PruneOptions, more: bool) -> str:
    """Return what to type about a doubt: a look at how much can go, or the training that there was too little of."""
    if known.sparse:
        return f"python prune.py --weights {options.weights} --advice"
    typed = script.sparse.format(weights=options.weights, data=options.data or "data.yaml")
    return f"train on, in more epochs: {typed}" if more else typed


def _planned(options: PruneOptions) -> list[str]:
    """Say where the plan lies, and what it is for."""
    if not options.plan_out:
        return []
    return [
        f"wrote the plan {options.plan_out}; to apply it:",
        f"  python prune.py --weights {options.weights} --plan {options.plan_out}",
    ]
