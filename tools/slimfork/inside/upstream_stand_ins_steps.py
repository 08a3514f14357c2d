"""Make checkpoints of random weights in a tree's own `ultralytics`, in the form in which upstream publishes them.

Copied to a scratch folder and run as `python upstream_stand_ins_steps.py FOLDER STEM...` with the tree first on
PYTHONPATH, so it imports nothing of slimfork. The last line printed is what was made, as JSON.
"""

from __future__ import annotations

import json
import sys
from copy import deepcopy
from datetime import datetime, timezone
from pathlib import Path

import torch
from torch import nn


def make(stem: str, file: Path) -> bool:
    """Save a model of the tree as upstream's own checkpoints are; say why not, where the tree cannot build it."""
    import ultralytics

    torch.manual_seed(0)
    try:
        built = ultralytics.YOLO(f"{stem}.yaml")
    except Exception as error:  # noqa: BLE001 - whatever upstream raises, the other checkpoints are still wanted
        sys.stderr.write(f"{stem}: {type(error).__name__}: {error}\n")
        return False
    _find_something(built.model)
    described = getattr(built.model, "yaml", {})
    if "kpt_shape" in described:  # what training sets, and export reads
        built.model.kpt_shape = described["kpt_shape"]
    arguments = {"task": built.task, "model": f"{stem}.yaml", "data": "coco8.yaml", "imgsz": 640}
    checkpoint = {
        "epoch": -1,
        "best_fitness": None,
        "model": deepcopy(built.model).half(),
        "ema": None,
        "updates": None,
        "optimizer": None,
        "train_args": arguments,
        "date": datetime.now(timezone.utc).isoformat(),
        "version": ultralytics.__version__,
    }
    torch.save(checkpoint, file)
    return True


def _find_something(model: nn.Module) -> None:
    """Have a detector see the first class in every cell of its coarsest grid; of random weights it sees none."""
    for head in model.modules():
        for name in ("cv3", "one2one_cv3"):
            branches = getattr(head, name, None)
            if isinstance(branches, nn.ModuleList) and hasattr(head, "nc"):
                *_, scores = (layer for layer in branches[-1].modules() if isinstance(layer, nn.Conv2d))
                if scores.bias is not None:
                    scores.bias.data[0] = 0.0


if __name__ == "__main__":
    made = []
    for stem in sys.argv[2:]:
        if make(stem, Path(sys.argv[1]) / f"{stem}.pt"):
            made.append(stem)
    sys.stdout.write("\n" + json.dumps(made) + "\n")
