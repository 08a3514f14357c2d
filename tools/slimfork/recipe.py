"""The numbers of the demo, found by trying; see README for what they give."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

MODEL = "yolov8n.yaml"
IMGSZ = 160
IMAGES, VAL = 400, 100
THREADS = 2
EPOCHS = {"dense": 8, "sparse": 6, "slim": 8}
PRUNE = ("--threshold", "0.01")

COMMON: dict[str, Any] = {
    "imgsz": IMGSZ,
    "batch": 16,
    "nbs": 16,
    "workers": 0,
    "device": "cpu",
    "amp": False,
    "plots": False,
    "val": False,
    "cache": "ram",
    "optimizer": "SGD",
    "lr0": 0.02,
    "warmup_epochs": 1.0,
    "close_mosaic": 0,
    "mosaic": 0.0,
    "seed": 0,
}
STAGES: dict[str, dict[str, Any]] = {
    "dense": {"model": MODEL},
    "sparse": {"model": "dense.pt", "sparsity": 1.5},
    "slim": {"model": "pruned.pt"},
}


def training(name: str, data: Path) -> dict[str, Any]:
    """Return the train arguments of a stage: `dense`, `sparse` or `slim`."""
    return {**COMMON, "data": str(data), "epochs": EPOCHS[name], "name": name, **STAGES[name]}
