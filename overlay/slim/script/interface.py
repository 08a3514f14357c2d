"""What a prune script is made of: what its release line does itself, how its options are spelled, and its files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Callable

from ..calibration import ultralytics_data

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from torch import nn

    from ..analysis.channels import Channels
    from ..calibration.datasets import DataSet
    from ..pruning.plan import Plan
    from ..pruning.scoring import Scores
    from .options import PruneOptions
    from .stages import Validate

    OpenData = Callable[..., DataSet]


@dataclass(frozen=True)
class Line:
    """What differs between release lines.

    Attributes:
        load: Path of a checkpoint to its model and the checkpoint itself, with upstream's own loader; its `torch.load`
            is handed what has been read already, unless the user trusts the file.
        export: Path of a checkpoint and image size; writes the ONNX file beside it and returns its path.
        validate: Path of a checkpoint, of a data set's YAML, and image size; upstream's metrics by name.
        package: Where the release keeps its modules: `ultralytics`, `yolov5`, or none.
        open_data: A data set, a model, the size and number of pictures: those that upstream trains on.
        floor: How many strides a side has at least that its training takes.
    """

    load: Callable[[Path], tuple[nn.Module, dict[str, Any]]]
    export: Callable[[Path, int], Path]
    validate: Validate | None = None
    package: str = "ultralytics"
    open_data: OpenData = ultralytics_data.open_data
    floor: int = 1


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
        read: Reads the options that were typed.
        out: Where the pruned checkpoint goes.
        prepare: Makes the loaded model the one to prune; says what it did, a line each.
        choose: Makes the plan, unless `--plan` names one, by these scores; at this ratio where there is one.
        remarks: What to say of the result, a line each.
        draw: Writes the pictures beside the result, and returns their paths.
        pictures: Those paths, before anything is drawn.
        amount: How it is said how much to prune, for the command that makes a plan.
        sparse: The command that trains a model, {weights} on {data}, sparse, for the doubts about one that was not.
        trainable: Whether parameters ask for gradients in the checkpoint that is written.
    """

    read: Callable[[Sequence[str] | None], PruneOptions]
    out: Callable[[PruneOptions], Path]
    prepare: Callable[[nn.Module, PruneOptions], tuple[nn.Module, list[str]]]
    choose: Callable[[nn.Module, Channels, Scores, PruneOptions, float | None], Plan]
    remarks: Callable[[nn.Module, nn.Module, Plan, int], list[str]]
    draw: Callable[[Files, nn.Module, nn.Module, Channels], list[Path]]
    pictures: Callable[[Files], list[Path]]
    amount: str
    sparse: str
    trainable: bool = False
