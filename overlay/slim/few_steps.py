"""A pruned model is fine-tuned so that few steps of the optimizer suffice: by its own step, average and warm-up.

Both upstreams are made for long runs. They add up the gradients of 64 images before they step, which leaves three steps
an epoch on a small data set; the average that is saved remembers but a step or two after 700 of them, so the last
batches decide what is kept; and biases begin at ten times the learning rate, which a trained model has no use for. A
dense model stands on pre-trained weights and hardly moves; a pruned one has a way to go. So in a run of up to `FEW`
batches it steps after each, its average remembers a tenth of all steps so far, and its biases warm up as its weights
do. What that is worth is in `tools/bench/README.md`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Callable, Protocol

from .models.admission import bare
from .models.pruned import is_pruned
from .training.callbacks import listen
from .writing.log import log_info

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sized

    from torch import nn

NOMINAL = 64  # images that a step gathers, in both upstreams
FEW = 10_000  # steps up to which ultralytics' own `optimizer=auto` counts a run as short
SETTLED = 0.9999  # the decay of upstream's average after many steps
WARMUP = 100  # batches that a warm-up takes at least; 1,000 in YOLOv5 up to v6.0
MADE = "on_pretrain_routine_end"  # when ultralytics has made its average


class Average(Protocol):
    """Upstream's exponential moving average of the weights: updates so far -> its decay."""

    decay: Callable[[float], float]


class Arguments(Protocol):
    """The train arguments that are read and set."""

    nbs: int
    warmup_bias_lr: float


class Trainer(Protocol):
    """What is read from ultralytics' trainer; before 8.0.127 or so `train_loader` is made after the optimizer."""

    args: Arguments
    model: nn.Module
    train_loader: Sized
    batch_size: int
    epochs: int
    ema: Average | None
    callbacks: dict[str, list[Callable[[Trainer], None]]]


def ramp(updates: float) -> float:
    """Return the decay of an average that remembers a tenth of the steps so far (TensorFlow's `num_updates`)."""
    return min(SETTLED, (1 + updates) / (10 + updates))


def prepare(trainer: Trainer) -> None:
    """Make ready for few steps, if a pruned model is trained in a short run; stands before steps are counted.

    A longer run has steps enough, and more of them would make `optimizer=auto` take another optimizer; releases whose
    loader is not there yet have no such choice. Another `nbs` than upstream's 64, or a batch's images, which a run that
    is resumed has from here, is the user's own: nothing is changed.
    """
    args, batch = trainer.args, trainer.batch_size
    if _average not in trainer.callbacks.get(MADE, []):  # after out-of-memory, with a smaller batch, it is
        loader: Sized = getattr(trainer, "train_loader", ())
        if args.nbs not in {NOMINAL, batch} or not _few(trainer.model, len(loader) * trainer.epochs):
            return
        _say(f"nbs={NOMINAL + 1}")
        listen(trainer.callbacks, MADE, _average)
    args.nbs, args.warmup_bias_lr = min(NOMINAL, batch), 0.0


def _average(trainer: Trainer) -> None:
    if trainer.ema is not None:
        trainer.ema.decay = ramp


def add_option(parser: argparse.ArgumentParser) -> None:
    """Add YOLOv5's option; stands after the parser is made."""
    parser.add_argument(
        "--nbs", type=_images, help="images that the optimizer gathers for a step (64; a batch for a pruned model)"
    )


def _images(text: str) -> int:
    """Read `--nbs`; upstream divides by it."""
    if not text.isdecimal() or int(text) == 0:
        raise ValueError
    return int(text)


def prepared(
    nw: int,
    model: nn.Module,
    ema: Average | None,
    hyp: dict[str, float],
    opt: argparse.Namespace,
    batch: int,
    batches: int,
    epochs: int,
) -> tuple[int, int, int]:
    """Make ready for few steps in YOLOv5; stands where the batches of its warm-up are counted.

    Args:
        nw: Batches of the warm-up.
        model: What is trained, in DDP or not.
        ema: Its average; None in all processes but the first.
        hyp: The hyp file.
        opt: The command line; that of an older fork's run lacks our option.
        batch: Images in a batch, over all devices.
        batches: How many there are in an epoch.
        epochs: How many there are.

    Returns:
        Images that a step gathers, batches that it gathers, and batches of the warm-up.
    """
    asked: int | None = getattr(opt, "nbs", None)
    few = asked is None and _few(model, batches * epochs)
    if few:
        _say(f"--nbs {NOMINAL}")
        hyp["warmup_bias_lr"], nw = 0.0, min(nw, max(round(hyp["warmup_epochs"] * batches), WARMUP))
        if ema is not None:
            ema.decay = ramp
    nbs = _nominal(asked, batch, few=few)
    return nbs, max(round(nbs / batch), 1), nw


def gathered(model: nn.Module, opt: argparse.Namespace, batch: int, batches: int) -> int:
    """Return the images that a step of YOLOv5's trainer gathers, in a run of so many batches."""
    asked: int | None = getattr(opt, "nbs", None)
    return _nominal(asked, batch, few=asked is None and _few(model, batches))


def _nominal(asked: int | None, batch: int, *, few: bool) -> int:
    return asked or (min(NOMINAL, batch) if few else NOMINAL)


def _few(model: nn.Module, batches: int) -> bool:
    """Tell whether a pruned model is trained in a short run."""
    return batches <= FEW and is_pruned(bare(model))


def _say(otherwise: str) -> None:
    log_info(
        "slim: a pruned model in a short run: a step after each batch, an average over a tenth of the steps, "
        f"biases that warm up as weights do; {otherwise} trains as upstream does"
    )
