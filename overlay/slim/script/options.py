"""What a run of `prune.py` is asked for, as one record that nothing changes on the way."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ..costs.layer_timer import channel_block
from ..pruning.target import TargetError

if TYPE_CHECKING:
    from pathlib import Path

    from ..pruning.target import Target


@dataclass(frozen=True)
class PruneOptions:
    """The options of both upstreams' scripts; None where the user leaves a choice to the script.

    Attributes:
        weights: The checkpoint to prune.
        ratio: Share of all prunable channels to drop.
        threshold: Or the |γ| at or below which a channel goes; the write-up's `--thres`, 0 being none.
        prob: Or, of the write-up alone, the share of all BatchNorm scales below the threshold.
        target: Or what the pruned model may cost.
        plan: Or a plan that was saved before.
        report: Only say what can be pruned.
        advice: Only say how far pruning can go.
        cfg: Of the write-up alone, the model's YAML to build.
        save_dir: Of the write-up alone, the folder of the results.
        round_to: Keep a multiple of this many channels a layer.
        score: What to go by, one of `planner.SCORES`.
        min_channels: Keep at least this many channels a layer.
        keep: Patterns of layers that lose no channel.
        only: Patterns of layers that alone may lose channels.
        plan_out: Where the plan is written as well.
        val: Whether to validate on `data`.
        data: A data set's YAML or folder, to re-estimate BatchNorm statistics on.
        images: How many images of it.
        imgsz: Side of an image, in pixels.
        out: Where the pruned checkpoint goes.
        overwrite: Whether to replace files that no earlier run wrote.
        trust: Whether to run what the checkpoint's pickle says.
        fold: Whether to fold the constant output of dropped channels.
        onnx: Whether to export, and measure latency.
        dry_run: Whether to write nothing.
        json: Whether to print the report as JSON.
    """

    weights: Path
    ratio: float | None = None
    threshold: float | None = None
    prob: float | None = None
    target: Target | None = None
    plan: Path | None = None
    report: bool = False
    advice: bool = False
    cfg: Path | None = None
    save_dir: Path | None = None
    round_to: int | None = None
    score: str | None = None
    min_channels: int = 1
    keep: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    plan_out: Path | None = None
    val: bool = False
    data: Path | None = None
    images: int = 512
    imgsz: int | None = None
    out: Path | None = None
    overwrite: bool = False
    trust: bool = False
    fold: bool = True
    onnx: bool = True
    dry_run: bool = False
    json: bool = False

    @property
    def fast(self) -> bool:
        """Whether a latency is asked for."""
        return self.target is not None and self.target.kind == "latency"

    @property
    def multiple(self) -> int:
        """What kept counts are a multiple of."""
        return 1 if self.round_to is None else self.round_to

    def check(self) -> None:
        """Refuse what would only be found out after the work is done.

        Raises:
            ValueError: Options are out of range, or do not go together.
        """
        if self.target is not None and self.fast and not self.onnx:
            raise TargetError(f"--target {self.target.text}: is measured on the ONNX file; leave out --no-onnx")
        if self.plan and (self.keep or self.only):
            raise ValueError(
                "--plan says already which channels stay: leave --keep and --only to the run that makes it"
            )
        if self.plan and (self.score or self.min_channels != 1 or self.round_to is not None):
            raise ValueError("--plan says already how many stay: leave out --score, --min-channels and rounding")
        if self.val and not self.data:
            raise ValueError("--val: needs --data, the data set to validate on")
        if self.plan_out and self.plan_out.suffix != ".json":
            raise ValueError(f"--plan-out {self.plan_out}: must end in .json, which a plan is")
        if self.images < 1:
            raise ValueError(f"--images {self.images}: must be at least 1")
        if self.imgsz is not None and self.imgsz < 1:
            raise ValueError(f"--imgsz {self.imgsz}: must be at least 1")

    def rounded(self) -> PruneOptions:
        """Return them with what a latency rounds to, where the user has not said.

        Raises:
            ValueError: A latency is asked for, and a package is missing.
        """
        return replace(self, round_to=channel_block()) if self.fast and self.round_to is None else self

    def scored(self, *, sparse: bool) -> PruneOptions:
        """Return them with the score that a target has, where the user has not said.

        What is to be saved weighs the scores of a sparse model: by plain |γ| a small share of the FLOPs is reached at
        the cost of all late layers, which hardly count (`tools/bench/scores.py`). Where scales are much alike, as in a
        model that was not trained sparse, costs would decide alone, and the dearest layers go whole
        (`tools/bench/penalties.py`: mAP50-95 0.39 instead of 0.71).
        """
        return replace(self, score=self.target.kind) if self.target and self.score is None and sparse else self
