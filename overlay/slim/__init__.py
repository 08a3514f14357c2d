"""Network slimming: sparse training on BatchNorm scales, channel pruning, and what a pruned model needs.

Liu et al., "Learning Efficient Convolutional Networks through Network Slimming", ICCV 2017, arXiv:1708.06519.

In a notebook, on a model of a fork's, or on any network of convolutions and BatchNorms:

    channels = analyse(model)                           # which channels can go, and with which others
    plan = make_plan(model, channels, ratio=0.5)        # which of them go: the smallest |gamma| first
    notes = apply_plan(model, plan, channels)           # proved, then cut, in place

The modules at the top are doors: what a fork's trainer and its `prune.py` import keeps its place. All else lies in
rooms, by what it is about, on floors from `labels` up to `script`; no import goes up.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .analysis.channels import Channels, analyse
    from .pruning.apply import apply_plan, mask_plan
    from .pruning.plan import Plan, make_plan

__all__ = ["Channels", "Plan", "analyse", "apply_plan", "make_plan", "mask_plan"]

HOMES = {
    **dict.fromkeys(("Channels", "analyse"), ".analysis.channels"),
    **dict.fromkeys(("Plan", "make_plan"), ".pruning.plan"),
    **dict.fromkeys(("apply_plan", "mask_plan"), ".pruning.apply"),
}


def __getattr__(name: str) -> object:
    """Import what is asked for when it is: a trainer that sparsifies nothing is not to wait for it."""
    if name not in HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(HOMES[name], __name__), name)
