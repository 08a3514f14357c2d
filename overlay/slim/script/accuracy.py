"""What each step of pruning costs: how far folding is from exact, and the accuracy after every step."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Callable

import torch

from ..files.checkpoint import save_checkpoint
from ..files.sealed import sealed
from ..pruning.sensitivity import raw_outputs, said_by
from ..writing.log import first_line, quiet
from ..writing.whole_files import scratch

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from torch import Tensor, nn

    from ..analysis.channels import Channels
    from ..calibration.datasets import DataSet
    from ..files.checkpoint import Checkpoint

Validate = Callable[[Path, Path, int], "dict[str, float]"]


def folding_error(
    masked: nn.Module, folded: nn.Module, channels: Channels, images: Iterable[Tensor]
) -> tuple[float, float]:
    """Return how far a folded model is from the one whose dropped channels still say their constants.

    Compared is what the layers give out behind which there is no BatchNorm, as a head's last ones: what is decoded or
    sorted from them would magnify or hide a difference.

    Args:
        masked: The model at full width, of `mask_plan(fold=True)`.
        folded: The pruned one.
        channels: Of the model before.
        images: Batches, (B, C, H, W).

    Returns:
        The mean and the largest difference, relative to the mean and the largest size of what is compared.
    """
    sums, peaks = torch.zeros(2, dtype=torch.float64), torch.zeros(2)
    for batch in images:
        for ours, theirs in zip(_raw(folded, channels, batch), _raw(masked, channels, batch)):
            if ours.shape == theirs.shape:
                difference = (ours - theirs).abs()
                sums += torch.stack((difference.sum(), theirs.abs().sum()))
                peaks = torch.maximum(peaks, torch.stack((difference.max(), theirs.abs().max())))
    mean, largest = float(sums[0] / sums[1].clamp_min(1e-12)), float(peaks[0] / peaks[1].clamp_min(1e-12))
    return mean, largest


def _raw(model: nn.Module, channels: Channels, images: Tensor) -> list[Tensor]:
    """Return what the layers give out that nobody may narrow and no BatchNorm follows."""
    return [tensor.cpu().float() for _, tensor in said_by(model, raw_outputs(channels), images)]


def accuracies(
    validate: Validate, models: Mapping[str, nn.Module], checkpoint: Checkpoint, data: DataSet, imgsz: int
) -> dict[str, dict[str, float]]:
    """Return what upstream's own validator says of each model, by name.

    Args:
        validate: Path of a checkpoint, of the data set's YAML, and the size of the images: metrics by name.
        models: The models.
        checkpoint: What the first of them was loaded from.
        data: The data set, opened to validate on.
        imgsz: Side of an image, in pixels.

    Raises:
        ValueError: Upstream's validator failed.
    """
    found: dict[str, dict[str, float]] = {}
    with scratch() as temporary, quiet(), sealed():
        if data.validation is None:
            raise ValueError(f"--val: {data.source} was not opened to validate on")
        own = data.validation(Path(temporary))
        for name, model in models.items():
            path = Path(temporary) / "model.pt"
            save_checkpoint(path, model, checkpoint)
            try:
                found[name] = validate(path, own, imgsz)
            except Exception as error:  # upstream's validator raises anything
                raise ValueError(f"--val: upstream cannot validate on {data.source} ({first_line(error)})") from error
    return found


def accuracy_table(found: Mapping[str, Mapping[str, float]]) -> list[str]:
    """Return the metrics as lines of text, a model each."""
    wide = {name: max(10, len(name) + 2) for metrics in found.values() for name in metrics}
    lines = [f"{'':<26}" + "".join(f"{name:>{width}}" for name, width in wide.items())]
    for model, metrics in found.items():
        cells = "".join(f"{metrics[name]:>{width}.4f}" for name, width in wide.items())
        lines.append(f"{model:<26}{cells}")
    return lines
