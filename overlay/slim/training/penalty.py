"""The sparsity penalty itself: what it does to the scales of a model between an optimizer's steps.

`sparsity` (ultralytics) and `yolov5` bind it to upstream's trainers; this module knows a model, an optimizer, settings
and where the run stands, and no trainer.

`decoupled` shrinks γ by soft-thresholding after each step that the optimizer really made, with the step's own learning
rate: γ ← sign(γ)·max(|γ| - lr·λ, 0), the proximal step of λ‖γ‖₁ (Parikh and Boyd, "Proximal Algorithms", 2014).
Neither clipping, loss scale, accumulation nor the optimizer's rule touches it, and γ becomes exactly zero.

`gradient` and `loss` are the write-ups' ways, here to reproduce them: sign(γ) joins γ's gradient, or the mean over all
BatchNorms of ‖γ‖₁ joins the loss. Both then pass whatever a gradient passes on its way to a step. `unclipped` is
`gradient` right before the step, where neither clipping nor the loss scale comes after it; the optimizer still does.

λ may be weighed by what a BatchNorm's channels cost (`layer_costs`); `schedule` has how it changes over the run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable

import torch
from torch import Tensor, nn

from ..analysis.channels import analyse
from ..costs.layer_costs import penalty_weights
from ..models.admission import admit
from ..writing.log import log_info, warn
from .automatic import Reach, begun, short
from .ending import fallen
from .gamma_log import NEAR_ZERO, GammaLog, Row, leads, magnitudes_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from torch.nn.modules.batchnorm import _BatchNorm
    from torch.utils.hooks import RemovableHandle

    from .ending import Penalised
    from .schedule import Settings, Standing

    ParameterGroup = dict[str, Any]  # as `torch.optim` types them

NORMS = (nn.BatchNorm2d, nn.SyncBatchNorm)


class GammaPenalty:
    """The penalty of one training run on one optimizer."""

    def __init__(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        settings: Settings,
        standing: Callable[[], Standing],
        *,
        imgsz: int = 640,
        folder: Path | None = None,
    ) -> None:
        """Find the scales to penalise and settle how strongly.

        Args:
            model: What is trained, in whatever wrappers.
            optimizer: Its optimizer.
            settings: What the user asked for.
            standing: Tells where the run stands.
            imgsz: Side of an image in pixels, for weights by cost.
            folder: The run folder, for `gamma.csv` and its like; None keeps none.

        Raises:
            ValueError: There is no scale to act on, or nothing that `auto` could go by; or the model is one that cannot
                be pruned after, as `analyse` says.
        """
        self.optimizer, self.settings, self.standing = optimizer, settings, standing
        self.named = _penalised(admit(model), settings, imgsz)
        self.norms = list(self.named.values())
        if not self.norms:
            raise ValueError("sparsity has nothing to act on: no BatchNorm scale that can be pruned is being trained")
        self.groups = [_Group(group, self.norms) for group in optimizer.param_groups]
        self.epoch = -1
        self.log = GammaLog(folder if leads() else None, known=folder)
        self.strength = self._automatic() if settings.strength is None else settings.strength
        self.hook = self._hook()

    def _hook(self) -> RemovableHandle | None:
        if self.settings.mode == "decoupled":
            return self.optimizer.register_step_post_hook(self._after_step)
        if self.settings.mode == "unclipped":
            return self.optimizer.register_step_pre_hook(lambda *_: self.add_gradient())
        return None

    def detach(self) -> None:
        """Let the optimizer go."""
        self.log.close()
        if self.hook is not None:
            self.hook.remove()

    def strength_now(self) -> float:
        """λ of the current epoch."""
        standing = self.standing()
        return self._strength_at(standing.epoch, standing.epochs)

    def _strength_at(self, epoch: int, epochs: int) -> float:
        return self.strength * self.settings.shape(epoch, epochs)

    def _automatic(self) -> float:
        """Return the strength of `auto`: from what is left of the run, or the one that a resumed run began with."""
        known = begun(self.log.rows, self.standing(), self.settings)
        if known is not None:
            return known
        reach = self._reach()
        if not reach.budget > 0:
            raise ValueError(
                f"{self.settings.spelling.name}{self.settings.spelling.equals}auto: the learning rate is zero"
            )
        return reach.strength

    def _reach(self) -> Reach:
        rates: list[float] = []
        for group in self.groups:
            for _, mask in group.gammas:
                rates.append(_rate(group.group) * float(mask.max()))
        largest = self.standing().largest(max(rates), self.settings)
        return Reach(distance=self.distance(), budget=self._budget(), largest=largest)

    def _budget(self) -> float:
        most = max(self.groups, key=_Group.count)  # MuSGD has several
        return self.standing().budget(_rate(most.group), self.settings)

    def travel(self) -> float:
        """Return how far the penalty alone can move a γ of weight 1 in the rest of the run: Σ lr·λ over its steps."""
        return self.strength * self._budget()

    @torch.no_grad()
    def distance(self) -> float:
        """Return the median of |γ| ÷ weight: the `travel` that takes half of the channels to zero."""
        ways: list[Tensor] = []
        for norm, mask in self.norms:
            weights = mask.cpu()
            way = norm.weight.detach().float().abs().cpu() / weights
            ways.append(way[weights > 0])
        return float(torch.cat(ways).median())

    def say_travel(self) -> None:
        """Say how far the run can take the scales, and warn when that is not to zero."""
        travel, distance, settings = self.travel(), self.distance(), self.settings
        if travel:
            weighed = "" if settings.weight == "none" else f" times its weight by {settings.weight}"
            goal = f"their median is {distance:.3g}" if not weighed else f"{distance:.3g} takes half of them to zero"
            log_info(f"slim: the penalty can move each scale by {travel:.3g}{weighed} in this run; {goal}")
        if settings.strength is None:
            self._say_short()
        elif 0 < travel < distance:
            self._say_too_short(self.strength * 1.5 * distance / travel)  # half again: the loss pulls the other way

    def _say_too_short(self, wanted: float) -> None:
        """Warn that the scales stay away from zero; a resumed run takes neither more epochs nor another strength."""
        option = f"{self.settings.spelling.name}{self.settings.spelling.equals}{wanted:.2g}"
        if self.standing().epoch:
            warn(f"slim: too short to reach zero; let it end, then train its last.pt on with {option}")
        else:
            warn(f"slim: too short to reach zero; more epochs, or {option} for this length")

    def _say_short(self) -> None:
        """Say how long the whole way takes where `auto` goes less than it; a resumed run cannot be made longer."""
        standing = self.standing()
        text = "" if standing.epoch else short(self._reach(), standing, self.settings)
        if text:
            warn(text)

    def say_end(self) -> None:
        """Warn at the end of the run where the scales of a layer, or nearly all, are at zero."""
        text = fallen(self.named, self.strength, self.settings.spelling, self.log.place) if leads() else ""
        if text:
            warn(text)

    def record(self, done: int) -> Row:
        """Note in the run folder where the scales stand after so many epochs; return the row."""
        strength = self._strength_at(done - 1, self.standing().epochs) if done else 0.0
        return self.log.record(done, strength, self.magnitudes())

    def say_epoch(self) -> bool:
        """Say once an epoch how the run stands; return whether this was the first batch of one."""
        epoch = self.standing().epoch
        if epoch == self.epoch:
            return False
        self.epoch = epoch
        log_info(self.report())
        return True

    def add_gradient(self) -> None:
        """Modes `gradient` and `unclipped`: add λ·sign(γ) to the gradients as they stand."""
        for group in self.groups:
            group.add_gradient(self.strength_now(), self.settings.bias)

    def term(self, device: torch.device) -> Tensor:
        """Mode `loss`: λ times the mean over all BatchNorms of ‖γ‖₁, a float32 scalar whatever autocast is on."""
        sums = [(norm.weight.float().abs() * mask.to(norm.weight.device)).sum() for norm, mask in self.norms]
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
        return torch.cat([magnitudes_of(norm, mask).float() for norm, mask in self.norms])

    def report(self) -> str:
        """One line for the training log: λ and where the scales stand."""
        gamma = self.magnitudes()
        zero = (gamma < NEAR_ZERO).float().mean().item()
        return (
            f"slim: sparsity {self.strength_now():.4g} ({self.settings.mode}), {gamma.numel()} prunable channels, "
            f"|γ| median {gamma.median().item():.4f}, {zero:.1%} below {NEAR_ZERO:g}"
        )


def _rate(group: ParameterGroup) -> float:
    """Return the learning rate that a parameter group's schedule multiplies."""
    now: float = group["lr"]
    return float(group.get("initial_lr", now))


class _Group:
    """The penalised scales and biases of one parameter group, and the weight of each: 0 for a channel that stays."""

    def __init__(self, group: ParameterGroup, norms: list[Penalised]) -> None:
        members = {id(parameter) for parameter in group["params"] if parameter.requires_grad}
        self.group = group
        self.gammas: list[tuple[nn.Parameter, Tensor]] = []
        self.betas: list[tuple[nn.Parameter, Tensor]] = []
        for norm, mask in norms:
            if id(norm.weight) in members:
                self.gammas.append((norm.weight, mask.to(norm.weight)))
            if id(norm.bias) in members:
                self.betas.append((norm.bias, mask.to(norm.bias)))

    def count(self) -> int:
        """Return how many scales there are, penalised or not, in the layers that it has."""
        return sum(weight.numel() for weight, _ in self.gammas)

    def shrink(self, strength: float, bias: float) -> None:
        lr = float(self.group["lr"])
        _soft_threshold(self.gammas, lr * strength)
        _soft_threshold(self.betas, lr * bias)

    @torch.no_grad()
    def add_gradient(self, strength: float, bias: float) -> None:
        for pairs, scale in ((self.gammas, strength), (self.betas, bias)):
            for parameter, weight in pairs:
                if parameter.grad is not None and scale:
                    parameter.grad.addcmul_(torch.sign(parameter), weight, value=scale)


def _soft_threshold(pairs: list[tuple[nn.Parameter, Tensor]], amount: float) -> None:
    """Set w ← w - clamp(w, ±amount·weight), which is sign(w)·max(|w| - amount·weight, 0); a few kernels for all."""
    if not pairs or not amount:
        return
    parameters, masks = zip(*pairs)
    weights = [parameter.data for parameter in parameters]
    bounds = torch._foreach_mul(masks, amount)  # noqa: SLF001 - torch.optim is written with these
    below = torch._foreach_minimum(weights, bounds)  # noqa: SLF001
    inside = torch._foreach_maximum(below, torch._foreach_neg(bounds))  # noqa: SLF001
    torch._foreach_sub_(weights, inside)


def _penalised(model: nn.Module, settings: Settings, imgsz: int) -> dict[str, Penalised]:
    """Return the BatchNorms to penalise with the weight of each channel; the write-ups' modes take them all."""
    norms = dict(_trained_norms(model))
    everything = settings.mode in {"gradient", "loss"}
    if not norms or (everything and settings.weight == "none"):
        return {name: (norm, torch.ones(norm.num_features)) for name, norm in norms.items()}
    channels = analyse(model)
    weights = {} if settings.weight == "none" else penalty_weights(model, channels, settings.weight, imgsz=imgsz)
    penalised: dict[str, Penalised] = {}
    for name in channels.norms:
        prunable = channels.prunable(name)
        mask = torch.ones(len(prunable)) if everything else torch.tensor(list(map(float, prunable)))
        if name in norms and mask.any():
            penalised[name] = norms[name], mask * weights.get(name, 1.0)
    return penalised


def _trained_norms(model: nn.Module) -> Iterator[tuple[str, _BatchNorm]]:
    for name, module in model.named_modules():
        if isinstance(module, NORMS) and module.affine and module.weight.requires_grad:
            yield name, module
