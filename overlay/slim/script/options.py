"""What a run of `prune.py` is asked for, as one record that nothing changes on the way."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from ..costs.layer_timer import channel_block
from ..pruning.target import TargetError

if TYPE_CHECKING:
    from pathlib import Path

    from ..pruning.target import Target
    from ..recovery.choice import Way


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
        importance: What to go by: |γ|, or the images of `data`.
        score: What that is weighed with, one of `planner.SCORES`.
        min_channels: Keep at least this many channels a layer.
        keep: Patterns of layers that lose no channel.
        only: Patterns of layers that alone may lose channels.
        plan_out: Where the plan is written as well.
        val: Whether to validate on `data`.
        data: A data set's YAML or folder, to choose channels by, and to win back accuracy on.
        images: How many images of it.
        recover: How accuracy is won back on them, one of `choice.WAYS`.
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
    importance: Literal["gamma", "images"] | None = None
    score: str | None = None
    min_channels: int = 1
    keep: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    plan_out: Path | None = None
    val: bool = False
    data: Path | None = None
    images: int = 512
    recover: Way = "best"
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
        if self.importance == "images" and not self.data:
            raise ValueError("--importance images: needs --data, the data set to look at")
        if self.importance == "images" and (self.threshold is not None or self.prob is not None):
            raise ValueError("--importance images: goes by a ratio or a target; a threshold is one of |γ|")
        if self.plan and (self.importance or self.score or self.min_channels != 1 or self.round_to is not None):
            raise ValueError(
                "--plan says already how many stay: leave out --importance, --score, --min-channels and rounding"
            )
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

    @property
    def by_share(self) -> bool:
        """Whether a ratio or a target is asked for, so that any importance will do."""
        return self.target is not None or self.ratio is not None

    def scored(self, *, sparse: bool) -> PruneOptions:
        """Return them with what to go by, where the user has not said.

        What a model that was not trained sparse can spare, its scales do not say, and images do: at FLOPs × 0.4 BCCD's
        yolov5n has an mAP50-95 of 0.465 by images, 0.023 by |γ|, of 0.508 (`tools/bench/README.md`).
        What is to be saved weighs it: by plain |γ| a small share of the FLOPs is reached at the cost of all late
        layers, which hardly count (`tools/bench/scores.py`). But where scales are much alike, costs would decide
        alone, and the dearest layers go whole (`tools/bench/penalties.py`: mAP50-95 0.39 instead of 0.71).
        """
        importance = self.importance or ("images" if self.data and self.by_share and not sparse else "gamma")
        weighed = self.target is not None and self.score is None and (sparse or importance == "images")
        score = self.target.kind if self.target and weighed else self.score
        return replace(self, importance=importance, score=score)
