"""A pruned model whose convolutions say again what they said, as far as what is left of their inputs lets them.

Layer by layer in the order of a pass, each convolution gets the weights that, of what reaches it in the pruned model,
make what the dense one made on the channels that are kept (He, Zhang, Sun, "Channel Pruning for Accelerating Very Deep
Neural Networks", ICCV 2017, arXiv:1707.06168, section 3.1). Places count by how much the outputs of the model hang on
them: the squared gradient there, as in `sensitivity`. It takes images, and neither labels nor training.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from ..passes.shadow import held, one_thread, shadow, undisturbed
from ..pruning.sensitivity import BATCH, signed_gradients
from .least_squares import Moments, Rows, rows_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..analysis.channels import Channels
    from ..pruning.plan import Plan

TESTS = 8  # of so many images one is kept apart, to tell whether what was made of the others holds
ROUNDING = 1e-10  # an error, as a share of the variance, that is float32's own
LARGEST = (
    30.0  # times the dense layer's largest weight: fits that held had up to 7, and one of 1e6 let nothing be trained
)
FLOOR, CLIP = 0.01, 50.0  # the least and the most that a place counts, the mean being 1


@dataclass(frozen=True)
class Fitted:
    """What came of a layer: its error as a share of the variance, on images that it was not fitted on."""

    layer: str
    before: float
    after: float


@dataclass
class Site:
    """A convolution in both models, and where a constant is added to what it says.

    Attributes:
        name: Of the layer.
        dense: The layer at full width.
        slim: The layer to fit.
        keep: The outputs that were kept.
        norms: The BatchNorm behind it in both models, if its running mean takes the constant.
    """

    name: str
    dense: nn.Conv2d
    slim: nn.Conv2d
    keep: list[int]
    norms: tuple[Any, Any] | None  # one may have no statistics, which no type says

    @property
    def centred(self) -> bool:
        """Whether anything can be added to what it says."""
        return self.slim.bias is not None or self.norms is not None

    @property
    def added(self) -> Tensor:
        """What is added to each output beside what the dense model adds itself."""
        if self.slim.bias is not None:
            return self.slim.bias.detach()
        if self.norms is None:
            return self.slim.weight.new_zeros(self.slim.out_channels)
        dense, slim = (norm.running_mean for norm in self.norms)
        return dense[self.keep] - slim  # type: ignore[no-any-return]

    def put(self, weight: Tensor, added: Tensor) -> None:
        """Give the layer other weights, and add something else to each output."""
        self.slim.weight = nn.Parameter(weight, requires_grad=False)
        if self.slim.bias is not None:
            self.slim.bias = nn.Parameter(added, requires_grad=False)
        elif self.norms is not None:
            dense, slim = self.norms
            slim.running_mean = dense.running_mean[self.keep] - added


def reconstruct(dense: nn.Module, pruned: nn.Module, plan: Plan, channels: Channels, images: Tensor) -> list[Fitted]:
    """Fit the convolutions of a pruned model to the dense one's, in place; a fit that does not hold is left out.

    Args:
        dense: The model that was pruned.
        pruned: The same after `apply_plan`.
        plan: What was kept.
        channels: Of the dense model.
        images: As the model is given them, (b, c, h, w), two at least.

    Returns:
        The layers that were fitted.
    """
    twins = shadow(dense), shadow(pruned)
    images = images.to(next(twins[1].parameters()).device)
    modules = [dict(twin.named_modules()) for twin in twins]
    found = (_site(modules, name, plan, channels) for name in channels.inputs)
    sites = {site.name: site for site in found if site is not None}
    with one_thread(), undisturbed(twins[0]):
        wanted = _wanted(twins[0], channels, sites, images)
        done: list[Fitted] = []

        def fit(site: Site) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
            return lambda _, arguments: done.extend(_fit(site, arguments[0], wanted.pop(site.name)))

        with held([sites[name].slim.register_forward_pre_hook(fit(sites[name])) for name in wanted]):
            twins[1](images)
    _take(pruned, twins[1], channels, done)
    return done


def _site(modules: list[dict[str, nn.Module]], name: str, plan: Plan, channels: Channels) -> Site | None:
    """Return a plain convolution that means the same in both models."""
    dense, slim = (those.get(name) for those in modules)
    for layer in (dense, slim):
        if type(layer) is not nn.Conv2d or layer.groups > 1 or layer.padding_mode != "zeros":
            return None
        if isinstance(layer.padding, str) or name in {scaled for scaled, *_ in channels.rescaled}:
            return None
    behind = channels.followed_by.get(name, "")
    norms: tuple[Any, ...] = tuple(those[behind] for those in modules) if behind else ()
    shifted = bool(norms) and all(norm.running_mean is not None for norm in norms)
    keep = plan.keep.get(name, list(range(plan.widths[name])))
    return Site(name, dense, slim, keep, norms if shifted else None)  # type: ignore[arg-type]


def _wanted(dense: nn.Module, channels: Channels, sites: dict[str, Site], images: Tensor) -> dict[str, Rows]:
    """Return what the dense model's convolutions say at some places; of those alone that run once."""
    chance = torch.Generator().manual_seed(0)
    parts: dict[str, list[Rows]] = {name: [] for name in sites}
    calls: Counter[str] = Counter()
    for start in range(0, len(images), BATCH):
        batch = images[start : start + BATCH]
        (gradients,) = signed_gradients(dense, channels, list(sites), batch, chance)
        for name, said, gradient in gradients:
            count = -(-rows_for(sites[name].slim) * len(batch) // len(images))
            rows = _sampled(said[:, sites[name].keep], gradient, count, chance)
            rows.places[:, 0] += start
            parts[name].append(rows)
            calls[name] += 1
    once = -(-len(images) // BATCH)
    return {name: _joined(rows) for name, rows in parts.items() if calls[name] == once}


def _sampled(said: Tensor, gradient: Tensor, count: int, chance: torch.Generator) -> Rows:
    images, _, high, wide = said.shape
    chosen = torch.randperm(images * high * wide, generator=chance)[:count].to(said.device)
    image, row, column = chosen // (high * wide), chosen // wide % high, chosen % wide
    weights = gradient.square().sum(1)[image, row, column]
    return Rows(torch.stack((image, row, column), 1), said[image, :, row, column], weights)


def _joined(parts: list[Rows]) -> Rows:
    """Join the rows of all batches, and bound how much each counts."""
    weights = torch.cat([rows.weights for rows in parts])
    weights = (weights / weights.mean().clamp_min(1e-30)).clamp(FLOOR, CLIP)
    return Rows(torch.cat([rows.places for rows in parts]), torch.cat([rows.wanted for rows in parts]), weights)


def _fit(site: Site, entering: Tensor, rows: Rows) -> list[Fitted]:
    """Fit a layer to what reaches it now, and keep the fit if it holds on other images."""
    weight, image = site.slim.weight, rows.places[:, 0]
    apart = image % TESTS == TESTS - 1 if len(entering) >= TESTS else image == 0
    shown, unseen = (Moments.of(site.slim, entering, rows.where(those)) for those in (~apart, apart))
    before = unseen.error(weight, site.added)
    most = LARGEST * float(site.dense.weight.abs().max())  # more would be asked of inputs that hardly vary
    after = unseen.error(*shown.solve(weight, centred=site.centred, most=most))
    if not after < before or before < ROUNDING:
        return []
    site.put(*(shown + unseen).solve(weight, centred=site.centred, most=most))
    return [Fitted(site.name, before, after)]


def _take(pruned: nn.Module, twin: nn.Module, channels: Channels, done: list[Fitted]) -> None:
    """Give a model what was fitted on a copy of it, in its own precision."""
    for fit in done:
        for name in (fit.layer, channels.followed_by.get(fit.layer, "")):
            if name:
                pruned.get_submodule(name).load_state_dict(twin.get_submodule(name).state_dict())
