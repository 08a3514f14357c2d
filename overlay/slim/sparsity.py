"""Sparse training: a penalty on BatchNorm scales that drives channels to zero, so that they can be pruned.

`penalize(trainer)` stands after `backward` in the trainer and is all that upstream knows of this module. It reads four
train arguments; with `sparsity=0` it does nothing at all.

`gradient` is the write-up's way (section 2.1, after Liu et al., arXiv:1708.06519): sign(γ) joins γ's gradient after
`backward`. The optimizer step then clips the gradient's norm to 10, fp16's loss scale divides it, and AdamW and MuSGD
normalise it, so γ hardly moves. It is here to reproduce that.

`decoupled`, the default, shrinks γ by soft-thresholding after each step that the optimizer really made, with the step's
own learning rate: γ ← sign(γ)·max(|γ| - lr·λ, 0), the proximal step of λ‖γ‖₁ (Parikh and Boyd, "Proximal Algorithms",
2014). Neither clipping, loss scale, accumulation nor the optimizer's rule touches it, and γ becomes exactly zero.
λ falls linearly over the run in both: λ(epoch) = sparsity·(1 - sparsity_decay·epoch/epochs).
"""

from __future__ import annotations

import logging
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from .channels import prunable_batchnorms

LOGGER = logging.getLogger(__name__.partition(".")[0])  # upstream's logger: `ultralytics`
MODES = ("decoupled", "gradient")
NEAR_ZERO = 1e-3  # |γ| below this no longer shows in fp16 activations of order one


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


def bare(model: nn.Module) -> nn.Module:
    """Return the model inside DDP, `torch.compile` and a distillation wrapper; its teacher is left alone."""
    for name in ("module", "_orig_mod", "student_model"):
        inner = getattr(model, name, None)
        if isinstance(inner, nn.Module):
            return bare(inner)
    return model


class Penalty:
    """The penalty of one training run on one optimizer."""

    def __init__(self, trainer: Trainer) -> None:
        args = trainer.args
        self.trainer = trainer
        self.optimizer = trainer.optimizer
        self.mode = str(getattr(args, "sparsity_mode", MODES[0]))
        self.strength, self.bias = float(args.sparsity), float(args.sparsity_bias)
        self.decay = float(args.sparsity_decay)
        if self.mode not in MODES:
            raise ValueError(f"sparsity_mode={self.mode} is not one of {', '.join(MODES)}")
        if self.strength < 0 or self.bias < 0 or not 0 <= self.decay <= 1:
            raise ValueError("sparsity and sparsity_bias must not be negative, and sparsity_decay lies in 0..1")
        self.norms = _penalised(bare(trainer.model), everything=self.mode == "gradient")
        if not self.norms:
            raise ValueError("sparsity has nothing to act on: no BatchNorm scale that can be pruned is being trained")
        self.groups = [_Group(group, self.norms) for group in self.optimizer.param_groups]
        self.epoch = -1
        self.hook = self.optimizer.register_step_post_hook(self._after_step) if self.mode == "decoupled" else None
        if self.mode == "decoupled":
            self._say_travel()

    def detach(self) -> None:
        """Let the optimizer go."""
        if self.hook is not None:
            self.hook.remove()

    def strength_now(self) -> float:
        """λ of the current epoch."""
        return self.strength * (1 - self.decay * self.trainer.epoch / max(self.trainer.epochs, 1))

    def travel(self) -> float:
        """Return how far the penalty alone can move a γ in the rest of the run: Σ lr·λ over its optimizer steps.

        Warm-up is left out, so the run may fall a little short of it.
        """
        trainer: Any = self.trainer
        accumulate = max(round(trainer.args.nbs / trainer.batch_size), 1)
        steps = len(trainer.train_loader) / accumulate
        most = max(self.groups, key=lambda g: sum(weight.numel() for weight, _ in g.gammas)).group  # MuSGD has several
        lr0 = most.get("initial_lr", most["lr"])
        epochs = range(trainer.epoch, trainer.epochs)
        rates = (lr0 * trainer.lf(e) * (1 - self.decay * e / trainer.epochs) for e in epochs)
        return float(steps * self.strength * sum(rates))

    def _say_travel(self) -> None:
        travel, median = self.travel(), _magnitudes(self.norms).median().item()
        LOGGER.info("slim: the penalty can move each scale by %.3g in this run; their median is %.3g", travel, median)
        if travel < median:
            wanted = self.strength * 1.5 * median / travel  # half as much again: the loss pulls the other way
            LOGGER.warning("slim: too short to reach zero; more epochs, or sparsity=%.2g for this length", wanted)

    def after_backward(self) -> None:
        """Say how the run stands once an epoch; in gradient mode, add the penalty's gradient."""
        if self.trainer.epoch != self.epoch:
            self.epoch = self.trainer.epoch
            LOGGER.info(self.report())
        if self.mode == "gradient":
            for group in self.groups:
                group.add_gradient(self.strength_now(), self.bias)

    @torch.no_grad()
    def _after_step(self, *_: object) -> None:
        found_inf = getattr(self.optimizer, "found_inf", None)
        if found_inf is not None and bool(found_inf):  # fp16's scaler calls fused optimizers for a step to skip as well
            return
        for group in self.groups:
            group.shrink(self.strength_now(), self.bias)

    @torch.no_grad()
    def report(self) -> str:
        """One line for the training log: λ and where the scales stand."""
        gamma = _magnitudes(self.norms)
        zero = (gamma < NEAR_ZERO).float().mean().item()
        return (
            f"slim: sparsity {self.strength_now():.4g} ({self.mode}), {gamma.numel()} prunable channels, "
            f"|γ| median {gamma.median().item():.4f}, {zero:.1%} below {NEAR_ZERO:g}"
        )


class _Group:
    """The penalised scales and biases of one parameter group, and how much of each may shrink (0 or 1 a channel)."""

    def __init__(self, group: dict[str, Any], norms: list[tuple[nn.BatchNorm2d, Tensor]]) -> None:
        members = {id(p) for p in group["params"] if p.requires_grad}
        self.group = group
        self.gammas = [(n.weight, m.to(n.weight)) for n, m in norms if id(n.weight) in members]
        self.betas = [(n.bias, m.to(n.bias)) for n, m in norms if id(n.bias) in members]

    def shrink(self, strength: float, bias: float) -> None:
        lr = float(self.group["lr"])
        _soft_threshold(self.gammas, lr * strength)
        _soft_threshold(self.betas, lr * bias)

    @torch.no_grad()
    def add_gradient(self, strength: float, bias: float) -> None:
        for pairs, scale in ((self.gammas, strength), (self.betas, bias)):
            for parameter, _ in pairs:
                if parameter.grad is not None and scale:
                    parameter.grad.add_(torch.sign(parameter), alpha=scale)


def _soft_threshold(pairs: list[tuple[nn.Parameter, Tensor]], amount: float) -> None:
    """Set w ← w - clamp(w, ±amount·mask), which is sign(w)·max(|w| - amount·mask, 0); a few kernels for all at once."""
    if not pairs or not amount:
        return
    weights = [parameter.data for parameter, _ in pairs]
    bounds = torch._foreach_mul([mask for _, mask in pairs], amount)  # noqa: SLF001 - torch.optim is written with these
    below = torch._foreach_minimum(weights, bounds)  # noqa: SLF001
    inside = torch._foreach_maximum(below, torch._foreach_neg(bounds))  # noqa: SLF001
    torch._foreach_sub_(weights, inside)


def _magnitudes(norms: list[tuple[nn.BatchNorm2d, Tensor]]) -> Tensor:
    """|γ| of every prunable channel, in one vector."""
    return torch.cat([norm.weight.detach()[mask.to(norm.weight.device)].abs().float() for norm, mask in norms])


def _penalised(model: nn.Module, *, everything: bool) -> list[tuple[nn.BatchNorm2d, Tensor]]:
    """Return the BatchNorms to penalise with their prunable channels; all of them, as the write-up does, if asked."""
    norms = {name: m for name, m in model.named_modules() if isinstance(m, nn.BatchNorm2d) and m.affine}
    norms = {name: m for name, m in norms.items() if m.weight.requires_grad}
    if everything:
        return [(m, torch.ones(m.num_features, dtype=torch.bool)) for m in norms.values()]
    masks = prunable_batchnorms(model)
    return [(norms[name], mask) for name, mask in masks.items() if name in norms and bool(mask.any())]
