"""How the steps of `verify_steps` use a tree of ultralytics: trained with what it knows, on pictures drawn for it."""

from __future__ import annotations

import csv
import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable

if TYPE_CHECKING:
    import torch

    from .models_ultralytics import SLIM, UltralyticsTrainer, load, yolo
    from .scratch import IMGSZ, WORK, StoppedError, write_lines
else:
    from models_ultralytics import SLIM, load, yolo
    from scratch import IMGSZ, WORK, StoppedError, write_lines

__all__ = ["SLIM", "dense", "export", "finetune", "identity", "load"]
__all__ += ["losses", "others", "predict", "resume", "sparse"]

MODEL = os.environ.get("SLIMFORK_VERIFY_MODEL", "yolov8n.yaml")
TRAIN = {
    "data": str(WORK / "qr" / "data.yaml"),
    "imgsz": IMGSZ,
    "batch": 8,
    "nbs": 8,
    "workers": 0,
    "device": "cpu",
    "amp": False,
    "plots": False,
    "deterministic": True,
    "seed": 0,
    "optimizer": "SGD",
    "lr0": 0.01,
    "warmup_epochs": 0.0,
    "warmup_bias_lr": 0.0,  # early releases warm up for a hundred batches all the same
    "mosaic": 0.0,
    "project": str(WORK / "runs"),
    "exist_ok": True,
}
SPARSE: dict[str, Any] = {"epochs": 2, "batch": 4, "nbs": 4}
SPARSITY = 4.0  # far more than a real run needs: sixteen steps must show it
FINETUNE: dict[str, Any] = {
    "epochs": 40,
    "batch": 4,
    "nbs": 4,
    "optimizer": "AdamW",
    "lr0": 0.01,
    "val": False,
    **dict.fromkeys(("scale", "translate", "fliplr", "hsv_h", "hsv_s", "hsv_v"), 0.0),  # pictures as they are
}
# Weighs every box with every other's weight, so its loss grows with what is found; 8.0.101 does not.
GROWS = (8, 0, 100)


def identity() -> tuple[str, str]:
    """Return where the package was imported from, and what it calls itself."""
    import ultralytics

    return str(ultralytics.__file__), f"ultralytics {ultralytics.__version__}"


def dense(role: str) -> tuple[Path, dict[str, torch.Tensor]]:
    """Train without the penalty; return the run and all that was trained."""
    return trained(MODEL, f"dense-{role}")


def trained(start: str | Path, name: str, **more: Any) -> tuple[Path, dict[str, torch.Tensor]]:
    """Train an epoch without the penalty; return the run and all that was trained."""
    kept: dict[str, torch.Tensor] = {}

    def keep(trainer: UltralyticsTrainer) -> None:
        kept.update(trainer.model.state_dict())

    return train(start, name, {"on_train_end": keep}, epochs=1, **more), kept


def others(weights: Path, role: str) -> tuple[dict[str, torch.Tensor], str]:
    """Train a dense checkpoint on more classes, and a pose model on other keypoints; return all that was trained."""
    _, kept = trained(weights, f"classes-{role}", data=data_set(f"classes-{role}", ["qr", "ant", "bee"]))
    if not any((Path(os.environ["SLIMFORK_TREE"]) / "ultralytics").rglob("yolov8*-pose.yaml")):
        return kept, "1 → 3 classes"
    people = data_set(f"points-17-{role}", ["qr"], 17)
    faces = data_set(f"points-4-{role}", ["qr"], 4)
    run, _ = trained("yolov8n-pose.yaml", f"people-{role}", data=people)
    _, posed = trained(run / "weights" / "last.pt", f"faces-{role}", data=faces)
    return kept | {f"pose.{name}": value for name, value in posed.items()}, "1 → 3 classes, 17 → 4 keypoints"


def data_set(name: str, names: list[str], points: int = 0) -> str:
    """Copy the pictures as a data set of other classes, or with keypoints, all in the middle of their box."""
    folder = WORK / name
    shutil.copytree(WORK / "qr", folder, ignore=shutil.ignore_patterns("*.cache"))
    for file in (folder / "labels").rglob("*.txt") if points else ():
        _add_points(file, points)
    lines = [f"path: {folder}", "train: images/train", "val: images/val", f"nc: {len(names)}", f"names: {names}"]
    lines += [f"kpt_shape: [{points}, 3]"] if points else []
    write_lines(folder / "data.yaml", lines)
    return str(folder / "data.yaml")


def _add_points(labels: Path, points: int) -> None:
    """Give each box of a file of labels keypoints, all in its middle."""
    rows = []
    for line in labels.read_text(encoding="utf-8").splitlines():
        box = line.split()
        rows.append(" ".join([*box, *[box[1], box[2], "2"] * points]))
    write_lines(labels, rows)


def sparse(weights: Path) -> tuple[Path, float, bool]:
    """Train with the penalty; return the run, Σ lr·λ as it was, and whether the run's settings name the strength."""
    stated = [0.0]

    def add(trainer: UltralyticsTrainer) -> None:
        rate = max(group["lr"] for group in trainer.optimizer.param_groups[1:])  # group 0 may be biases in warm-up
        stated[0] += rate * SPARSITY * (1 - 0.9 * trainer.epoch / trainer.epochs)

    run = train(weights, "sparse", {"on_train_batch_end": add}, sparsity=SPARSITY, **SPARSE)
    return run, stated[0], f"sparsity: {SPARSITY}" in (run / "args.yaml").read_text()


def finetune(weights: Path) -> tuple[Path, tuple[str, ...]]:
    """Train on one batch of four pictures; return the run, and the losses whose sum must fall.

    The loss of a detector that knows nothing is small, since nothing is assigned to it; it climbs, and then it falls.
    """
    run = train(weights, "finetune", data=few(), **FINETUNE)
    return run, () if release() == GROWS else tuple(losses(run)[0])


def few() -> str:
    """Return a data set that trains on four of the pictures."""
    pictures = sorted((WORK / "qr" / "images" / "train").iterdir())[: FINETUNE["batch"]]
    write_lines(WORK / "qr" / "few.txt", pictures)
    text = (WORK / "qr" / "data.yaml").read_text(encoding="utf-8")
    path = WORK / "qr" / "few.yaml"
    path.write_text(text.replace("train: images/train", "train: few.txt"), encoding="utf-8")
    return str(path)


def losses(run: Path) -> list[dict[str, float]]:
    """Return the training losses of each epoch by name."""
    with (run / "results.csv").open() as file:
        rows = csv.DictReader(file)
        names = list(filter(_is_training_loss, rows.fieldnames or ()))
        return [{name.strip(): float(row[name]) for name in names} for row in rows]


def _is_training_loss(column: str) -> bool:
    return column.strip().startswith("train/") and "loss" in column


def resume(weights: Path) -> tuple[Path, bool]:
    """Cut a run off after its first of two epochs and resume it; return the run, and whether its strength held."""

    def stop(trainer: UltralyticsTrainer) -> None:
        if trainer.epoch == 0:
            raise StoppedError

    last = WORK / "runs" / "resume" / "weights" / "last.pt"
    with suppress(StoppedError):
        train(weights, "resume", {"on_fit_epoch_end": stop}, epochs=2, sparsity=0.01)
    if last.exists():
        model = yolo(last)
        model.train(resume=True, device="cpu")
        return last.parents[1], getattr(model.trainer.args, "sparsity", None) == 0.01
    return last.parents[1], False


def export(weights: Path) -> Path:
    """Write the ONNX file beside a checkpoint."""
    yolo(weights).export(format="onnx", imgsz=IMGSZ, simplify=False)
    return weights.with_suffix(".onnx")


def predict(weights: Path, picture: Path) -> None:
    """Detect in a picture."""
    yolo(weights).predict(str(picture), imgsz=IMGSZ, conf=0.01, verbose=False, device="cpu")


def train(
    weights: str | Path,
    name: str,
    callbacks: dict[str, Callable[[UltralyticsTrainer], None]] | None = None,
    **more: Any,
) -> Path:
    """Train and return the folder of the run."""
    model = yolo(weights)
    for event, function in (callbacks or {}).items():
        listen(model, event, function)
    names = arguments()
    known = {key: value for key, value in TRAIN.items() if key in names}
    if release() < (8, 0, 24):  # they lose every label when mosaic is off
        known["mosaic"] = 1.0
    model.train(**{**known, "name": name, **more})
    return WORK / "runs" / name


def release() -> tuple[int, ...]:
    """Return the version of the tree, without a local part such as `+slim1`."""
    import ultralytics

    return tuple(map(int, ultralytics.__version__.partition("+")[0].split(".")[:3]))


def arguments() -> set[str]:
    """Names of the train arguments that the tree knows: `amp`, for one, came with 8.0.57."""
    import yaml

    package = Path(os.environ["SLIMFORK_TREE"]) / "ultralytics"
    folders = (package / "cfg", package / "yolo" / "cfg", package / "yolo" / "configs")
    (file,) = filter(Path.is_file, [folder / "default.yaml" for folder in folders])
    return set(yaml.safe_load(file.read_text(encoding="utf-8")))


def listen(model: Any, event: str, function: Callable[[UltralyticsTrainer], None]) -> None:
    """Have a function called by the trainer; before 8.0.18 a model has no `add_callback`, and an event one function."""
    if hasattr(model, "add_callback"):
        model.add_callback(event, function)
        return
    from ultralytics.yolo.utils.callbacks import default_callbacks

    before = default_callbacks[event]

    def both(trainer: UltralyticsTrainer) -> None:
        before(trainer)
        function(trainer)

    default_callbacks[event] = both
