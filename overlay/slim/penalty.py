"""The sparsity penalty itself: what it does to the scales of a model between an optimizer's steps.

`sparsity` (ultralytics) and `yolov5` bind it to upstream's trainers; this module knows a model, an optimizer, settings
and where the run stands, and no trainer.

`decoupled` shrinks γ by soft-thresholding after each step that the optimizer really made, with the step's own learning
rate: γ ← sign(γ)·max(|γ| - lr·λ, 0), the proximal step of λ‖γ‖₁ (Parikh and Boyd, "Proximal Algorithms", 2014).
Neither clipping, loss scale, accumulation nor the optimizer's rule touches it, and γ becomes exactly zero.

`gradient` and `loss` are the write-ups' ways, here to reproduce them: sign(γ) joins γ's gradient, or the mean over all
BatchNorms of ‖γ‖₁ joins the loss. Both then pass whatever a gradient passes on its way to a step.

In each λ falls linearly over the run: λ(epoch) = strength·(1 - decay·epoch/epochs).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Callable

import torch
from torch import Tensor, nn

from .channels import prunable_batchnorms
from .log import tell, warn

if TYPE_CHECKING:
    from collections.abc import Sequence

NEAR_ZERO = 1e-3  # |γ| below this no longer shows in fp16 activations of order one
NORMS = (nn.BatchNorm2d, nn.SyncBatchNorm)


@dataclass(frozen=True)
class Spelling:
    """How the options of a binding are written: `sparsity_mode=` or `--sl-mode `."""

    name: str
    joint: str
    equals: str

    def of(self, part: str) -> str:
        """Return the name of an option."""
        return f"{self.name}{self.joint}{part}"


@dataclass(frozen=True)
class Settings:
    """What the user has asked for: λ at the start, for γ and for β, its fall over the run, and the mode."""

    mode: str
    strength: float
    decay: float
    bias: float
    spelling: Spelling

    def check(self, modes: Sequence[str]) -> None:
        """Refuse what makes no sense.

        Raises:
            ValueError: The mode is none of `modes`, or a number is out of range.
        """
        spelling = self.spelling
        if self.mode not in modes:
            raise ValueError(f"{spelling.of('mode')}{spelling.equals}{self.mode} is not one of {', '.join(modes)}")
        if not (self.strength >= 0 and self.bias >= 0 and 0 <= self.decay <= 1):
            raise ValueError(
                f"{spelling.name} and {spelling.of('bias')} must not be negative, and {spelling.of('decay')} "
                "lies in 0..1"
            )


@dataclass(frozen=True)
class Standing:
    """Where a run stands, and what is left of its learning rate.

    Attributes:
        epoch: The current one, from 0.
        epochs: How many there are.
        steps: Optimizer steps an epoch; 0 while that is not known.
        schedule: Epoch -> what the initial learning rate is multiplied by.
    """

    epoch: int
    epochs: int
    steps: float
    schedule: Callable[[int], float]


def bare(model: nn.Module) -> nn.Module:
    """Return the model inside DDP, `torch.compile` and a distillation wrapper; its teacher is left alone."""
    for name in ("module", "_orig_mod", "student_model"):
        inner = getattr(model, name, None)
        if isinstance(inner, nn.Module):
            return bare(inner)
    return model


class GammaPenalty:
    """The penalty of one training run on one optimizer."""

    def __init__(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        settings: Settings,
        standing: Callable[[], Standing],
    ) -> None:
        self.optimizer, self.settings, self.standing = optimizer, settings, standing
        self.norms = _penalised(bare(model), everything=settings.mode != "decoupled")
        if not self.norms:
            raise ValueError("sparsity has nothing to act on: no BatchNorm scale that can be pruned is being trained")
        self.groups = [_Group(group, self.norms) for group in optimizer.param_groups]
        self.epoch = -1
        self.hook = optimizer.register_step_post_hook(self._after_step) if settings.mode == "decoupled" else None

    def detach(self) -> None:
        """Let the optimizer go."""
        if self.hook is not None:
            self.hook.remove()

    def strength_now(self) -> float:
        """λ of the current epoch."""
        return self._strength_at(self.standing())

    def _strength_at(self, standing: Standing, epoch: int | None = None) -> float:
        epoch = standing.epoch if epoch is None else epoch
        return self.settings.strength * (1 - self.settings.decay * epoch / max(standing.epochs, 1))

    def travel(self) -> float:
        """Return how far the penalty alone can move a γ in the rest of the run: Σ lr·λ over its optimizer steps.

        Warm-up is left out, so the run may fall a little short of it.
        """
        standing = self.standing()
        most = max(self.groups, key=lambda g: sum(weight.numel() for weight, _ in g.gammas)).group  # MuSGD has several
        lr0 = most.get("initial_lr", most["lr"])
        epochs = range(standing.epoch, standing.epochs)
        return float(standing.steps * sum(lr0 * standing.schedule(e) * self._strength_at(standing, e) for e in epochs))

    def say_travel(self) -> None:
        """Say how far the run can take the scales, and warn when that is not to zero."""
        travel, median = self.travel(), self.magnitudes().median().item()
        tell(f"slim: the penalty can move each scale by {travel:.3g} in this run; their median is {median:.3g}")
        if 0 < travel < median:
            wanted = self.settings.strength * 1.5 * median / travel  # half as much again: the loss pulls the other way
            option = f"{self.settings.spelling.name}{self.settings.spelling.equals}{wanted:.2g}"
            warn(f"slim: too short to reach zero; more epochs, or {option} for this length")

    def say_epoch(self) -> bool:
        """Say once an epoch how the run stands; return whether this was the first batch of one."""
        epoch = self.standing().epoch
        if epoch == self.epoch:
            return False
        self.epoch = epoch
        tell(self.report())
        return True

    def add_gradient(self) -> None:
        """Mode `gradient`: add λ·sign(γ) to the gradients of this batch."""
        for group in self.groups:
            group.add_gradient(self.strength_now(), self.settings.bias)

    def term(self, device: torch.device) -> Tensor:
        """Mode `loss`: λ times the mean over all BatchNorms of ‖γ‖₁, a float32 scalar whatever autocast is on."""
        sums = [norm.weight.float().abs().sum() for norm, _ in self.norms]
        return self.strength_now() * torch.stack(sums).mean().to(device)

    @torch.no_grad()
    def _after_step(self, *_: object) -> None:
        found_inf = getattr(self.optimizer, "found_inf", None)
        if found_inf is not None and bool(found_inf):  # fp16's scaler calls fused optimizers for a step to skip as well
            return
        for group in self.groups:
            group.shrink(self.strength_now(), self.settings.bias)

    @torch.no_grad()
    def magnitudes(self) -> Tensor:
        """|γ| of every channel that is penalised, in one vector."""
        return torch.cat([norm.weight.detach()[mask.to(norm.weight.device)].abs().float() for norm, mask in self.norms])

    def report(self) -> str:
        """One line for the training log: λ and where the scales stand."""
        gamma = self.magnitudes()
        zero = (gamma < NEAR_ZERO).float().mean().item()
        return (
            f"slim: sparsity {self.strength_now():.4g} ({self.settings.mode}), {gamma.numel()} prunable channels, "
            f"|γ| median {gamma.median().item():.4f}, {zero:.1%} below {NEAR_ZERO:g}"
        )


class _Group:
    """The penalised scales and biases of one parameter group, and how much of each may shrink (0 or 1 a channel)."""

    def __init__(self, group: dict[str, Any], norms: list[tuple[Any, Tensor]]) -> None:
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


def _penalised(model: nn.Module, *, everything: bool) -> list[tuple[Any, Tensor]]:
    """Return the BatchNorms to penalise with their prunable channels; all of them, as the write-ups do, if asked."""
    norms: dict[str, Any] = {name: m for name, m in model.named_modules() if isinstance(m, NORMS) and m.affine}
    norms = {name: m for name, m in norms.items() if m.weight.requires_grad}
    if everything:
        return [(m, torch.ones(m.num_features, dtype=torch.bool)) for m in norms.values()]
    masks = prunable_batchnorms(model)
    return [(norms[name], mask) for name, mask in masks.items() if name in norms and bool(mask.any())]
