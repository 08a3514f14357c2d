"""The stages of `apply-patches demo` that run inside the fork; run as `python demo_steps.py STAGE ARGUMENTS`.

`train` takes a JSON object of train arguments, and goes on where an earlier run of the same name was cut off. `report`
measures what the journey made and draws it. Lines that start with `slimfork:` are for the command that called.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import torch

WORK = Path(__file__).resolve().parent
MARK = "slimfork:"


def tell(**facts: Any) -> None:
    """Say something to the command that called."""
    print(f"{MARK} {json.dumps(facts)}", flush=True)  # noqa: T201 - the way to the caller


def yolo(weights: str | Path) -> Any:
    """Open a model."""
    from ultralytics import YOLO

    return YOLO(str(weights))


def train(arguments: dict[str, Any]) -> None:
    """Train, or finish a run that was cut off; the weights go to NAME.pt."""
    name = arguments["name"]
    last = WORK / "runs" / name / "weights" / "last.pt"
    resumable = last.is_file() and torch.load(last, map_location="cpu", weights_only=False).get("epoch", -1) >= 0
    model = yolo(last if resumable else arguments["model"])

    def said(trainer: Any) -> None:
        tell(epoch=min(trainer.epoch + 1, trainer.epochs), epochs=trainer.epochs)  # it is called once more at the end

    model.add_callback("on_fit_epoch_end", said)
    if resumable:
        model.train(resume=True)
    else:
        rest = {key: value for key, value in arguments.items() if key != "model"}
        model.train(**rest, project=str(WORK / "runs"), exist_ok=True)
    shutil.copy(last, WORK / f"{name}.pt")


def report(arguments: dict[str, Any]) -> None:
    """Compare the dense model with the pruned, fine-tuned one, and draw the plots."""
    from ultralytics.slim import measure

    weights = {"dense": WORK / "dense.pt", "slim": WORK / "slim.pt"}
    scores = {name: _validate(path, arguments) for name, path in weights.items()}
    exports = {name: _export(path, arguments["imgsz"]) for name, path in weights.items()}
    times = measure.latencies(list(exports.values()), imgsz=arguments["imgsz"], threads=arguments["threads"])
    measured = [
        measure.measure(
            yolo(weights[name]).model.float(),
            imgsz=arguments["imgsz"],
            pt=weights[name],
            onnx=exports[name],
            latency_ms=milliseconds,
            map50=float(scores[name].map50),
            map50_95=float(scores[name].map),
        )
        for name, milliseconds in zip(weights, times)
    ]
    lines, rows = measure.table(*measured)
    tell(lines=lines, rows=rows, plots=[str(path) for path in _draw(weights, scores)])


def _export(weights: Path, imgsz: int) -> Path:
    return Path(yolo(weights).export(format="onnx", imgsz=imgsz))


def _draw(weights: dict[str, Path], scores: dict[str, Any]) -> list[Path]:
    from ultralytics.slim import plots, scales

    models = {name: yolo(path).model.float() for name, path in (*weights.items(), ("sparse", WORK / "sparse.pt"))}
    gamma = {name: scales.gammas(models[name]) for name in ("dense", "sparse")}
    width = {name: scales.widths(models[name]) for name in weights}
    (recall, dense, *_), (_, slim, *_) = (scores[name].curves_results[0] for name in ("dense", "slim"))
    return [
        plots.gammas(WORK / "gamma.png", before=gamma["dense"], after=gamma["sparse"]),
        plots.channels(WORK / "channels.png", before=width["dense"], after=width["slim"]),
        plots.precision_recall(WORK / "pr.png", recall=recall, before=dense, after=slim, names=("dense", "slim")),
    ]


def _validate(weights: Path, arguments: dict[str, Any]) -> Any:
    run = {"project": str(WORK / "runs"), "name": f"val-{weights.stem}", "exist_ok": True, "plots": False}
    settings = {key: arguments[key] for key in ("data", "imgsz", "batch", "workers", "device")}
    return yolo(weights).val(**settings, **run).box


if __name__ == "__main__":
    {"train": train, "report": report}[sys.argv[1]](json.loads(sys.argv[2]))
