"""The journey of `prune.py`: load, plan, prune, recover, save, export, compare.

The script of `command` (ultralytics) or of `writeup` (YOLOv5) knows how its release loads a checkpoint and exports a
model, how its options are spelled and what its files are called; the rest is here.
"""

from __future__ import annotations

import json
import sys
from contextlib import contextmanager, nullcontext
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import torch

from ..analysis.channels import analyse
from ..analysis.proof import proven
from ..costs import measure
from ..groups.protect import protect
from ..passes.shadow import image
from ..pruning.advice import advise, doubts, table
from ..pruning.apply import apply_plan, mask_plan
from ..pruning.plan import Plan, PlanError
from ..pruning.report import report
from ..recovery.choice import AS_CUT, Recovered, most_images, recover
from ..writing.console import one_line, only_json, print_lines, say
from ..writing.interrupt import INTERRUPTED, interruptible
from .accuracy import accuracies, accuracy_table, folding_error
from .given import check_files, image_size, load, open_data, penalised, read_plan
from .interface import Files
from .planner import Planner, predicted
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

SAMPLE = 4  # images on which the error of folding is measured


def run(script: PruneScript, arguments: Sequence[str] | None = None) -> int:
    """Run the script; returns its exit code (0 done, 2 usage or input, 130 interrupted)."""
    written: list[Path] = []
    with interruptible() as interruption:
        try:
            options = script.read(arguments)
            with only_json() if options.json else nullcontext(sys.stdout) as result:
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
    results = Results(files, script, onnx=options.onnx, written=written)
    unasked = options.dry_run or options.advice or options.overwrite
    replaced = [] if unasked else results.check(plan=options.plan)
    run = _begin(script, options.rounded())
    if options.advice:
        print_lines(*run.said, *table(run.known))
        return {"advice": run.known.to_dict()}
    plan, pruned, notes = _planned(run)
    notes, warnings = _doubted(run, plan, notes)
    print_lines(*run.said, *replaced, *(f"WARNING: {text}" for text in warnings), *(f"note: {text}" for text in notes))
    recovered = _recovered(run, run.data, plan, pruned) if run.data else None
    accuracy = _validated(run, run.data, plan, pruned, recovered) if recovered and run.data and options.val else {}
    pruned = recovered.model if recovered else pruned
    print_lines(*script.remarks(run.dense, pruned, plan, run.options, run.imgsz))
    if options.plan_out:
        plan_out(options.plan_out, plan, overwrite=options.overwrite)
        written.append(options.plan_out)
    before, after = _measured(run, results, plan, pruned)
    lines, rows = measure.table(before, after)
    predictions = predicted(run.dense, run.channels, plan, run.imgsz) if options.dry_run else results.beside()
    print_lines(*lines, *predictions, *_kept_plan(options))
    return {
        "accuracy": accuracy,
        "checkpoint": None if options.dry_run else str(files.checkpoint),
        "imgsz": run.imgsz,
        "notes": notes,
        "recovery": {"kept": recovered.way, **recovered.errors} if recovered else {},
        "rows": rows,
        "threshold": plan.threshold,
        "warnings": warnings,
    }


@dataclass(frozen=True)
class Run:
    """What a run of the script has been given, and what is known of it before anything is chosen.

    Attributes:
        script: Of the release.
        options: With what follows from the model.
        dense: The model to prune.
        checkpoint: What it was read from.
        imgsz: Side of an image, in pixels.
        data: The user's images, if there are any.
        channels: What may go, all told.
        allowed: And of that what the user lets go.
        known: What the scales say.
        said: What there is to say of all this.
    """

    script: PruneScript
    options: PruneOptions
    dense: nn.Module
    checkpoint: Checkpoint
    imgsz: int
    data: DataSet | None
    channels: Channels
    allowed: Channels
    known: Advice
    said: list[str]


def _begin(script: PruneScript, options: PruneOptions) -> Run:
    """Read the checkpoint and the data set, and find the channels."""
    dense, checkpoint = load(script, options.weights, trust=options.trust)
    dense, said = script.prepare(dense, options)
    imgsz, rounded = image_size(options.imgsz, dense, checkpoint, floor=script.floor)
    data = open_data(script, options, dense, imgsz)
    channels = analyse(dense)
    allowed = protect(channels, keep=options.keep, only=options.only)
    known = advise(dense, allowed)
    said = [*said, *rounded, *(data.said() if data else [])]
    options = options.scored(sparse=known.sparse)
    return Run(script, options, dense, checkpoint, imgsz, data, channels, allowed, known, said)


def _planned(run: Run) -> tuple[Plan, nn.Module, list[str]]:
    """Choose what goes, or read it, and return the plan, the pruned model, and what there is to say."""
    options = run.options
    with _next_step(run.script, options):
        if options.plan:
            plan = read_plan(options.plan)
            return (plan, *_pruned(run, plan))

        def choose(free: Channels) -> Plan:
            planner = Planner.of(run.script, options, run.dense, free, run.imgsz, run.data)
            return planner.plan_for(options.target, run.script.export, run.checkpoint)

        plan, (pruned, notes) = proven(run.allowed, choose, partial(_pruned, run))
        return plan, pruned, notes


def _pruned(run: Run, plan: Plan) -> tuple[nn.Module, list[str]]:
    """Return the pruned model, and what there is to say of it."""
    pruned = deepcopy(run.dense)
    notes = apply_plan(pruned, plan, run.channels, fold=run.options.fold, imgsz=run.imgsz)
    if notes:
        masked = deepcopy(run.dense)
        mask_plan(masked, plan, run.channels, fold=True)
        if run.data:
            shown, images = run.data.batches(SAMPLE, limit=SAMPLE), "images"
        else:
            black = image(run.dense, run.imgsz, batch=SAMPLE)
            shown, images = iter([torch.rand(black.shape, generator=torch.Generator().manual_seed(0))]), "noise"
        mean, largest = folding_error(masked, pruned, run.channels, shown)
        notes.append(f"folding leaves the outputs {mean:.2%} off in the mean, {largest:.2%} at most, on {images}")
    return pruned, [*plan.notes, *notes]


def _doubted(run: Run, plan: Plan, notes: list[str]) -> tuple[list[str], list[str]]:
    """Return the notes and the warnings of a plan."""
    if run.options.importance == "images" and not run.options.plan:  # what goes was looked at, not guessed by its scale
        return notes, []
    short = penalised(run.checkpoint)
    doubted = doubts(run.known, run.dense, run.channels, plan, penalised=short)
    if run.options.target and run.known.sparse:  # as much was asked for: fine-tuning is for what lives on
        return [*notes, *doubted], []
    blind = run.options.by_share and not (run.known.sparse or run.options.data)
    images = "; with --data, images choose" if blind else ""
    return notes, [f"{doubt}{images}; next: {_mend(run.known, run.script, run.options, short)}" for doubt in doubted]


def _recovered(run: Run, data: DataSet, plan: Plan, pruned: nn.Module) -> Recovered:
    """Win back on the user's images what pruning took."""
    one = image(run.dense, run.imgsz)
    most = min(len(data.images), most_images(run.dense, one))
    say(f"looking at {most} images of {data.source} for what pruning took")
    shown = next(data.batches(most, most))
    recovered = recover(run.dense, pruned, plan, run.channels, shown, run.options.recover)
    errors = ", ".join(f"{name} {error:.1%}" for name, error in recovered.errors.items())
    print_lines(f"outputs off by: {errors}; kept: {recovered.way}", *(f"note: {text}" for text in recovered.notes))
    return recovered


def _validated(
    run: Run, data: DataSet, plan: Plan, pruned: nn.Module, recovered: Recovered
) -> dict[str, dict[str, float]]:
    """Return the accuracy after each step."""
    raw = deepcopy(run.dense)
    apply_plan(raw, plan, run.channels, fold=False)
    steps = {"dense": run.dense, "pruned, not folded": raw, **({"folded": pruned} if run.options.fold else {})}
    if recovered.way != AS_CUT:
        steps[f"new {recovered.way}"] = recovered.model
    say(f"validating {len(steps)} models on {data.source}")
    measured = accuracies(run.script.validate, steps, run.checkpoint, data, run.imgsz)
    print_lines(*accuracy_table(measured))
    return measured


def _measured(run: Run, results: Results, plan: Plan, pruned: nn.Module) -> tuple[measure.Measured, measure.Measured]:
    """Write the files, unless it is a dry run, and return what both models cost."""
    if run.options.dry_run:
        return measure.measure(run.dense, imgsz=run.imgsz), measure.measure(pruned, imgsz=run.imgsz)
    export = run.script.export if run.options.onnx else None
    with results.workshop() as making:
        making.write(run.dense, pruned, run.channels, plan, run.checkpoint)
        return making.measure(export, run.dense, pruned, run.checkpoint, run.imgsz)


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


def _kept_plan(options: PruneOptions) -> list[str]:
    """Say where the plan lies, and what it is for."""
    if not options.plan_out:
        return []
    return [
        f"wrote the plan {options.plan_out}; to apply it:",
        f"  python prune.py --weights {options.weights} --plan {options.plan_out}",
    ]
