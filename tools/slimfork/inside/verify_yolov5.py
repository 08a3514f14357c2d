"""How the steps of `verify_steps` use a tree of YOLOv5."""

from __future__ import annotations

import csv
import importlib
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from torch.optim import optimizer as optimizers

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import torch

    from . import scripts_yolov5 as v5
    from .scratch import IMGSZ, WORK, StoppedError, write_lines
    from .scripts_yolov5 import SLIM, load
else:
    import scripts_yolov5 as v5
    from scratch import IMGSZ, WORK, StoppedError, write_lines
    from scripts_yolov5 import SLIM, load

__all__ = ["SLIM", "dense", "export", "finetune", "identity", "load"]
__all__ += ["losses", "others", "predict", "resume", "sparse"]

SL = 40.0  # the learning rate is still low: it warms up for a hundred batches and more
# Four copies of eight pictures are a batch, so that each makes a step in spite of the nominal batch of 64.
COPIES, FEW = 4, 8
STILL = ("hsv_h", "hsv_s", "hsv_v", "degrees", "translate", "scale", "fliplr", "flipud", "mosaic", "mixup")
ADAM = {"lr0": 0.5, "warmup_bias_lr": 0.01}


def identity() -> tuple[str, str]:
    """Return where the model was imported from, and what it calls itself."""
    module = importlib.import_module(f"{v5.MODULE}models.yolo")
    return str(module.__file__), f"YOLOv5 {getattr(sys.modules.get('yolov5'), '__version__', '')}".strip()


def train(
    start: str | Path,
    name: str,
    *more: object,
    few: bool = False,
    names: tuple[str, ...] = ("qr",),
    hyp: dict[str, float] | None = None,
) -> Path:
    """Train and return the folder of the run."""
    pictures = WORK / "qr" / "images" / "train"
    if few:
        chosen = sorted(pictures.iterdir())[:FEW] * COPIES
        pictures = WORK / "qr" / "few.txt"
        write_lines(pictures, chosen)
    data = v5.data_set(f"{'few' if few else 'qr'}-{len(names)}", pictures, WORK / "qr" / "images" / "val", names)
    return v5.train(start, name, data, IMGSZ, *more, **(hyp or {}))


def dense(role: str) -> tuple[Path, dict[str, torch.Tensor]]:
    """Train without the penalty; return the run and all that was trained."""
    return trained(v5.smallest(), f"dense-{role}")


def others(weights: Path, role: str) -> tuple[dict[str, torch.Tensor], str]:
    """Train a dense checkpoint on more classes; return all that was trained."""
    _, kept = trained(weights, f"others-{role}", ("qr", "ant", "bee"))
    return kept, "1 → 3 classes"


def trained(start: str | Path, name: str, names: tuple[str, ...] = ("qr",)) -> tuple[Path, dict[str, torch.Tensor]]:
    """Train an epoch without the penalty; return the run and all that was trained.

    The rate is high, as it warms up from zero and the scales must differ in the half precision they are saved in.
    """
    seen: list[Any] = []
    hook = optimizers.register_optimizer_step_post_hook(lambda made, *_: seen.append(made))
    run = train(start, name, "--epochs", 1, "--batch-size", 8, *_adam(), names=names, hyp=ADAM)
    hook.remove()
    kept = {}
    for i, group in enumerate(seen[-1].param_groups):
        for j, parameter in enumerate(group["params"]):
            kept[f"{i}.{j}"] = parameter.detach().clone()
    for key, value in load(run / "weights" / "last.pt").state_dict().items():
        kept[f"ema.{key}"] = value
    return run, kept


def sparse(weights: Path) -> tuple[Path, float, bool]:
    """Train with the penalty; return the run, Σ lr·λ as it was, and whether the run's settings name the strength."""
    rates: list[float] = []  # of the weights: biases warm up from above
    hook = optimizers.register_optimizer_step_post_hook(
        lambda made, *_: rates.append(min(group["lr"] for group in made.param_groups))
    )
    strength = ("--sl", SL, "--sl-decay", 0)
    run = train(weights, "sparse", "--epochs", 2, "--batch-size", 4, *strength)
    hook.remove()
    return run, SL * sum(rates), f"sl: {SL}" in (run / "opt.yaml").read_text("utf-8")


def finetune(weights: Path) -> tuple[Path, tuple[str, ...]]:
    """Train on one batch of a few pictures; return the run, and the losses that must fall.

    Not that of objectness: its target is how well a box fits, so it grows with what is found.
    """
    changes = {**dict.fromkeys(STILL, 0.0), "lr0": 0.02, "warmup_bias_lr": 0.01}
    last = "--noval" if v5.known("--noval") else "--notest"
    more = ("--epochs", 60, "--batch-size", FEW * COPIES, last, *_adam())
    return train(weights, "finetune", *more, few=True, hyp=changes), ("box",)


def _adam() -> tuple[str, ...]:
    return ("--optimizer", "Adam") if v5.known("--optimizer") else ("--adam",)


def losses(run: Path) -> list[dict[str, float]]:
    """Return the training losses of each epoch by name; with one class there is none for the class."""
    noted = _table(run / "results.csv") if (run / "results.csv").is_file() else _lines(run / "results.txt")
    by_epoch = {}
    for epoch, box, obj in noted:  # v6.0 notes the last one twice
        by_epoch[int(epoch)] = {"box": float(box), "obj": float(obj)}
    return list(by_epoch.values())


def _table(file: Path) -> Iterator[tuple[str, str, str]]:
    """Yield epoch, loss of boxes and loss of objectness, whose columns are padded."""
    with file.open(encoding="utf-8") as lines:
        for row in csv.DictReader(lines):
            values = {name.strip(): value for name, value in row.items()}
            yield values["epoch"], values["train/box_loss"], values["train/obj_loss"]


def _lines(file: Path) -> Iterator[tuple[str, str, str]]:
    """Yield epoch, loss of boxes and loss of objectness, as releases before v6.0 note them."""
    for line in file.read_text("utf-8").splitlines():
        epoch, _, box, obj, *_ = line.split()  # behind the epoch is memory
        yield epoch.partition("/")[0], box, obj


def resume(weights: Path) -> tuple[Path, bool]:
    """Cut a run off after its first of two epochs and resume it; return the run, and whether its strength held."""
    run = WORK / "runs" / "resume"
    last = run / "weights" / "last.pt"

    def stop(*_: object) -> None:
        if last.exists():
            raise StoppedError

    hook = optimizers.register_optimizer_step_pre_hook(stop)
    with suppress(StoppedError):
        train(weights, "resume", "--epochs", 2, "--batch-size", 8, "--sl", 0.01)
    hook.remove()
    if last.exists():
        v5.script("train", "--resume", last)
    return run, "sl: 0.01" in (run / "opt.yaml").read_text("utf-8")


def export(weights: Path) -> Path:
    """Write the ONNX file beside a checkpoint."""
    return v5.export(weights, IMGSZ)


def predict(weights: Path, picture: Path) -> None:
    """Detect in a picture."""
    where = ("--project", WORK / "runs", "--name", "detect", "--exist-ok", "--device", "cpu")
    v5.script("detect", "--weights", weights, "--source", picture, "--img-size", IMGSZ, "--conf-thres", 0.01, *where)
