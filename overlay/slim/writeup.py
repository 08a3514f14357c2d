"""The options of a YOLOv5 fork's `prune.py`, which are the second write-up's, and what its files are called.

`--prob P` takes the threshold at that quantile of all BatchNorm scales of the model, `--thres T` gives it, and what
lies below goes: a channel, when all the scales that it passes do. `--rate R` keeps a multiple of R channels a layer;
where the write-up rounds to the nearest, this rounds up, so that nothing above the threshold goes for a number's sake.
The result is `pruned_<digits of P>.pt`, or `pruned_auto.pt` for a given threshold. The histograms are PNG: JPEG, which
the write-up has, blurs bars, and matplotlib writes it only with Pillow.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import nn

from .analysis.scales import widths
from .calibration.yolov5_data import open_data
from .command import ADVICE, common_arguments, report_argument
from .costs.measure import count_parameters
from .labels.tracked import tensors
from .models.model_yaml import built_from
from .passes.shadow import image
from .pruning.target import EXAMPLES
from .script import journey, yolov5_release
from .script.interface import Files, PruneScript
from .training.penalty import NORMS
from .writing import plots
from .writing.log import OFFICIAL

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from .analysis.channels import Channels
    from .calibration.datasets import DataSet
    from .files.checkpoint import Checkpoint
    from .pruning.plan import Plan
    from .pruning.selection import Selection, Selector
    from .script.options import PruneOptions


def main(script: PruneScript, arguments: Sequence[str] | None = None) -> int:
    """Run the script; returns its exit code (0 done, 2 usage or input, 130 interrupted)."""
    return journey.run(script, arguments)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Prune the channels that a model can spare.", allow_abbrev=False)
    add = parser.add_argument
    add("--cfg", type=Path, help="model.yaml to build; left out, the checkpoint's own architecture")
    add("--weights", type=Path, required=True, help="the checkpoint to prune; last.pt of a sparse run")
    add("--save-dir", type=Path, help="folder of the results (default: that of the weights)")
    add("-p", "--prob", type=float, help="share of all BatchNorm scales below the threshold (default: 0.5)")
    add("-t", "--thres", dest="threshold", metavar="THRES", type=float, help="the threshold itself; 0 takes --prob")
    add("-r", "--rate", dest="round_to", type=int, help="keep a multiple of this many channels a layer, rounded up")
    add("--target", help=f"instead of -p or -t, drop no more than it takes to get there: {EXAMPLES}")
    add("--plan", type=Path, help="apply a plan that was saved before")
    report_argument(parser)
    add("--advice", action="store_true", help=ADVICE)
    common_arguments(parser, "(default: <save-dir>/pruned_<digits of prob>.pt, pruned_auto.pt with --thres)")
    return parser


def _prob(options: PruneOptions) -> float:
    return 0.5 if options.prob is None else options.prob


def _check(options: PruneOptions) -> None:
    """Refuse numbers out of range.

    Raises:
        ValueError: As it says.
    """
    if not 0 <= _prob(options) < 1:
        raise ValueError(f"--prob {options.prob}: is the share of scales below the threshold, at least 0, less than 1")
    if options.threshold is not None and not 0 <= options.threshold < float("inf"):
        raise ValueError(f"--thres {options.threshold}: is compared with |γ|, so it must be finite and at least 0")
    if options.threshold and options.prob is not None:
        raise ValueError("--prob and --thres: give one of them; --thres is a threshold, --prob finds one")
    if options.target and (options.threshold or options.prob is not None or options.plan):
        raise ValueError("--target finds the threshold: leave out --prob, --thres and --plan")
    if options.plan and (options.threshold or options.prob is not None):
        raise ValueError("--plan says already which channels stay: leave out --prob and --thres")
    if options.round_to is not None and options.round_to < 1:
        raise ValueError(f"--rate {options.round_to}: must be at least 1; 8 suits fp16, 16 or 32 int8")


def all_scales(model: nn.Module) -> Tensor:
    """Return |γ| of every BatchNorm of a model, ascending."""
    gammas = [m.weight.detach().float().abs() for m in model.modules() if isinstance(m, NORMS) and m.affine]
    if not gammas:
        raise ValueError("the model has no BatchNorm scales to prune by")
    return torch.cat(gammas).sort().values


@dataclass(frozen=True)
class WriteUpScript(PruneScript):
    """The script of a YOLOv5 fork, whose release keeps its modules in a package, `yolov5` or none."""

    package: str
    floor = 2
    amount = "--prob 0.5"
    sparse = ("python train.py" if OFFICIAL else "yolov5 train") + " --weights {weights} --data {data} --sl auto"
    trainable = True

    def load(self, path: Path) -> tuple[nn.Module, Checkpoint]:
        """Open a checkpoint without folding its BatchNorms."""
        return yolov5_release.load(path, self.package)

    def export(self, path: Path, imgsz: int) -> Path:
        """Write the ONNX file with upstream's own script."""
        return yolov5_release.export(path, imgsz, self.package)

    def validate(self, path: Path, data: Path, imgsz: int) -> dict[str, float]:
        """Return the metrics that upstream's own script prints."""
        return yolov5_release.validate(path, data, imgsz, self.package)

    def open_data(self, source: Path, model: nn.Module, imgsz: int, limit: int, *, val: bool) -> DataSet:
        """Open a data set."""
        return open_data(source, model, imgsz, limit, val=val, package=self.package)

    def parser(self) -> argparse.ArgumentParser:
        """Return the parser of the write-up's options."""
        return _parser()

    def check(self, options: PruneOptions) -> None:
        """Refuse also the write-up's numbers out of range."""
        _check(options)
        super().check(options)

    def out(self, options: PruneOptions) -> Path:
        """Name the result as the write-up does: `str(prob).split(".")[-1]`."""
        digits = str(_prob(options)).rpartition(".")[2]
        name = "plan" if options.plan else "auto" if options.threshold or options.target else digits
        return options.out or (options.save_dir or options.weights.parent) / f"pruned_{name}.pt"

    def prepare(self, model: nn.Module, options: PruneOptions) -> tuple[nn.Module, list[str]]:
        """Build the model of a YAML, if one is given."""
        return built_from(options.cfg, model, options.weights) if options.cfg else (model, [])

    def select(self, selector: Selector, options: PruneOptions) -> Selection:
        """Drop what is strictly below the threshold; but where that is zero, what is exactly zero, which does nothing.

        A quantile is of all |γ| of the model; of what is weighed, which only prunable channels have, of those.
        """
        prob, threshold = _prob(options), options.threshold or 0.0
        if not threshold and selector.importance.by != "gamma":
            return selector.by_ratio(prob)
        if not threshold:
            scales = all_scales(selector.model)
            threshold = float(scales[min(int(prob * len(scales)), len(scales) - 1)])
        return selector.by_threshold(threshold, strictly=bool(threshold) or (not options.threshold and prob == 0))

    def remarks(self, dense: nn.Module, pruned: nn.Module, plan: Plan, options: PruneOptions, imgsz: int) -> list[str]:
        """Say what the write-up prints."""
        scales = all_scales(dense)
        below = int((scales < plan.threshold).sum())
        with torch.no_grad():
            outputs = tensors(pruned(image(pruned, imgsz)))
        by_scale = [
            f"Min γ is {scales[0]:.6f}, max γ is {scales[-1]:.6f}, threshold is {plan.threshold:.6f}",
            f"{below} of {len(scales)} scales lie below it; a channel goes when all the scales that it passes do",
        ]
        return [
            *([] if options.importance == "images" else by_scale),
            f"Params: {count_parameters(dense)} => {count_parameters(pruned)}",
            *(f"Output: {tuple(output.shape)}" for output in outputs),
        ]

    def plots(self, files: Files) -> list[Path]:
        """Name the three plots."""
        folder = files.checkpoint.parent
        return [folder / "before_pruning.png", folder / "after_pruning.png", files.beside("-channels.png")]

    def draw(self, files: Files, dense: nn.Module, pruned: nn.Module, channels: Channels) -> None:
        """Draw all scales before and after on the same axis, and the channels of each layer."""
        del channels
        before, after = all_scales(dense), all_scales(pruned)
        earlier, later, layers = self.plots(files)
        top = float(max(before[-1], after[-1]))
        plots.scales(earlier, before, name="before pruning", top=top)
        plots.scales(later, after, name="after pruning", top=top)
        plots.channels(layers, before=widths(dense), after=widths(pruned))
