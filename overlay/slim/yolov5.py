"""What YOLOv5's train scripts call for sparse training.

`penalize` stands after the loss of a batch and before the world-size factor, where the write-up adds its term; it is
the only thing upstream knows of the penalty. With `--sl` and the hyp file's `sl` at zero it hands the loss back.
What the two modes do is in `penalty`: `decoupled`, the default, acts after each step of the optimizer; `loss` is the
write-up's term, the mean over all BatchNorms of ‖γ‖₁, times sl, times the batch size. Its gradient on γ is that of a
batch of 64 whatever the batch size, since upstream accumulates to that: sl·64 ÷ BatchNorms, before clipping. A pruned
model that steps after each batch (`few_steps`) has that of a batch.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import TYPE_CHECKING, Callable

from .few_steps import NOMINAL, gathered
from .training.penalty import GammaPenalty
from .training.schedule import AUTO, WEIGHTS, Settings, Spelling, Standing

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    Hyp = dict[str, float | str | None]  # the hyp file, as YAML reads it

MODES = ("decoupled", "loss")
DECAY = {"decoupled": 0.9, "loss": 0.0}  # the write-up's strength is constant
SPELLING = Spelling("--sl", "-", " ")
FINAL = 0.01  # `lrf` where no hyp file says otherwise


def sparse_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of sparse training; stands after the parser is made."""
    add = parser.add_argument_group("sparse training (slim)").add_argument
    add(
        "--sl",
        type=_strength,
        help="strength of the penalty on BatchNorm scales, or auto (default: the hyp file's sl, 0 is off)",
    )
    add("--sl-mode", choices=MODES, default=MODES[0], help="decoupled from the optimizer, or a term of the loss")
    add("--sl-decay", type=float, help="share of the strength that is gone at the end (default: 0.9; 0 in mode loss)")
    add("--sl-warmup", type=float, default=0.0, help="epochs in which the strength climbs to its highest")
    add("--sl-weight", choices=WEIGHTS, default=WEIGHTS[0], help="press channels more that cost more")
    add("--sl-bias", type=float, default=0.0, help="strength on BatchNorm shifts (mode decoupled)")


def _strength(text: str) -> float | str:
    """Read `--sl`; what is not parsed from a command line may be of the same two kinds."""
    try:
        number = SPELLING.strength(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return AUTO if number is None else number


def keep_out_of_evolution(meta: dict[str, tuple[float, ...]], hyp: Hyp) -> None:
    """Let `--evolve` leave `sl` as it is; stands after the hyp file is loaded there.

    Upstream looks every key of the file up in its table, and pairs the two by their order: so a zero goes, and anything
    else comes last, between limits that are its own value.

    Raises:
        ValueError: It is no number, and upstream would calculate with it.
    """
    strength = hyp.pop("sl", None)
    if isinstance(strength, str):
        raise ValueError(  # noqa: TRY004 - as all that is asked for and cannot be
            f"sl: {strength} in the hyp file and --evolve do not go together; take --sl {strength}"
        )
    if strength:
        hyp["sl"] = strength
        meta["sl"] = (False, strength, strength)  # v7.0's successors ask `is False`; before, it counts as a gain of 0


def penalize(
    loss: Tensor,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    opt: argparse.Namespace,
    hyp: Hyp,
    epoch: int,
    epochs: int,
    images: Tensor,
    batches: int,
) -> Tensor:
    """Apply the sparsity penalty of one batch; stands after the loss and before the world-size factor.

    Args:
        loss: The loss of this batch, which upstream has multiplied by the batch size.
        model: What is trained, in DDP or not.
        optimizer: Its optimizer; remembers the penalty.
        opt: The command line.
        hyp: The hyp file; empty where upstream has none.
        epoch: The current one, from 0.
        epochs: How many there are.
        images: The batch, (b, 3, h, w).
        batches: How many there are in an epoch.

    Returns:
        The very same loss, or in mode `loss` a float32 one with the write-up's term.

    Raises:
        ValueError: An option is out of range, or the model has no scale to act on.
    """
    penalty: Penalty | None = getattr(optimizer, "slim_penalty", None)
    if penalty is None:
        settings = _settings(opt, hyp)
        if settings.strength == 0:
            return loss
        _check(settings)
        penalty = Penalty(model, optimizer, settings, _Run(opt, hyp, epoch, epochs, batches, model), images.shape[-1])
        optimizer.slim_penalty = penalty  # type: ignore[attr-defined]
    penalty.sees(epoch, epochs)
    if penalty.settings.mode == "decoupled":
        return loss
    return loss.float() + penalty.term(loss.device) * images.shape[0]


def _settings(opt: argparse.Namespace, hyp: Hyp) -> Settings:
    """Read the command line, which goes before the hyp file."""
    mode = str(getattr(opt, "sl_mode", None) or MODES[0])
    strength, decay = getattr(opt, "sl", None), getattr(opt, "sl_decay", None)
    return Settings(
        mode=mode,
        strength=SPELLING.strength(hyp.get("sl") if strength is None else strength),
        decay=float(DECAY.get(mode, 0.0) if decay is None else decay),
        warmup=float(getattr(opt, "sl_warmup", None) or 0.0),
        bias=float(getattr(opt, "sl_bias", None) or 0.0),
        weight=str(getattr(opt, "sl_weight", None) or WEIGHTS[0]),
        spelling=SPELLING,
    )


def _check(settings: Settings) -> None:
    settings.check(MODES)
    if settings.bias and settings.mode == "loss":
        raise ValueError("--sl-bias: the write-up's loss has no term for shifts; take --sl-mode decoupled")


class _Run:
    """Where a run of upstream's stands: there is no trainer to ask."""

    def __init__(
        self, opt: argparse.Namespace, hyp: Hyp, epoch: int, epochs: int, batches: int, model: nn.Module
    ) -> None:
        self.opt, self.hyp = opt, hyp
        self.epoch, self.epochs, self.batches = epoch, epochs, batches
        self.accumulate = self._accumulate(model)

    def standing(self) -> Standing:
        """Return it; the learning rate's warm-up takes more steps, which are left out."""
        steps = self.batches / self.accumulate
        return Standing(epoch=self.epoch, epochs=self.epochs, steps=steps, schedule=self._schedule())

    def folder(self) -> Path | None:
        """Return the run folder, where this release tells it."""
        folder = getattr(self.opt, "save_dir", None)
        return Path(folder) if folder else None

    def _accumulate(self, model: nn.Module) -> int:
        """Return the batches a step; the classifier's trainer, which has no hyp file, accumulates none."""
        if not self.hyp:
            return 1
        whole: int = getattr(self.opt, "total_batch_size", 0) or getattr(self.opt, "batch_size", NOMINAL)
        nominal = gathered(model, self.opt, whole, self.batches * self.epochs)
        return max(round(nominal / max(whole, 1)), 1)

    def _schedule(self) -> Callable[[float], float]:
        """Return upstream's: a cosine unless `--linear-lr` up to v6.0, a line unless `--cos-lr` since v6.1."""
        epochs, last = max(self.epochs, 1), float(self.hyp.get("lrf") or FINAL)
        cosine = getattr(self.opt, "cos_lr", hasattr(self.opt, "linear_lr") and not self.opt.linear_lr)
        if cosine:
            return lambda epoch: (1 - math.cos(epoch * math.pi / epochs)) / 2 * (last - 1) + 1
        return lambda epoch: (1 - epoch / epochs) * (1 - last) + last


class Penalty(GammaPenalty):
    """The penalty of one run, remembered by its optimizer."""

    def __init__(
        self, model: nn.Module, optimizer: torch.optim.Optimizer, settings: Settings, run: _Run, imgsz: int
    ) -> None:
        super().__init__(model, optimizer, settings, run.standing, imgsz=imgsz, folder=run.folder())
        self.run, self.seen = run, 0
        if settings.mode == "decoupled":
            self.say_travel()

    def sees(self, epoch: int, epochs: int) -> None:
        """Take note of a batch: say once an epoch how the run stands, and once more at the end.

        Upstream calls before the step of a batch, so the last row of the table is a step short of the end.
        """
        self.run.epoch, self.run.epochs = epoch, epochs
        first = self.say_epoch()
        self.seen = 1 if first else self.seen + 1
        if first:
            self.record(epoch)
        if self.seen == self.run.batches and epoch + 1 == epochs:
            self.record(epochs)
            self.say_end()
