"""How many batches a step of the optimizer takes when a pruned model is fine-tuned: one, in a run of few steps.

Both upstreams add up the gradients of 64 images before they step. On a small data set that leaves three steps an epoch:
the momentum then remembers the last five epochs, and training ends before it has settled. A dense model stands on
pre-trained weights and hardly moves; a pruned one has a way to go. What that is worth is in `tools/bench/README.md`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from .models.admission import bare
from .models.pruned import is_pruned
from .writing.log import log_info

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sized

    from torch import nn

NOMINAL = 64  # images that a step gathers, in both upstreams
FEW = 10_000  # steps up to which ultralytics' own `optimizer=auto` counts a run as short


class Arguments(Protocol):
    """The train arguments that are read, and the one that is set."""

    nbs: int


class Trainer(Protocol):
    """What is read from ultralytics' trainer; before 8.0.127 or so `train_loader` is made after the optimizer."""

    args: Arguments
    model: nn.Module
    train_loader: Sized
    batch_size: int
    epochs: int


def step_each_batch(trainer: Trainer) -> None:
    """Step after each batch, if a pruned model is trained for few steps; stands before ultralytics counts them.

    A longer run has steps enough, and more of them would make `optimizer=auto` take another optimizer; releases whose
    loader is not there yet have no such choice. An `nbs` other than upstream's 64 is the user's own, and stays.
    """
    args, batch = trainer.args, trainer.batch_size
    loader: Sized = getattr(trainer, "train_loader", ())
    if args.nbs == NOMINAL and len(loader) * trainer.epochs <= FEW and _gathers(trainer.model, batch):
        _say(batch, "nbs=65")
        args.nbs = batch


def step_arguments(parser: argparse.ArgumentParser) -> None:
    """Add YOLOv5's option; stands after the parser is made."""
    parser.add_argument(
        "--nbs",
        type=_images,
        help="images that the optimizer gathers for a step (64; a batch for a pruned model)",
    )


def _images(text: str) -> int:
    """Read `--nbs`; upstream divides by it."""
    if not text.isdecimal() or int(text) == 0:
        raise ValueError
    return int(text)


def nominal_batch(nbs: int, model: nn.Module, opt: argparse.Namespace, batch: int) -> int:
    """Return the images that a step gathers, and say so where they are others than upstream's; stands behind its line.

    The loss is a sum over images there and the learning rate stays, so SGD goes the same way in smaller steps.
    """
    taken = gathered(nbs, model, opt, batch)
    if taken != nbs and getattr(opt, "nbs", None) is None:
        _say(batch, f"--nbs {nbs}")
    return taken


def gathered(nbs: int, model: nn.Module, opt: argparse.Namespace, batch: int) -> int:
    """Return the images that a step of YOLOv5's trainer gathers.

    Args:
        nbs: What upstream takes.
        model: What is trained, in DDP or not.
        opt: The command line; that of an older fork's run lacks the option.
        batch: Images in a batch, over all devices.
    """
    asked: int | None = getattr(opt, "nbs", None)
    if asked is not None:
        return asked
    return batch if _gathers(model, batch) else nbs


def _gathers(model: nn.Module, batch: int) -> bool:
    """Tell whether a pruned model would take several batches to a step."""
    return batch > 0 and round(NOMINAL / batch) > 1 and is_pruned(bare(model))


def _say(batch: int, otherwise: str) -> None:
    log_info(f"slim: a pruned model is trained with a step after each batch, of {batch}; {otherwise} does as upstream")
