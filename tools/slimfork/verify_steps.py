"""The checks of `apply-patches verify` that run inside a fork, or inside its pristine upstream.

Copied to a scratch folder and run as `python verify_steps.py STEP` there with the tree under test first on
PYTHONPATH, so it imports that tree's `ultralytics` and nothing of slimfork. The last line printed is the verdict, as
JSON. What one step makes lies in the folder for the next: qr/data.yaml, dense.pt, sparse.pt, sparse-pruned.pt, ...
"""

from __future__ import annotations

import csv
import json
import os
import shutil
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from verify_training import IMGSZ, MODEL, WORK, StoppedError, release, train, yolo

FALL, LAST = 0.9, 5  # the mean loss of the last epochs, against the peak before them
GROWS = (
    8,
    0,
    100,
)  # weighs every box with every other's weight, so its loss grows with what is found; 8.0.101 does not
SPARSE: dict[str, Any] = {"epochs": 2, "batch": 4, "nbs": 4}
STILL = dict.fromkeys(("scale", "translate", "fliplr", "hsv_h", "hsv_s", "hsv_v"), 0.0)
FINETUNE: dict[str, Any] = {
    "epochs": 40,
    "batch": 4,
    "nbs": 4,
    "optimizer": "AdamW",
    "lr0": 0.01,
    "val": False,
    **STILL,
}
STRENGTH = 4.0  # far more than a real run needs: sixteen steps must show it


def gammas(weights: Path) -> torch.Tensor:
    """|γ| of all BatchNorms of a checkpoint."""
    model = yolo(weights).model
    return torch.cat([m.weight.detach().abs() for m in model.modules() if isinstance(m, nn.BatchNorm2d)])


def shapes(weights: Path) -> dict[str, list[int]]:
    """Tensor shapes of a checkpoint's model."""
    return {k: list(v.shape) for k, v in yolo(weights).model.state_dict().items()}


def outputs(model: nn.Module, image: torch.Tensor) -> list[np.ndarray]:
    """All predictions that a model returns in eval mode, flat, in order."""
    flat: list[np.ndarray] = []

    def walk(value: Any) -> None:
        if isinstance(value, torch.Tensor):
            flat.append(value.numpy())
        elif isinstance(value, dict):
            for key in sorted(value.keys() - {"feats"}):  # the head's inputs, as wide as the neck was pruned to
                walk(value[key])
        elif isinstance(value, (list, tuple)):
            for item in value:
                walk(item)

    with torch.no_grad():
        walk(model.float().eval()(image))
    return flat


def apart(ours: list[np.ndarray], theirs: list[np.ndarray]) -> float:
    """Largest difference, relative to the size of the values where they exceed one."""
    if len(ours) != len(theirs) or any(a.shape != b.shape for a, b in zip(ours, theirs)):
        return float("inf")
    return max(float((np.abs(a - b) / np.maximum(np.abs(b), 1.0)).max()) for a, b in zip(ours, theirs) if a.size)


def picture() -> torch.Tensor:
    """A fixed random image, 1x3xHxW in 0..1."""
    return torch.rand(1, 3, IMGSZ, IMGSZ, generator=torch.Generator().manual_seed(0))


def step_identity() -> tuple[bool, str]:
    """The imported package is the fork."""
    import ultralytics

    root = Path(os.environ["SLIMFORK_TREE"]).resolve()
    here = Path(ultralytics.__file__).resolve()
    return root in here.parents, f"ultralytics {ultralytics.__version__}"


def step_dense() -> tuple[bool, str]:
    """Train without the penalty; the weights go to a file named by the tree."""
    target = WORK / f"off-{os.environ['SLIMFORK_ROLE']}.pth"

    def keep(trainer: Any) -> None:
        torch.save(trainer.model.state_dict(), target)

    run = train(MODEL, f"dense-{os.environ['SLIMFORK_ROLE']}", {"on_train_end": keep}, epochs=1)
    if os.environ["SLIMFORK_ROLE"] == "fork":
        shutil.copy(run / "weights" / "last.pt", WORK / "dense.pt")
    return target.exists(), "1 epoch"


def step_off() -> tuple[bool, str]:
    """With its option off, the fork trains to the same bits as upstream."""
    ours, theirs = (torch.load(WORK / f"off-{role}.pth", weights_only=True) for role in ("fork", "pristine"))
    other = [k for k in theirs if k not in ours or not torch.equal(ours[k], theirs[k])]
    detail = (
        f"{len(other)} of {len(theirs)} tensors differ, first {other[0]}" if other else f"{len(theirs)} tensors equal"
    )
    return not other and ours.keys() == theirs.keys(), detail


def step_sparse() -> tuple[bool, str]:
    """Sparse training lowers γ by what the penalty says, Σ lr·λ, and the arguments land in args.yaml."""
    stated = [0.0]

    def add(trainer: Any) -> None:
        rate = max(group["lr"] for group in trainer.optimizer.param_groups[1:])  # group 0 may be biases in warm-up
        stated[0] += rate * STRENGTH * (1 - 0.9 * trainer.epoch / trainer.epochs)

    run = train(WORK / "dense.pt", "sparse", {"on_train_batch_end": add}, sparsity=STRENGTH, **SPARSE)
    shutil.copy(run / "weights" / "last.pt", WORK / "sparse.pt")
    moved = float(gammas(WORK / "dense.pt").median() - gammas(WORK / "sparse.pt").median())
    noted = f"sparsity: {STRENGTH}" in (run / "args.yaml").read_text()
    detail = f"median |γ| fell by {moved:.3f}, stated {stated[0]:.3f}" + ("" if noted else "; not in args.yaml")
    return stated[0] > 0.01 and moved > 0.5 * stated[0] and noted, detail


def step_masked() -> tuple[bool, str]:
    """The pruned model computes what the same model computes with the dropped channels masked."""
    from copy import deepcopy

    from ultralytics.slim import channels, measure, surgery
    from ultralytics.slim.plan import Plan

    model = yolo(WORK / "sparse.pt").model.float().eval()
    plan = Plan.from_json((WORK / "sparse-pruned.json").read_text())
    graph = channels.analyse(model)
    pruned, masked = deepcopy(model), deepcopy(model)
    surgery.apply_plan(pruned, plan, graph, fold=False)
    surgery.mask_plan(masked, plan, graph)
    difference = apart(outputs(pruned, picture()), outputs(masked, picture()))
    size = [measure.count_parameters(m) for m in (model, pruned)]
    return difference <= 1e-4, f"apart {difference:.1e}; {size[0]:,} → {size[1]:,} parameters"


def _losses(run: Path) -> list[dict[str, float]]:
    """Return the training losses of each epoch by name."""
    with (run / "results.csv").open() as file:
        rows = [{k.strip(): v for k, v in row.items()} for row in csv.DictReader(file)]
    return [{k: float(v) for k, v in row.items() if k.startswith("train/") and "loss" in k} for row in rows]


def step_finetune() -> tuple[bool, str]:
    """Fine-tuning keeps the pruned shapes, moves every weight and lowers the loss on four pictures, one batch.

    The loss of a detector that knows nothing is small, since nothing is assigned to it; it climbs, and then it falls.
    A part of it that is zero says that the pictures came without labels.
    """
    run = train(WORK / "sparse-pruned.pt", "finetune", data=few(), **FINETUNE)
    shutil.copy(run / "weights" / "last.pt", WORK / "finetuned.pt")
    kept = shapes(WORK / "finetuned.pt") == shapes(WORK / "sparse-pruned.pt")
    found = _losses(run)
    losses = [sum(epoch.values()) for epoch in found]
    peak, end = max(losses[:-LAST]), sum(losses[-LAST:]) / LAST
    learns = (end < FALL * peak or release() == GROWS) and all(loss > 0 for loss in found[0].values())
    still = _still(WORK / "sparse-pruned.pt", WORK / "finetuned.pt")
    words = f"; {len(still)} weights did not move, first {still[0]}" if still else ""
    return kept and learns and not still, f"loss {peak:.2f} → {end:.2f}; shapes {'kept' if kept else 'CHANGED'}{words}"


def _still(before: Path, after: Path) -> list[str]:
    """Return the weights and biases before the head that training has left as they were.

    No object of so small a picture may be assigned to a level of the head, and nothing there then moves.
    """
    models = [yolo(path).model.float() for path in (before, after)]
    old, new = (dict(model.model[:-1].named_parameters()) for model in models)
    return [name for name in old if torch.equal(old[name], new[name])]


def few() -> str:
    """Return a data set that trains on four of the pictures."""
    pictures = sorted((WORK / "qr" / "images" / "train").iterdir())[: FINETUNE["batch"]]
    (WORK / "qr" / "few.txt").write_text("".join(f"{path}\n" for path in pictures), encoding="utf-8")
    text = (WORK / "qr" / "data.yaml").read_text(encoding="utf-8")
    path = WORK / "qr" / "few.yaml"
    path.write_text(text.replace("train: images/train", "train: few.txt"), encoding="utf-8")
    return str(path)


def step_resume() -> tuple[bool, str]:
    """A run that was cut off goes on, in the pruned shapes and with its sparsity arguments."""

    def stop(trainer: Any) -> None:
        if trainer.epoch == 0:
            raise StoppedError

    last = WORK / "runs" / "resume" / "weights" / "last.pt"
    with suppress(StoppedError):
        train(WORK / "sparse-pruned.pt", "resume", {"on_fit_epoch_end": stop}, epochs=2, sparsity=0.01)
    if not last.exists():
        return False, "no checkpoint after the first epoch"
    model = yolo(last)
    model.train(resume=True, device="cpu")
    kept = shapes(last) == shapes(WORK / "sparse-pruned.pt")
    again = len(_losses(last.parents[1]))
    strength = getattr(model.trainer.args, "sparsity", None)
    detail = f"{again} epochs in results.csv, sparsity={strength}, shapes {'kept' if kept else 'CHANGED'}"
    return kept and again == 2 and strength == 0.01, detail


def step_onnx() -> tuple[bool, str]:
    """ONNX Runtime computes what PyTorch computes."""
    import onnxruntime

    yolo(WORK / "finetuned.pt").export(format="onnx", imgsz=IMGSZ, simplify=False)
    path = WORK / "finetuned.onnx"
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    theirs = session.run(None, {session.get_inputs()[0].name: picture().numpy()})[0]
    ours = outputs(yolo(WORK / "finetuned.pt").model, picture())[0]
    difference = apart([ours], [theirs])
    return difference <= 1e-3, f"apart {difference:.1e}; {path.stat().st_size / 1e6:.2f} MB"


def step_predict() -> tuple[bool, str]:
    """Predict with the pruned, fine-tuned model; the raw output goes to a file named by the tree."""
    import ultralytics

    model = yolo(WORK / "finetuned.pt")
    raw = outputs(model.model, picture())
    np.savez(WORK / f"predict-{os.environ['SLIMFORK_ROLE']}.npz", *raw)
    images = sorted((WORK / "qr").rglob("*val*/*.jpg")) or sorted((WORK / "qr").rglob("*.jpg"))
    model.predict(str(images[0]), imgsz=IMGSZ, conf=0.01, verbose=False, device="cpu")
    return bool(raw), f"ultralytics {ultralytics.__version__}, {len(raw)} outputs"


def step_stock() -> tuple[bool, str]:
    """Unpatched upstream of the same release predicts the same."""
    fork, pristine = (
        [array for _, array in sorted(np.load(WORK / f"predict-{role}.npz").items())] for role in ("fork", "pristine")
    )
    difference = apart(fork, pristine)
    return difference <= 1e-6, f"apart {difference:.1e}"


def main() -> None:
    """Run one step and print its verdict."""
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "2")))
    ok, detail = globals()[f"step_{sys.argv[1]}"]()
    print(json.dumps({"ok": bool(ok), "detail": detail}), flush=True)  # noqa: T201 - the verdict is the output


if __name__ == "__main__":
    main()
