"""The journey of `prune.py`: load, plan, prune, re-estimate, save, export, compare.

The script of a release line hands over how that line loads a checkpoint and exports a model; the rest is here.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
import tempfile
from contextlib import contextmanager, nullcontext, redirect_stdout
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, TextIO

from . import calibrate, measure, plots
from .channels import analyse
from .checkpoint import save_checkpoint
from .plan import Plan, make_plan
from .scales import gammas, widths
from .surgery import apply_plan

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import nn

    from .channels import Channels

LOGGER = logging.getLogger(__name__.partition(".")[0])  # upstream's
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


def main(line: Line, arguments: Sequence[str] | None = None) -> int:
    """Run the script; returns its exit code (0 done, 2 usage or input)."""
    options = _parser().parse_args(arguments)
    try:
        with _only_json() if options.json else nullcontext(sys.stdout) as result:
            report = prune(line, options)
            if options.json:
                result.write(json.dumps(report, indent=2, sort_keys=True) + "\n")
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


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Prune the channels that sparse training emptied.")
    add = parser.add_argument
    add("--weights", type=Path, required=True, help="the checkpoint to prune; last.pt of a sparse run")
    amount = parser.add_mutually_exclusive_group(required=True)
    amount.add_argument("--ratio", type=float, help="share of all prunable channels to drop, by a global threshold")
    amount.add_argument("--threshold", type=float, help="drop the channels whose |γ| is at most this")
    amount.add_argument("--plan", type=Path, help="apply a plan that was saved before")
    add("--round-to", type=int, default=1, help="keep a multiple of this many channels a layer: 8 fp16, 16 int8")
    add("--min-channels", type=int, default=1, help="keep at least this many channels a layer")
    add("--data", type=Path, help="data YAML; re-estimates BatchNorm statistics on its training pictures")
    add("--pictures", type=int, default=512, help="how many pictures for that (default: 512)")
    add("--imgsz", type=int, help="image size for statistics, FLOPs, ONNX and latency (default: the checkpoint's)")
    add("--out", type=Path, help="where to (default: <weights>-pruned.pt); the rest lies beside it")
    add("--no-fold", action="store_true", help="drop the constant output of dropped channels instead of folding it")
    add("--no-onnx", action="store_true", help="no ONNX file and no latency")
    add("--dry-run", action="store_true", help="plan and report, write nothing")
    add("--json", action="store_true", help="print the report as JSON to stdout, and nothing else there")
    return parser


def prune(line: Line, options: argparse.Namespace) -> dict[str, Any]:
    """Prune as the options say and return the report.

    Raises:
        ValueError: The checkpoint, the plan or the options do not fit.
    """

    def say(text: str) -> None:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()

    _check_paths(options)
    dense, checkpoint = _load(line, options.weights)
    imgsz = _imgsz(options.imgsz, dense, checkpoint)
    channels = analyse(dense)
    plan = _plan(dense, channels, options)
    pruned = deepcopy(dense)
    notes = [*plan.notes, *_doubts(plan), *apply_plan(pruned, plan, channels, fold=not options.no_fold)]
    for note in notes:
        say(f"note: {note}")
    if options.data:
        say(f"re-estimating BatchNorm statistics on pictures of {options.data}")
        batches = calibrate.image_batches(options.data, imgsz=imgsz, batch=BATCH, limit=options.pictures)
        calibrate.reestimate(pruned, batches)
    files = Files(_out(options))
    if options.dry_run:
        before, after = measure.measure(dense, imgsz=imgsz), measure.measure(pruned, imgsz=imgsz)
    else:
        save_checkpoint(files.checkpoint, pruned, checkpoint, plan)
        _write_beside(files, dense, pruned, plan, channels)
        before, after = _measured(line, files, dense, pruned, checkpoint, imgsz, onnx=not options.no_onnx)
    lines, rows = measure.table(before, after)
    for text in (*lines, *([] if options.dry_run else [f"wrote {files.checkpoint}, and beside it:", *_made(files)])):
        say(text)
    return {
        "checkpoint": None if options.dry_run else str(files.checkpoint),
        "imgsz": imgsz,
        "notes": notes,
        "rows": rows,
        "threshold": plan.threshold,
    }


def _check_paths(options: argparse.Namespace) -> None:
    """Refuse what would only be found out after the work is done."""
    weights, out = options.weights, _out(options)
    if not weights.is_file():
        raise FileNotFoundError(f"{weights}: no such checkpoint; a training run leaves one in its weights/ folder")
    if out.suffix != ".pt":
        raise ValueError(f"--out {out}: must end in .pt, as upstream expects of a checkpoint")
    if out.resolve() == weights.resolve():
        raise ValueError(f"--out {out}: is the checkpoint to prune; write the pruned one elsewhere")
    if options.data:
        calibrate.image_paths(options.data)


def _out(options: argparse.Namespace) -> Path:
    out: Path = options.out or options.weights.with_name(f"{options.weights.stem}-pruned.pt")
    return out


def _imgsz(asked: int | None, model: nn.Module, checkpoint: dict[str, Any]) -> int:
    """Return the image size to work at: as asked, or as trained."""
    imgsz = int((checkpoint.get("train_args") or {}).get("imgsz", 640)) if asked is None else asked
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
        raise ValueError(f"{weights}: not a checkpoint that this fork can load ({_short(error)})") from error
    return model.float().eval(), checkpoint


def _plan(model: nn.Module, channels: Channels, options: argparse.Namespace) -> Plan:
    if options.plan:
        return Plan.from_json(options.plan.read_text(encoding="utf-8"))
    return make_plan(
        model,
        channels,
        ratio=options.ratio,
        threshold=options.threshold,
        round_to=options.round_to,
        min_channels=options.min_channels,
    )


def _doubts(plan: Plan) -> list[str]:
    """Say so when the channels that are dropped are not near zero: the model was not trained sparse."""
    if plan.threshold <= LARGE_GAMMA:
        return []
    return [
        f"channels with |γ| up to {plan.threshold:.3g} go; a model trained with sparsity= has none that large to lose"
    ]


def _write_beside(files: Files, dense: nn.Module, pruned: nn.Module, plan: Plan, channels: Channels) -> None:
    files.beside(".json").write_text(plan.to_json(), encoding="utf-8")
    plots.gammas(files.beside("-gamma.png"), before=gammas(dense, channels), after=gammas(pruned))
    plots.channels(files.beside("-channels.png"), before=widths(dense), after=widths(pruned))


def _measured(
    line: Line, files: Files, dense: nn.Module, pruned: nn.Module, checkpoint: dict[str, Any], imgsz: int, *, onnx: bool
) -> tuple[measure.Measured, measure.Measured]:
    """Measure both models with their files; the dense one's are made for this and thrown away."""
    with tempfile.TemporaryDirectory(prefix="slim-") as scratch:
        dense_pt = Path(scratch) / "dense.pt"
        save_checkpoint(dense_pt, dense, checkpoint)
        if not onnx:
            before = measure.measure(dense, imgsz=imgsz, pt=dense_pt)
            return before, measure.measure(pruned, imgsz=imgsz, pt=files.checkpoint)
        with _quiet():  # upstream tells at length what to do with each file, the one thrown away included
            models = [_export(line, dense_pt, imgsz), _export(line, files.checkpoint, imgsz)]
        times = measure.latencies(models, imgsz=imgsz)
        return (
            measure.measure(dense, imgsz=imgsz, pt=dense_pt, onnx=models[0], latency_ms=times[0]),
            measure.measure(pruned, imgsz=imgsz, pt=files.checkpoint, onnx=models[1], latency_ms=times[1]),
        )


def _export(line: Line, path: Path, imgsz: int) -> Path:
    try:
        return line.export(path, imgsz)
    except Exception as error:  # upstream's exporter and those it calls raise anything
        message = f"the checkpoint is written, but not the ONNX file ({_short(error)}); --no-onnx leaves it out"
        raise ValueError(message) from error


def _short(error: Exception) -> str:
    return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0][:200]}"


@contextmanager
def _quiet() -> Iterator[None]:
    level = LOGGER.level
    LOGGER.setLevel(logging.WARNING)
    try:
        yield
    finally:
        LOGGER.setLevel(level)


def _made(files: Files) -> list[str]:
    stem, own = files.checkpoint.stem, files.checkpoint.name
    return [f"  {path}" for path in sorted(files.checkpoint.parent.glob(f"{stem}*")) if path.name != own]
