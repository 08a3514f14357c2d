"""The stages of `apply-patches demo` that run inside the fork; run as `python demo_steps.py STAGE ARGUMENTS`.

`train` takes a JSON object of train arguments, and goes on where an earlier run of the same name was cut off. `report`
measures what the journey made and draws it. How the fork's upstream is used is in `demo_<upstream>`. Lines that start
with `slimfork:` are for the command that called.
"""

from __future__ import annotations

import importlib
import json
import os
import shutil
import sys
from typing import TYPE_CHECKING, Any, Callable, Protocol

import torch

if TYPE_CHECKING:
    from pathlib import Path

    from . import demo_ultralytics, demo_yolov5
    from .scratch import FACTS_MARK, WORK
else:
    from scratch import FACTS_MARK, WORK


class DemoAdapter(Protocol):
    """What is asked of `demo_<upstream>`; arguments are those of a stage of the recipe, read back from JSON."""

    SLIM: str  # where its slim package is imported from

    def load(self, weights: Path) -> torch.nn.Module:
        """Return the model of a checkpoint."""

    def train(self, arguments: dict[str, Any], last: Path | None, done: Callable[[int], None]) -> None:
        """Train, or finish the run whose checkpoint is given; `done` is told how many epochs have ended."""

    def export(self, weights: Path, imgsz: int) -> Path:
        """Write the ONNX file beside a checkpoint."""

    def validate(self, weights: Path, arguments: dict[str, Any]) -> dict[str, Any]:
        """Return mAP50, mAP50-95, and precision, (classes, n), over recall, (n,)."""


if TYPE_CHECKING:  # mypy sees that each module is one
    adapter: DemoAdapter = demo_ultralytics
    adapter = demo_yolov5
else:
    adapter = importlib.import_module(f"demo_{os.environ['SLIMFORK_UPSTREAM']}")


def tell(**facts: Any) -> None:
    """Say something to the command that called."""
    print(f"{FACTS_MARK} {json.dumps(facts)}", flush=True)  # noqa: T201 - the way to the caller


def train(arguments: dict[str, Any]) -> None:
    """Train, or finish a run that was cut off; the weights go to NAME.pt."""
    last = WORK / "runs" / arguments["name"] / "weights" / "last.pt"
    resumable = last.is_file() and torch.load(last, map_location="cpu", weights_only=False).get("epoch", -1) >= 0

    def done(epochs: int) -> None:
        tell(epoch=epochs, epochs=arguments["epochs"])

    adapter.train(arguments, last if resumable else None, done)
    shutil.copy(last, WORK / f"{arguments['name']}.pt")


def report(arguments: dict[str, Any]) -> None:
    """Compare the dense model with the pruned, fine-tuned one, and draw the plots."""
    measure = importlib.import_module(f"{adapter.SLIM}.costs.measure")
    weights = [WORK / "dense.pt", WORK / "slim.pt"]
    scores = [adapter.validate(path, arguments) for path in weights]
    exports = [adapter.export(path, arguments["imgsz"]) for path in weights]
    times = measure.latencies(exports, imgsz=arguments["imgsz"], threads=arguments["threads"])
    measured = []
    for path, onnx, score, milliseconds in zip(weights, exports, scores, times):
        one = measure.measure(
            adapter.load(path).float(),
            imgsz=arguments["imgsz"],
            pt=path,
            onnx=onnx,
            latency_ms=milliseconds,
            map50=float(score["map50"]),
            map50_95=float(score["map50_95"]),
        )
        measured.append(one)
    lines, rows = measure.table(*measured)
    tell(lines=lines, rows=rows, plots=[*_draw_models(), _draw_precision(*scores)])


def _draw_models() -> tuple[str, str]:
    """Draw the scales and the channels, and return the files."""
    plots = importlib.import_module(f"{adapter.SLIM}.writing.plots")
    scales = importlib.import_module(f"{adapter.SLIM}.analysis.scales")
    dense, slim, sparse = _model("dense"), _model("slim"), _model("sparse")
    gammas, sparse_gammas = scales.prunable_gammas(dense), scales.prunable_gammas(sparse)
    widths, slim_widths = scales.widths(dense), scales.widths(slim)
    return (
        str(plots.draw_gammas(WORK / "gamma.png", before=gammas, after=sparse_gammas)),
        str(plots.channels(WORK / "channels.png", before=widths, after=slim_widths)),
    )


def _model(stage: str) -> torch.nn.Module:
    return adapter.load(WORK / f"{stage}.pt").float()


def _draw_precision(dense: dict[str, Any], slim: dict[str, Any]) -> str:
    """Draw precision over recall of two models that were validated, and return the file."""
    plots = importlib.import_module(f"{adapter.SLIM}.writing.plots")
    before, after = dense["precision"], slim["precision"]
    file = WORK / "pr.png"
    return str(
        plots.precision_recall(file, recall=dense["recall"], before=before, after=after, names=("dense", "slim"))
    )


if __name__ == "__main__":
    {"train": train, "report": report}[sys.argv[1]](json.loads(sys.argv[2]))
