"""A pruned model whose convolutions say again what they said, as far as what is left of their inputs lets them.

Layer by layer in the order of a pass, each convolution gets the weights that, of what reaches it in the pruned model,
make what the dense one made on the channels that are kept (He, Zhang, Sun, "Channel Pruning for Accelerating Very Deep
Neural Networks", ICCV 2017, arXiv:1707.06168, section 3.1). Places count by how much the outputs of the model hang on
them: the squared gradient there, as in `sensitivity`. It takes images, and neither labels nor training.
"""

from __future__ import annotations

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
        dense, slim = self.norms
        return dense.running_mean[self.keep] - slim.running_mean  # type: ignore[no-any-return]

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
    wide, slim = shadow(dense), shadow(pruned)
    images = images.to(next(slim.parameters()).device)
    sites = _sites(wide, slim, plan, channels)
    with one_thread(), undisturbed(wide):
        wanted = _wanted(wide, channels, sites, images)
        done: list[Fitted] = []

        def fit(site: Site) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
            return lambda _, arguments: done.extend(_fit(site, arguments[0], wanted.pop(site.name)))

        with held([sites[name].slim.register_forward_pre_hook(fit(sites[name])) for name in wanted]):
            slim(images)
    _take(pruned, slim, channels, done)
    return done


def _sites(dense: nn.Module, slim: nn.Module, plan: Plan, channels: Channels) -> dict[str, Site]:
    """Return the plain convolutions that mean the same in both models, by name."""
    theirs, ours = dict(dense.named_modules()), dict(slim.named_modules())
    rescaled = {name for name, *_ in channels.rescaled}
    sites: dict[str, Site] = {}
    for name in channels.inputs:
        wide, narrow = theirs.get(name), ours.get(name)
        if name in rescaled or not _is_plain(wide) or not _is_plain(narrow):
            continue
        norms: tuple[Any, Any] | None = None
        behind = channels.followed_by.get(name, "")
        if behind:
            norms = theirs[behind], ours[behind]
            if norms[0].running_mean is None or norms[1].running_mean is None:
                norms = None
        keep = plan.keep.get(name, list(range(plan.widths[name])))
        sites[name] = Site(name, wide, narrow, keep, norms)  # type: ignore[arg-type]
    return sites


def _is_plain(layer: nn.Module | None) -> bool:
    if type(layer) is not nn.Conv2d or layer.groups > 1:
        return False
    return layer.padding_mode == "zeros" and not isinstance(layer.padding, str)


def _wanted(dense: nn.Module, channels: Channels, sites: dict[str, Site], images: Tensor) -> dict[str, Rows]:
    """Return what the dense model's convolutions say at some places; of those alone that run once."""
    chance = torch.Generator().manual_seed(0)
    parts: dict[str, list[Rows]] = {name: [] for name in sites}
    for start in range(0, len(images), BATCH):
        batch = images[start : start + BATCH]
        (gradients,) = signed_gradients(dense, channels, list(sites), batch, chance)
        for name, said, gradient in gradients:
            count = -(-rows_for(sites[name].slim) * len(batch) // len(images))
            rows = _sampled(said[:, sites[name].keep], gradient, count, chance)
            rows.places[:, 0] += start
            parts[name].append(rows)
    once = -(-len(images) // BATCH)  # in each batch
    return {name: _joined(rows) for name, rows in parts.items() if len(rows) == once}


def _sampled(said: Tensor, gradient: Tensor, count: int, chance: torch.Generator) -> Rows:
    images, _, high, wide = said.shape
    chosen = torch.randperm(images * high * wide, generator=chance)[:count].to(said.device)
    image, row, column = chosen // (high * wide), chosen // wide % high, chosen % wide
    weights = gradient.square().sum(1)[image, row, column]
    return Rows(torch.stack((image, row, column), 1), said[image, :, row, column], weights)


def _joined(parts: list[Rows]) -> Rows:
    """Join the rows of all batches, and bound how much each counts."""
    places, wanted, weights = map(torch.cat, zip(*parts))
    weights = (weights / weights.mean().clamp_min(1e-30)).clamp(FLOOR, CLIP)
    return Rows(places, wanted, weights)


def _fit(site: Site, entering: Tensor, rows: Rows) -> list[Fitted]:
    """Fit a layer to what reaches it now, and keep the fit if it holds on other images."""
    weight, image = site.slim.weight, rows.places[:, 0]
    apart = image % TESTS == TESTS - 1 if len(entering) >= TESTS else image == 0
    shown = Moments.of(site.slim, entering, rows.where(~apart))
    unseen = Moments.of(site.slim, entering, rows.where(apart))
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
