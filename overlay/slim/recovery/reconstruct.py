"""A pruned model whose convolutions say again what they said, as far as what is left of their inputs lets them.

Layer by layer in the order of a pass, each convolution gets the weights that, of what reaches it in the pruned model,
make what the dense one made on the channels that are kept (He, Zhang, Sun, "Channel Pruning for Accelerating Very Deep
Neural Networks", ICCV 2017, arXiv:1707.06168, the second step). That takes images, and neither labels nor training.
"""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from ..passes.shadow import held, one_thread, shadow, undisturbed
from .least_squares import Rows, error, rows_for, solve
from .stages import Stages, staged

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..analysis.channels import Channels
    from ..pruning.plan import Plan

TESTS = 8  # of so many batches one is kept apart, to tell whether a fit holds


class ReachedError(Exception):
    """The layer that is looked at has run; what follows is not needed."""


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
    norms: tuple[Any, Any] | None

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


def reconstruct(
    dense: nn.Module, pruned: nn.Module, plan: Plan, channels: Channels, batches: Sequence[Tensor]
) -> list[Fitted]:
    """Fit the convolutions of a pruned model to the dense one's, in place; a fit that does not hold is left out.

    Args:
        dense: The model that was pruned.
        pruned: The same after `apply_plan`.
        plan: What was kept.
        channels: Of the dense model.
        batches: Images as the model is given them, (b, c, h, w) each; at least two batches.

    Returns:
        The layers that were fitted.
    """
    twins = shadow(dense), shadow(pruned)
    chance = torch.Generator().manual_seed(0)
    done: list[Fitted] = []
    with one_thread(), undisturbed(twins[0]):
        walks = staged(twins, batches)
        names = {module: name for name, module in twins[1].named_modules()}
        for part in walks[1].parts:
            for layer in _convolutions(walks[1], part):
                site = _site(twins, names[layer], plan, channels)
                if site is not None:
                    done += _fit(site, walks, len(batches), chance)
            for walk in walks:
                walk.advance()
    _take(pruned, twins[1], channels, done)
    return done


def _convolutions(walk: Stages, part: nn.Module) -> list[nn.Conv2d]:
    """Return the convolutions of a stage that run once in it, in the order in which they do."""
    order: list[nn.Conv2d] = []
    layers = [module for module in part.modules() if type(module) is nn.Conv2d]
    with held([layer.register_forward_hook(lambda layer, *_: order.append(layer)) for layer in layers]):
        walk.run(0)
    return [layer for layer, times in Counter(order).items() if times == 1]


def _site(twins: tuple[nn.Module, nn.Module], name: str, plan: Plan, channels: Channels) -> Site | None:
    """Return a plain convolution that means the same in both models."""
    dense, slim = (twin.get_submodule(name) for twin in twins)
    scaled = {layer for layer, *_ in channels.rescaled}
    for layer in (dense, slim):
        if type(layer) is not nn.Conv2d or layer.groups > 1 or layer.padding_mode != "zeros":
            return None
        if isinstance(layer.padding, str) or name not in channels.inputs or name in scaled:
            return None
    behind = channels.followed_by.get(name, "")
    norms = tuple(twin.get_submodule(behind) for twin in twins) if behind else ()
    shifted = bool(norms) and all(norm.running_mean is not None for norm in norms)
    keep = plan.keep.get(name, list(range(plan.widths[name])))
    return Site(name, dense, slim, keep, norms if shifted else None)  # type: ignore[arg-type]


def _fit(site: Site, walks: list[Stages], batches: int, chance: torch.Generator) -> list[Fitted]:
    """Fit a layer, and keep the fit if it holds on other images."""
    rows, apart = Rows(), Rows()
    for batch in range(batches):
        into = apart if batch % TESTS == TESTS - 1 or (batch == batches - 1 > 0 and not len(apart)) else rows
        entering = _entering(site.slim, walks[1], batch)
        leaving = _leaving(site.dense, walks[0], batch)[:, site.keep]
        into.add(site.slim, entering, leaving, rows_for(site.slim, batches), chance)
    before = error(apart, site.slim.weight, site.added)
    weight, added = solve(rows, site.slim.weight, centred=site.centred)
    after = error(apart, weight, added)
    if not after < before:
        return []
    everything = Rows(rows.patches + apart.patches, rows.wanted + apart.wanted)
    site.put(*solve(everything, site.slim.weight, centred=site.centred))
    return [Fitted(site.name, before, after)]


def _entering(layer: nn.Module, walk: Stages, batch: int) -> Tensor:
    """Return what reaches a layer."""
    seen: list[Tensor] = []

    def look(_: nn.Module, arguments: tuple[Tensor, ...]) -> None:
        seen.append(arguments[0])
        raise ReachedError

    with held([layer.register_forward_pre_hook(look)]), suppress(ReachedError):
        walk.run(batch)
    return seen[0]


def _leaving(layer: nn.Module, walk: Stages, batch: int) -> Tensor:
    """Return what a layer says."""
    seen: list[Tensor] = []

    def look(_: nn.Module, __: tuple[Tensor, ...], result: Tensor) -> None:
        seen.append(result)
        raise ReachedError

    with held([layer.register_forward_hook(look)]), suppress(ReachedError):
        walk.run(batch)
    return seen[0]


def _take(pruned: nn.Module, twin: nn.Module, channels: Channels, done: list[Fitted]) -> None:
    """Give a model what was fitted on a copy of it, in its own precision."""
    for fit in done:
        own, theirs = (model.get_submodule(fit.layer) for model in (pruned, twin))
        with torch.no_grad():
            for mine, new in zip(own.parameters(recurse=False), theirs.parameters(recurse=False)):
                mine.copy_(new)
        behind = channels.followed_by.get(fit.layer, "")
        if behind:
            norms: list[Any] = [model.get_submodule(behind) for model in (pruned, twin)]
            if norms[0].running_mean is not None:
                norms[0].running_mean.copy_(norms[1].running_mean)
