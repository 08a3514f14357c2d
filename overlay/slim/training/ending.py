"""What there is to warn of when a sparse training ends: layers that have nothing left, or a model that has not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from ..pruning.plan import some
from .gamma_log import NEAR_ZERO, magnitudes_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import Tensor
    from torch.nn.modules.batchnorm import _BatchNorm

    from .schedule import Spelling

    Penalised = tuple[_BatchNorm, Tensor]  # a norm, and the weight of each channel in the penalty: 0 if it stays, (C,)

MOST = 0.9  # of all scales: a strong penalty that went well leaves more of them alive
LESS = 3.0  # times less is what the next try should take


@torch.no_grad()
def fallen(named: Mapping[str, Penalised], strength: float, spelling: Spelling, folder: Path | None) -> str:
    """Return one line about layers all of whose penalised scales are at zero, or most scales; empty where neither is.

    Args:
        named: BatchNorm -> itself, and the weight of each channel.
        strength: λ of the run.
        spelling: How its options are written.
        folder: The run folder, where it is known.
    """
    layers: list[str] = []
    zeros: list[Tensor] = []
    for name, (norm, mask) in named.items():
        zero = magnitudes_of(norm, mask) < NEAR_ZERO
        zeros.append(zero.cpu())
        if bool(zero.all()):
            layers.append(name)
    share = float(torch.cat(zeros).float().mean())
    if not layers and share < MOST:
        return ""
    which = f", all of {some(layers)} among them" if layers else ""
    last = f"{folder or '.'}/weights/last.pt"
    return (
        f"slim: {share:.1%} of the scales are at zero{which}: what lies there has to be learnt anew; next: "
        f"python prune.py --weights {last} --advice, or train again from the model that this began with, "
        f"{spelling.name}{spelling.equals}{strength / LESS:.2g}"
    )
