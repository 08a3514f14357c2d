"""What a prune script is made of: what its release does itself, how its options are spelled, and its files."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from ..pruning.target import Target
from .options import PruneOptions

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence
    from pathlib import Path

    from torch import nn

    from ..analysis.channels import Channels
    from ..calibration.datasets import DataSet
    from ..files.checkpoint import Checkpoint
    from ..pruning.plan import Plan
    from ..pruning.selection import Selection, Selector


@dataclass(frozen=True)
class Files:
    """Where the results of a run lie: all beside the pruned checkpoint."""

    checkpoint: Path

    def beside(self, ending: str) -> Path:
        """Return the path of a companion, `<name><ending>`."""
        return self.checkpoint.with_name(self.checkpoint.stem + ending)


class PruneScript(ABC):
    """What differs between the prune scripts of the two upstreams.

    Attributes:
        package: Where the release keeps its modules: `ultralytics`, `yolov5`, or none.
        floor: How many strides a side has at least that its training takes.
        amount: How it is said how much to prune, for the command that makes a plan.
        sparse: The command that trains a model, {weights} on {data}, sparse, for the doubts about one that was not.
        trainable: Whether parameters ask for gradients in the checkpoint that is written.
    """

    package: str
    floor: ClassVar[int] = 1
    amount: ClassVar[str]
    sparse: ClassVar[str]
    trainable: ClassVar[bool] = False

    @abstractmethod
    def load(self, path: Path) -> tuple[nn.Module, Checkpoint]:
        """Return the model of a checkpoint and the checkpoint itself, with upstream's own loader.

        Its `torch.load` is handed what has been read already, unless the user trusts the file.
        """

    @abstractmethod
    def export(self, path: Path, imgsz: int) -> Path:
        """Write the ONNX file beside a checkpoint, and return its path."""

    @abstractmethod
    def validate(self, path: Path, data: Path, imgsz: int) -> dict[str, float]:
        """Return upstream's metrics of a checkpoint by name, on the data set of a YAML."""

    @abstractmethod
    def open_data(self, source: Path, model: nn.Module, imgsz: int, limit: int, *, val: bool) -> DataSet:
        """Open a data set for a model: the images that upstream trains on, of that size, at most so many."""

    @abstractmethod
    def parser(self) -> argparse.ArgumentParser:
        """Return the parser of its options, whose names are those of `PruneOptions`."""

    def read(self, arguments: Sequence[str] | None) -> PruneOptions:
        """Read the options that were typed.

        Raises:
            TargetError: The target makes no sense.
            SystemExit: They are not the script's; argparse has said how to use it.
        """
        typed = vars(self.parser().parse_args(arguments))
        target = Target.parse(typed["target"]) if typed["target"] else None
        return PruneOptions(**{**typed, "target": target, "keep": tuple(typed["keep"]), "only": tuple(typed["only"])})

    def check(self, options: PruneOptions) -> None:
        """Refuse options that do not fit.

        Raises:
            ValueError: As it says.
        """
        options.check()

    @abstractmethod
    def out(self, options: PruneOptions) -> Path:
        """Name the pruned checkpoint."""

    def prepare(self, model: nn.Module, options: PruneOptions) -> tuple[nn.Module, list[str]]:
        """Make the loaded model the one to prune; say what was done, a line each."""
        del options
        return model, []

    @abstractmethod
    def select(self, selector: Selector, options: PruneOptions) -> Selection:
        """Select what the options say, where they name neither a target nor a plan."""

    def remarks(self, dense: nn.Module, pruned: nn.Module, plan: Plan, options: PruneOptions, imgsz: int) -> list[str]:
        """Say what there is to say of the result, a line each."""
        del dense, pruned, plan, options, imgsz
        return []

    @abstractmethod
    def plots(self, files: Files) -> list[Path]:
        """Name the plots, before anything is drawn."""

    @abstractmethod
    def draw(self, files: Files, dense: nn.Module, pruned: nn.Module, channels: Channels) -> None:
        """Draw the plots beside the result."""
