"""The numbers of the demo; README says what they give; `tests/tools/demo/test_demo.py` runs it with smaller ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What one demo does.

    Attributes:
        imgsz: Side of a picture, in pixels.
        images: Training pictures.
        val: Validation pictures.
        threads: For training and for latency.
        prune: Arguments of the fork's `prune.py`.
        common: Train arguments of every stage.
        stages: Train arguments of each stage on top of these: `dense`, `sparse`, `slim`.
    """

    imgsz: int = 160
    images: int = 800
    val: int = 200
    threads: int = 2
    prune: tuple[str, ...]
    common: dict[str, Any]
    stages: dict[str, dict[str, Any]]

    def training(self, name: str, data: Path) -> dict[str, Any]:
        """Return the train arguments of a stage."""
        return {**self.common, "imgsz": self.imgsz, "data": str(data), "name": name, **self.stages[name]}


ULTRALYTICS_RECIPE = Recipe(
    prune=("--target", "flops=0.2", "--round-to", "16"),
    common={
        "batch": 16,
        "nbs": 16,
        "workers": 0,
        "device": "cpu",
        "amp": False,
        "plots": False,
        "val": False,
        "cache": "ram",
        "optimizer": "AdamW",
        "lr0": 0.002,
        "momentum": 0.9,
        "warmup_epochs": 1.0,
        "mosaic": 0.0,
        "seed": 0,
    },
    stages={
        "dense": {"model": "yolov8n.yaml", "epochs": 10},
        # SGD takes a larger learning rate than AdamW, and γ travels by lr·λ a step.
        "sparse": {
            "model": "dense.pt",
            "epochs": 7,
            "optimizer": "SGD",
            "lr0": 0.015,
            "lrf": 0.3,
            "momentum": 0.937,
            "sparsity": "auto",
        },
        "slim": {"model": "pruned.pt", "epochs": 8},
    },
)

AS_DRAWN = dict.fromkeys(("mosaic", "mixup", "degrees", "shear", "perspective", "flipud"), 0.0)
QUICK = ("--noval", "--cache")
YOLOV5_RECIPE = Recipe(
    prune=("--thres", "0.01", "--rate", "8"),
    # Upstream steps once in 64 pictures whatever the batch, so it takes more epochs for the same number of steps.
    common={
        "batch": 16,
        "options": (*QUICK, "--optimizer", "AdamW"),
        "hyp": {**AS_DRAWN, "lr0": 0.004, "momentum": 0.9},
    },
    stages={
        "dense": {"model": "n", "epochs": 20},
        "sparse": {
            "model": "dense.pt",
            "epochs": 16,
            "options": (*QUICK, "--sl", "0.55"),
            "hyp": {**AS_DRAWN, "lr0": 0.03, "lrf": 0.3},
        },
        "slim": {"model": "pruned.pt", "epochs": 24},
    },
)

RECIPES = {"ultralytics": ULTRALYTICS_RECIPE, "yolov5": YOLOV5_RECIPE}
