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
    weights = {"dense": WORK / "dense.pt", "slim": WORK / "slim.pt"}
    scores = {name: adapter.validate(path, arguments) for name, path in weights.items()}
    exports = {name: adapter.export(path, arguments["imgsz"]) for name, path in weights.items()}
    times = measure.latencies(list(exports.values()), imgsz=arguments["imgsz"], threads=arguments["threads"])
    measured = [
        measure.measure(
            adapter.load(weights[name]).float(),
            imgsz=arguments["imgsz"],
            pt=weights[name],
            onnx=exports[name],
            latency_ms=milliseconds,
            map50=float(scores[name]["map50"]),
            map50_95=float(scores[name]["map50_95"]),
        )
        for name, milliseconds in zip(weights, times)
    ]
    lines, rows = measure.table(*measured)
    tell(lines=lines, rows=rows, plots=[str(path) for path in _draw(weights, scores)])


def _draw(weights: dict[str, Path], scores: dict[str, Any]) -> list[Path]:
    plots, scales = (importlib.import_module(f"{adapter.SLIM}.{name}") for name in ("writing.plots", "analysis.scales"))
    models = {name: adapter.load(path).float() for name, path in (*weights.items(), ("sparse", WORK / "sparse.pt"))}
    gamma = {name: scales.prunable_gammas(models[name]) for name in ("dense", "sparse")}
    width = {name: scales.widths(models[name]) for name in weights}
    curves = {name: scores[name]["precision"] for name in weights}
    recall = scores["dense"]["recall"]
    return [
        plots.draw_gammas(WORK / "gamma.png", before=gamma["dense"], after=gamma["sparse"]),
        plots.channels(WORK / "channels.png", before=width["dense"], after=width["slim"]),
        plots.precision_recall(
            WORK / "pr.png", recall=recall, before=curves["dense"], after=curves["slim"], names=("dense", "slim")
        ),
    ]


if __name__ == "__main__":
    {"train": train, "report": report}[sys.argv[1]](json.loads(sys.argv[2]))
