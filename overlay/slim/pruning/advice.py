"""What the scales of a model say before anything is cut: is it sparse, where is the cliff, how far can a ratio go?

Sparse training leaves two kinds of channels, near zero and alive, decades apart. Where one ends and the other begins is
found as Otsu finds the threshold between two grey levels (IEEE Trans. SMC 9, 1979), on log |gamma|: there the two kinds
are apart, while the quantity itself crowds both at zero. The cliff is the largest scale of the lower kind; as much as
lies up to it can go and nothing that is alive does.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import compress
from typing import TYPE_CHECKING, Any

import numpy as np

from .importance import Importance, layer_gammas

if TYPE_CHECKING:
    from torch import nn

    from ..analysis.channels import Channels
    from .plan import Plan

FLOOR = 1e-4  # smaller scales are zero: what float16, in which checkpoints are saved, resolves beside a weight of 0.1
NEAR = 0.01  # the threshold that the second write-up takes: a sparse model may lose that much, wherever the cliff is
# How many times smaller the near-zero ones must be than the others, in the geometric mean. Sparse training makes it a
# thousand (the demo's); uniformly random scales, of which none is special, come to eight, and a dense model's to 1.1.
APART = 20.0


@dataclass(frozen=True)
class LayerScales:
    """The prunable |gamma| of a BatchNorm; `below` is the share up to the threshold."""

    name: str
    channels: int
    lowest: float
    median: float
    highest: float
    below: float

    def line(self, wide: int) -> str:
        """Return them as a line of a table, of which the first column is so wide."""
        scales = f"{self.lowest:>10.4f}{self.median:>10.4f}{self.highest:>10.4f}"
        return f"{self.name:<{wide}}{self.channels:>10}{scales}{self.below:>9.0%}"


@dataclass(frozen=True)
class Advice:
    """What the scales say.

    Attributes:
        sparse: Whether there are channels near zero, apart from the others.
        cliff: The largest score of a channel near zero; 0 if there is none.
        ratio: The largest ratio before the cliff, rounded down to a ten-thousandth.
        median: The median score of the others.
        layers: The scales of each BatchNorm.
    """

    sparse: bool
    cliff: float
    ratio: float
    median: float
    layers: tuple[LayerScales, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return plain data."""
        return asdict(self)


def advise(model: nn.Module, channels: Channels, threshold: float | None = None) -> Advice:
    """Look at the scales of a model.

    Args:
        model: The model that `channels` was made from.
        channels: Its channels.
        threshold: What `below` counts up to; the cliff when None.

    Raises:
        ValueError: As `Importance.of`.
    """
    importance = Importance.of(model, channels)
    order = sorted(importance.of_group, key=importance.of_group.__getitem__)
    values = np.array(sorted(importance.of_group.values()))
    count, apart = _otsu(np.log(np.maximum(values, FLOOR)))
    sparse = apart >= np.log(APART)
    near = order[:count] if sparse else []
    share = importance.width(near) / importance.total
    cliff = float(values[count - 1]) if sparse else 0.0
    layers = []
    for name in channels.norms:
        scales = _layer(model, channels, name, cliff if threshold is None else threshold)
        if scales.channels:
            layers.append(scales)
    return Advice(
        sparse=bool(sparse),
        cliff=cliff,
        ratio=int(share * 10_000) / 10_000,
        median=float(np.median(values[len(near) :])),
        layers=tuple(layers),
    )


def _otsu(ascending: np.ndarray[Any, np.dtype[np.float64]]) -> tuple[int, float]:
    """Cut sorted values in two where the variance between the parts is largest: how many are below, how far apart."""
    sizes = np.arange(1, len(ascending))
    sums = np.cumsum(ascending)
    lower, upper = sums[:-1] / sizes, (sums[-1] - sums[:-1]) / (len(ascending) - sizes)
    between = sizes * (len(ascending) - sizes) * (upper - lower) ** 2
    between[ascending[1:] == ascending[:-1]] = -1.0  # equal values stay together
    if not len(between) or between.max() <= 0:
        return 0, 0.0
    cut = int(between.argmax())
    return cut + 1, float(upper[cut] - lower[cut])


def _layer(model: nn.Module, channels: Channels, name: str, threshold: float) -> LayerScales:
    values = np.array(list(compress(layer_gammas(model, name), channels.prunable(name))))
    if not len(values):
        return LayerScales(name, 0, 0.0, 0.0, 0.0, 0.0)
    low, middle, high = map(float, np.quantile(values, (0, 0.5, 1)))
    return LayerScales(name, len(values), low, middle, high, float((values <= threshold).mean()))


def table(advice: Advice) -> list[str]:
    """Return the scales as lines of text, a layer each, and what follows from them."""
    wide = max(len(layer.name) for layer in advice.layers)
    head = f"{'prunable |γ|':<{wide}}{'channels':>10}{'min':>10}{'median':>10}{'max':>10}{'near 0':>9}"
    rows = [layer.line(wide) for layer in advice.layers]
    if not advice.sparse:
        return [head, *rows, f"no scale is near zero beside the others, whose median is {advice.median:.3g}"]
    return [
        head,
        *rows,
        f"the cliff is at |γ| {advice.cliff:.3g}; what lies above has a median of {advice.median:.3g}",
        f"{advice.ratio:.4f} is the largest share of the channels that can go before it",
    ]


def doubts(advice: Advice, model: nn.Module, channels: Channels, plan: Plan, *, penalised: bool = False) -> list[str]:
    """Say, in a line, that a plan cuts what is alive; nothing where all that goes is near zero.

    Args:
        advice: What `advise` found.
        model: The model that `channels` was made from.
        channels: Its channels.
        plan: What goes.
        penalised: Whether the model was trained with the penalty.
    """
    lost = _lost_gammas(model, channels, plan)
    largest = max(lost, default=0.0)
    if largest <= max(advice.cliff, NEAR if advice.sparse else FLOOR):
        return []
    if not advice.sparse:
        why = "its sparse training was too short for that" if penalised else "it was not trained sparse"
        return [f"channels with |γ| up to {largest:.3g} go, and none of this model is near zero: {why}"]
    alive = sum(value > advice.cliff for value in lost)
    said = f"{alive} of the {len(lost)} scales that go are not near zero, up to |γ| {largest:.3g}"
    return [f"{said}; the cliff is at {advice.cliff:.3g}, and {advice.ratio:.4f} the largest share before it"]


def _lost_gammas(model: nn.Module, channels: Channels, plan: Plan) -> list[float]:
    lost = []
    for name in channels.norms:
        kept = plan.kept(name)
        for index, value in enumerate(layer_gammas(model, name)):
            if index not in kept:
                lost.append(value)
    return lost
