"""What of a model can be pruned, what stays, and what made it stay: for a reader before any plan is made."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import torch

from ..labels.reason import Reason
from .plan import some

if TYPE_CHECKING:
    from torch import nn

    from ..analysis.channels import Channels

UNSCORED = Reason("no BatchNorm after the layer")  # one row for all whose reason is their own layer


@dataclass(frozen=True)
class Frozen:
    """Channels that stay for one reason.

    Attributes:
        reason: In words, such as "add in model.11".
        operator: What froze them, such as "add"; "" where a layer lacks what pruning needs.
        layer: Where it stands, "" if it is each layer itself.
        layers: Layer -> how many of its output channels stay for this reason.
        batchnorm_channels: How many of them are a BatchNorm's.
        parameters: Weights and biases that make these channels.
    """

    reason: str
    operator: str
    layer: str
    layers: dict[str, int]
    batchnorm_channels: int
    parameters: int


@dataclass(frozen=True)
class Report:
    """A model's channels in numbers.

    Attributes:
        batchnorm_channels: Outputs of all BatchNorms that ran.
        prunable: Those that a plan may drop.
        frozen: What stays and why, most parameters first.
        unreached: Layers that no forward pass reached.
        parameters: Of the whole model.
    """

    batchnorm_channels: int
    prunable: int
    frozen: tuple[Frozen, ...]
    unreached: tuple[str, ...]
    parameters: int

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return asdict(self)

    def lines(self) -> list[str]:
        """Return the report for a terminal."""
        share = self.prunable / max(1, self.batchnorm_channels)
        stay = self.batchnorm_channels - self.prunable
        found = [
            f"BatchNorm channels: {self.batchnorm_channels}; {self.prunable} ({share:.1%}) can be pruned, {stay} stay"
        ]
        if self.frozen:
            found.append(f"{'what stays':<48}{'channels':>9}{'BatchNorm':>10}{'parameters':>17}  layers")
        for row in self.frozen:
            weight = f"{row.parameters:>9} ({row.parameters / max(1, self.parameters):.1%})"
            channels = sum(row.layers.values())
            names = some(list(row.layers))
            found.append(f"{row.reason:<48}{channels:>9}{row.batchnorm_channels:>10}{weight:>17}  {names}")
        if self.unreached:
            found.append(f"no forward pass reached: {some(self.unreached)}")
        return found


def report(model: nn.Module, channels: Channels) -> Report:
    """Sort a model's frozen channels by what froze them.

    Args:
        model: The bare model.
        channels: Its channels, from `analyse`.
    """
    layers: defaultdict[Reason, Counter[str]] = defaultdict(Counter)
    for name, groups in channels.outputs.items():
        for group in groups:
            if group in channels.frozen:
                reason = channels.frozen[group]
                layers[UNSCORED if reason.kind == "unscored" else reason][name] += 1
    rows = [_row(model, channels, reason, dict(found)) for reason, found in layers.items()]
    total = prunable = 0
    for name in channels.norms:
        total += len(channels.outputs[name])
        prunable += sum(channels.prunable(name))
    return Report(
        batchnorm_channels=total,
        prunable=prunable,
        frozen=tuple(sorted(rows, key=lambda row: (-row.parameters, row.reason))),
        unreached=channels.unreached,
        parameters=sum(map(torch.numel, model.parameters())),
    )


def _row(model: nn.Module, channels: Channels, reason: Reason, layers: dict[str, int]) -> Frozen:
    in_norms = parameters = 0
    for name, count in layers.items():
        own = model.get_submodule(name).parameters(recurse=False)
        parameters += sum(map(torch.numel, own)) * count // len(channels.outputs[name])
        in_norms += count if name in channels.norms else 0
    return Frozen(
        reason=reason,
        operator=reason.operator,
        layer=reason.layer,
        layers=layers,
        batchnorm_channels=in_norms,
        parameters=parameters,
    )
