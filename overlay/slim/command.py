"""The options of an ultralytics fork's `prune.py`, in the manner of `apply-patches`, and what its files are called."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from .analysis.scales import prunable_gammas, widths
from .calibration.ultralytics_data import open_data
from .pruning.target import EXAMPLES
from .recovery.choice import WAYS
from .script import journey
from .script.interface import Files, PruneScript
from .script.planner import SCORES
from .writing import plots

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import nn

    from .analysis.channels import Channels
    from .calibration.datasets import DataSet
    from .files.checkpoint import Checkpoint
    from .pruning.selection import Selection, Selector
    from .script.accuracy import Validate
    from .script.before_after import Export
    from .script.options import PruneOptions

    Load = Callable[[Path], tuple[nn.Module, Checkpoint]]

__all__ = ["Line", "main"]

ADVICE = "show |γ| of every layer and how far pruning can go, and do nothing"
NO_VALIDATOR = "--val: this release line has no validator; validate the checkpoints with upstream's own"


def main(script: PruneScript, arguments: Sequence[str] | None = None) -> int:
    """Run the script; returns its exit code (0 done, 2 usage or input, 130 interrupted)."""
    return journey.run(script, arguments)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Prune the channels that a model can spare.")
    add = parser.add_argument
    add("--weights", type=Path, required=True, help="the checkpoint to prune; last.pt of a sparse run")
    amount = parser.add_mutually_exclusive_group(required=True)
    amount.add_argument("--ratio", type=float, help="share of all prunable channels to drop, by a global threshold")
    amount.add_argument("--threshold", type=float, help="drop the channels whose |γ| is at most this")
    amount.add_argument("--target", help=f"drop no more than it takes to get there: {EXAMPLES}")
    amount.add_argument("--plan", type=Path, help="apply a plan that was saved before")
    report_argument(amount)
    amount.add_argument("--advice", action="store_true", help=ADVICE)
    add("--round-to", type=int, help="keep a multiple of this many channels a layer: 8 fp16, 16 int8 or AVX-512")
    common_arguments(parser, "(default: <weights>-pruned.pt); the rest lies beside it")
    return parser


def report_argument(parser: argparse._ActionsContainer) -> None:
    """Add the option that takes the place of an amount."""
    parser.add_argument("--report", action="store_true", help="say what can be pruned, what stays and why, and end")


def common_arguments(parser: argparse.ArgumentParser, where: str) -> None:
    """Add the options that both upstreams' scripts have."""
    add = parser.add_argument
    add("--score", choices=SCORES, help="weigh that with a cost, or not (default: with what --target names)")
    add("--min-channels", type=int, default=1, help="keep at least this many channels a layer")
    pattern = partial(add, action="append", default=[], metavar="PATTERN")
    pattern("--keep", "--skip", help="layers that lose no channel, as model.22 or '*.cv1'; may be repeated")
    pattern("--only", help="layers that alone may lose channels; may be repeated")
    add("--plan-out", type=Path, help="write the plan to this .json as well, also with --dry-run")
    add("--val", action="store_true", help="validate on --data: dense, pruned, folded, and what was won back")
    what = "data YAML, or of a classifier the folder; channels are chosen and accuracy is won back on its images"
    add("--data", type=Path, help=what)
    add("--images", type=int, default=512, help="how many images for that at most (default: 512)")
    add("--importance", choices=("gamma", "images"), help="go by |γ|, or by --data (default: --data, unless sparse)")
    won = "win accuracy back on --data by new weights, new BatchNorm statistics, or the better (default: best)"
    add("--recover", choices=WAYS, default="best", help=won)
    size = "image size for statistics, FLOPs, ONNX and latency (default: the checkpoint's)"
    add("--imgsz", "--img", "--img-size", type=int, help=size)
    add("--out", type=Path, help=f"where to {where}")
    add("--overwrite", action="store_true", help="replace files at --out that no earlier run of this script wrote")
    add("--trust", action="store_true", help="run what the checkpoint's pickle says; it may be any program")
    unfolded = "drop the constant output of dropped channels instead of folding it"
    add("--no-fold", dest="fold", action="store_false", help=unfolded)
    add("--no-onnx", dest="onnx", action="store_false", help="no ONNX file and no latency")
    add("--dry-run", action="store_true", help="plan and report, write nothing")
    add("--json", action="store_true", help="print the report as JSON to stdout, and nothing else there")


class UltralyticsScript(PruneScript):
    """The script of an ultralytics fork, which hands over how its release does what differs between releases."""

    package = "ultralytics"
    amount = "--ratio 0.5"
    sparse = "yolo train model={weights} data={data} sparsity=auto"

    def __init__(self, load: Load, export: Export, validate: Validate | None = None) -> None:
        self._load, self._export, self._validate = load, export, validate

    def load(self, path: Path) -> tuple[nn.Module, Checkpoint]:
        """Open a checkpoint."""
        return self._load(path)

    def export(self, path: Path, imgsz: int) -> Path:
        """Write the ONNX file."""
        return self._export(path, imgsz)

    def validate(self, path: Path, data: Path, imgsz: int) -> dict[str, float]:
        """Return upstream's metrics.

        Raises:
            ValueError: None was handed over.
        """
        if self._validate is None:
            raise ValueError(NO_VALIDATOR)
        return self._validate(path, data, imgsz)

    def open_data(self, source: Path, model: nn.Module, imgsz: int, limit: int, *, val: bool) -> DataSet:
        """Open a data set."""
        return open_data(source, model, imgsz, limit, val=val)

    def parser(self) -> argparse.ArgumentParser:
        """Return the parser, in the manner of `apply-patches`."""
        return _parser()

    def check(self, options: PruneOptions) -> None:
        """Refuse options that do not fit, and to validate without a validator."""
        super().check(options)
        if options.val and self._validate is None:
            raise ValueError(NO_VALIDATOR)

    def out(self, options: PruneOptions) -> Path:
        """Name the pruned checkpoint `<weights>-pruned.pt`."""
        return options.out or options.weights.with_name(f"{options.weights.stem}-pruned.pt")

    def select(self, selector: Selector, options: PruneOptions) -> Selection:
        """Select by a ratio or a threshold."""
        return selector.by(options.ratio, options.threshold)

    def plots(self, files: Files) -> list[Path]:
        """Name the two plots."""
        return [files.beside("-gamma.png"), files.beside("-channels.png")]

    def draw(self, files: Files, dense: nn.Module, pruned: nn.Module, channels: Channels) -> None:
        """Draw the scales, and the channels of each layer."""
        scales, layers = self.plots(files)
        plots.draw_gammas(scales, before=prunable_gammas(dense, channels), after=prunable_gammas(pruned))
        plots.channels(layers, before=widths(dense), after=widths(pruned))


Line = UltralyticsScript  # as the scripts of forks call it
