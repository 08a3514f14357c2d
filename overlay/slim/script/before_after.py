"""Measure a model before and after pruning, with its files: the checkpoint, and the ONNX file that upstream exports."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Callable

from ..costs import measure
from ..files.checkpoint import save_checkpoint
from ..writing.log import first_line, quiet
from ..writing.whole_files import scratch

if TYPE_CHECKING:
    from torch import nn

    from ..files.checkpoint import Checkpoint

Export = Callable[[Path, int], Path]
WRITTEN = "the checkpoint is written, but not the ONNX file ({}); --no-onnx leaves it out"
TRIED = "--target latency=... times ONNX files, and one failed to export ({}); --target flops=... needs none"


def measured(
    export: Export | None, written: Path, dense: nn.Module, pruned: nn.Module, checkpoint: Checkpoint, imgsz: int
) -> tuple[measure.Measured, measure.Measured]:
    """Measure both models; the dense one's files are made for this and thrown away.

    Args:
        export: Writes the ONNX file beside a checkpoint; None leaves it out, and latency with it.
        written: The pruned checkpoint.
        dense: The model before.
        pruned: The model after.
        checkpoint: What the dense one was loaded from.
        imgsz: Side of the image, in pixels.

    Raises:
        ValueError: The export failed.
    """
    with scratch() as temporary:
        dense_pt = Path(temporary) / "dense.pt"
        save_checkpoint(dense_pt, dense, checkpoint)
        if export is None:
            before = measure.measure(dense, imgsz=imgsz, pt=dense_pt)
            return before, measure.measure(pruned, imgsz=imgsz, pt=written)
        with quiet():  # upstream tells at length what to do with each file, the one thrown away included
            models = [_exported(export, path, imgsz, WRITTEN) for path in (dense_pt, written)]
        times = measure.latencies(models, imgsz=imgsz)
        return (
            measure.measure(dense, imgsz=imgsz, pt=dense_pt, onnx=models[0], latency_ms=times[0]),
            measure.measure(pruned, imgsz=imgsz, pt=written, onnx=models[1], latency_ms=times[1]),
        )


def exported(export: Export, path: Path, model: nn.Module, checkpoint: Checkpoint, imgsz: int) -> Path:
    """Write a model that is tried as a checkpoint, and its ONNX file beside it, which is returned.

    Raises:
        ValueError: The export failed.
    """
    save_checkpoint(path, model, checkpoint)
    return _exported(export, path, imgsz, TRIED)


def _exported(export: Export, path: Path, imgsz: int, failing: str) -> Path:
    try:
        return export(path, imgsz)
    except Exception as error:  # upstream's exporter and those it calls raise anything
        raise ValueError(failing.format(first_line(error))) from error
