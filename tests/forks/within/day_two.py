"""What one does with a trained model on the next day: export it, search for hyperparameters, measure its formats."""

from __future__ import annotations

from pathlib import Path

import torch
from looks import facts
from steps import TRAIN
from ultralytics.nn.autobackend import AutoBackend

from ultralytics import YOLO


def served(weights, kind):
    """Export to a format; how far apart what comes out is from PyTorch's, of values in pixels, and the file."""
    picture = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    model = YOLO(weights)
    model.export(format=kind, imgsz=64, **({"simplify": False} if kind == "onnx" else {}))
    place = Path(weights).with_suffix("")
    endings = {"onnx": ".onnx", "torchscript": ".torchscript", "mnn": ".mnn"}
    file = place.with_suffix(endings[kind]) if kind in endings else place.with_name(f"{place.name}_{kind}_model")
    ours, theirs = (_said(path, picture) for path in (weights, file))
    return {"shapes": [list(ours.shape), list(theirs.shape)], "apart": (ours - theirs).abs().max().item()}


def _said(path, picture):
    out = AutoBackend(str(path), device=torch.device("cpu"))(picture)
    return torch.as_tensor(out[0] if isinstance(out, (list, tuple)) else out).float()


def tuned(weights, data, name):
    """Search for hyperparameters, two trainings; facts of the best one's checkpoint."""
    model = YOLO(weights)
    model.tune(**{**TRAIN, "data": data, "name": name}, iterations=2, val=True)
    (best,) = Path(TRAIN["project"]).glob(f"{name}*/weights/best.pt")
    return facts(str(best))


def benchmarked(weights, data, kind):
    """Let upstream's benchmark export a model, validate and time it; its table's rows."""
    from ultralytics.utils.benchmarks import benchmark

    table = benchmark(model=weights, data=data, imgsz=64, device="cpu", format=kind)
    rows = table.to_dicts() if hasattr(table, "to_dicts") else table.to_dict("records")
    return [{key: str(value) for key, value in row.items()} for row in rows]
