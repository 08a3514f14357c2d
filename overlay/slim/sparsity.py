"""Sparse training in ultralytics: a penalty on BatchNorm scales that drives channels to zero, so that they can go.

`penalize(trainer)` stands after `backward` in the trainer and is all that upstream knows of this module. It reads four
train arguments; with `sparsity=0` it does nothing at all. What the penalty does is in `penalty`: `decoupled`, the
default, and `gradient`, the write-up's way (section 2.1, after Liu et al., arXiv:1708.06519): sign(γ) joins γ's
gradient after `backward`. The optimizer step then clips the gradient's norm to 10, fp16's loss scale divides it, and
AdamW and MuSGD normalise it, so γ hardly moves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from .penalty import GammaPenalty, Settings, Spelling, Standing, bare

if TYPE_CHECKING:
    import torch
    from torch import nn

__all__ = ["MODES", "Penalty", "bare", "penalize"]

MODES = ("decoupled", "gradient")
SPELLING = Spelling("sparsity", "_", "=")


class Trainer(Protocol):
    """What is read from upstream's trainer."""

    args: Any
    model: nn.Module
    optimizer: torch.optim.Optimizer
    epoch: int
    epochs: int


def penalize(trainer: Trainer) -> None:
    """Apply the sparsity penalty of one batch; stands after `backward`.

    Raises:
        ValueError: `sparsity_mode` is neither decoupled nor gradient, a strength is negative, or the model has no scale
            to act on.
    """
    strength = float(getattr(trainer.args, "sparsity", 0.0) or 0.0)
    if strength == 0.0:
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
        args = trainer.args
        settings = Settings(
            mode=str(getattr(args, "sparsity_mode", MODES[0])),
            strength=float(args.sparsity),
            decay=float(args.sparsity_decay),
            bias=float(args.sparsity_bias),
            spelling=SPELLING,
        )
        settings.check(MODES)
        super().__init__(trainer.model, trainer.optimizer, settings, lambda: _standing(trainer))
        if settings.mode == "decoupled":
            self.say_travel()

    def after_backward(self) -> None:
        """Say how the run stands once an epoch; in gradient mode, add the penalty's gradient."""
        self.say_epoch()
        if self.settings.mode == "gradient":
            self.add_gradient()


def _standing(trainer: Any) -> Standing:
    """Read where the run stands, and the schedule of its learning rate."""
    accumulate = max(round(trainer.args.nbs / trainer.batch_size), 1)
    steps = len(trainer.train_loader) / accumulate
    return Standing(epoch=trainer.epoch, epochs=trainer.epochs, steps=steps, schedule=trainer.lf)
