"""Sparse training in ultralytics: a penalty on BatchNorm scales that drives channels to zero, so that they can go.

`penalize(trainer)` stands after `backward` in the trainer and is all that upstream knows of this module. It reads the
train arguments that begin with `sparsity`; with `sparsity=0` it does nothing at all. What the penalty does is in
`penalty`: `decoupled`, the default, and `gradient`, the write-up's way (section 2.1, after Liu et al.,
arXiv:1708.06519): sign(γ) joins γ's gradient after `backward`. The optimizer step then clips the gradient's norm to
10, fp16's loss scale divides it, and AdamW and MuSGD normalise it, so γ hardly moves. `unclipped` comes after both.

Each epoch adds to `results.csv`, through what every release writes there as its learning rates.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Callable, Protocol

from .models.admission import bare
from .training.callbacks import listen
from .training.penalty import GammaPenalty
from .training.schedule import WEIGHTS, Settings, Spelling, Standing

if TYPE_CHECKING:
    from collections.abc import Sized

    import torch
    from torch import nn

__all__ = ["MODES", "Penalty", "bare", "penalize"]

MODES = ("decoupled", "gradient", "unclipped")
SPELLING = Spelling("sparsity", "_", "=")
EPOCH_END, TRAIN_END = "on_train_epoch_end", "on_train_end"


class Arguments(Protocol):
    """The train arguments that are read; what a run of an older fork may lack is not among them."""

    imgsz: int | list[int]
    nbs: int
    sparsity: float | str | None
    sparsity_decay: float
    sparsity_bias: float


class Trainer(Protocol):
    """What is read from upstream's trainer."""

    args: Arguments
    model: nn.Module
    optimizer: torch.optim.Optimizer
    callbacks: dict[str, list[Callable[[Trainer], None]]]
    save_dir: Path
    epoch: int
    epochs: int
    batch_size: int
    train_loader: Sized
    lr: dict[str, float]
    lf: Callable[[float], float]


def penalize(trainer: Trainer) -> None:
    """Apply the sparsity penalty of one batch; stands after `backward`.

    Raises:
        ValueError: An argument is out of range, or the model has no scale to act on.
    """
    if SPELLING.strength(getattr(trainer.args, "sparsity", 0.0)) == 0:
        return
    penalty: Penalty | None = getattr(trainer, "slim_penalty", None)
    if penalty is None or penalty.optimizer is not trainer.optimizer:  # retries after out-of-memory rebuild it
        if penalty is not None:
            penalty.detach()
        penalty = Penalty(trainer)
        trainer.slim_penalty = penalty  # type: ignore[attr-defined]
    penalty.after_backward()


class Penalty(GammaPenalty):
    """The penalty of one trainer on its optimizer."""

    def __init__(self, trainer: Trainer) -> None:
        settings = _settings(trainer.args)
        settings.check(MODES)
        imgsz = max(trainer.args.imgsz) if isinstance(trainer.args.imgsz, (list, tuple)) else int(trainer.args.imgsz)
        super().__init__(
            trainer.model,
            trainer.optimizer,
            settings,
            lambda: _standing(trainer),
            imgsz=imgsz,
            folder=Path(trainer.save_dir),
        )
        if settings.mode == "decoupled":
            self.say_travel()
        self.record(trainer.epoch)
        listen(trainer.callbacks, EPOCH_END, note_epoch)
        listen(trainer.callbacks, TRAIN_END, note_end)

    def after_backward(self) -> None:
        """Say how the run stands once an epoch; in gradient mode, add the penalty's gradient."""
        self.say_epoch()
        if self.settings.mode == "gradient":
            self.add_gradient()


def note_epoch(trainer: Trainer) -> None:
    """Note where the scales stand after an epoch, beside the learning rates, which go to `results.csv`."""
    penalty: Penalty | None = getattr(trainer, "slim_penalty", None)
    if penalty is not None:
        row = penalty.record(trainer.epoch + 1)
        trainer.lr.update({f"gamma/{name}": value for name, value in row.items() if name != "epoch"})


def note_end(trainer: Trainer) -> None:
    """Warn at the end of the run of what the penalty has left nothing of."""
    penalty: Penalty | None = getattr(trainer, "slim_penalty", None)
    if penalty is not None:
        penalty.say_end()


def _settings(args: Arguments) -> Settings:
    """Read the train arguments; a run of an older fork that is resumed lacks some."""
    return Settings(
        mode=str(getattr(args, "sparsity_mode", MODES[0])),
        strength=SPELLING.strength(args.sparsity),
        decay=float(args.sparsity_decay),
        warmup=float(getattr(args, "sparsity_warmup", 0.0)),
        bias=float(args.sparsity_bias),
        weight=str(getattr(args, "sparsity_weight", None) or WEIGHTS[0]),  # early releases read "none" as None
        spelling=SPELLING,
    )


def _standing(trainer: Trainer) -> Standing:
    """Read where the run stands, and the schedule of its learning rate."""
    accumulate = max(round(trainer.args.nbs / trainer.batch_size), 1)
    steps = len(trainer.train_loader) / accumulate
    return Standing(epoch=trainer.epoch, epochs=trainer.epochs, steps=steps, schedule=trainer.lf)
