"""A plan: which channels of one particular model to keep, as plain data for a file, and how it is made."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

from ..groups.blocks import within_any
from ..groups.keep_counts import unrounded
from ..labels.labels import FIXED
from ..models.admission import bare
from ..models.plan_data import FORMAT, PlanError, check_plan, read_json
from ..rules.slicing import kept_places
from .importance import Importance
from .selection import Selector

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import nn

    from ..analysis.channels import Channels
    from ..labels.reason import Reason
    from .selection import Selection

__all__ = ["Plan", "PlanError", "make_plan", "some"]

FEW = 3


@dataclass(frozen=True)
class Plan:
    """What to keep of one particular model; ints, floats, strings, lists and dicts only.

    Attributes:
        keep: Layer (convolution, BatchNorm, Linear) -> kept output channels, ascending. A layer that is not here
            has no channel that may go, and keeps all its outputs.
        widths: Layer -> output channels before pruning; a model with others is refused.
        removed: Block that goes as a whole, since a residual path carries on -> the BatchNorms in it that lost all.
        threshold: The highest score that was dropped, or the threshold asked for.
        ratio: The ratio asked for, or None.
        round_to: Kept counts were rounded up to multiples of this.
        min_channels: The least that any layer, or part of one, keeps.
        notes: What a reader should know, a line each.
    """

    keep: dict[str, list[int]]
    widths: dict[str, int]
    removed: dict[str, list[str]]
    threshold: float
    ratio: float | None
    round_to: int
    min_channels: int
    notes: list[str]

    def to_dict(self) -> dict[str, Any]:
        """Return plain data, for a checkpoint."""
        return {"format": FORMAT, **asdict(self)}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Plan:
        """Read what `to_dict` wrote.

        Raises:
            PlanError: If it is not a plan, or one of another format.
        """
        check_plan(data)
        return cls(**{field.name: data[field.name] for field in fields(cls)})

    def kept(self, layer: str) -> set[int]:
        """Return the output channels that a layer keeps."""
        return set(self.keep.get(layer, range(self.widths[layer])))

    def to_json(self) -> str:
        """Return JSON with a layer on each line, so that two plans can be compared; the same bytes every time."""
        return _json(self.to_dict()) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Plan:
        """Read what `to_json` wrote.

        Raises:
            PlanError: If it is not JSON, or not a plan.
        """
        return cls.from_dict(read_json(text))


def make_plan(
    model: nn.Module,
    channels: Channels,
    *,
    ratio: float | None = None,
    threshold: float | None = None,
    round_to: int = 1,
    min_channels: int = 1,
    strictly: bool = False,
    importance: Importance | None = None,
) -> Plan:
    """Choose the channels to keep.

    Args:
        model: The model that `channels` was made from.
        channels: What may be dropped, from `analyse`.
        ratio: Drop this share of all prunable BatchNorm channels, 0 <= ratio < 1, the least important first; of equal
            ones, such as exact zeros, the lightest first, and an equal share of each layer.
        threshold: Or drop every channel whose importance is at most this; 0 drops what is exactly zero.
        round_to: Round kept counts up to a multiple of this, or to the full width.
        min_channels: Keep at least this many channels a layer (and half of a chunked one).
        strictly: Keep what is exactly at the threshold, as the second write-up does.
        importance: What to choose by; |gamma| when None.

    Raises:
        ValueError: If an argument is out of range, not exactly one of ratio and threshold is given, nothing can be
            pruned, or a gamma is not finite.
    """
    model = bare(model)
    selector = Selector(model, channels, importance or Importance.of(model, channels), round_to, min_channels)
    return plan_of(selector, selector.by(ratio, threshold, strictly=strictly))


def plan_of(selector: Selector, selection: Selection) -> Plan:
    """Write down what was selected, and what a reader should know of it."""
    channels = selector.channels
    keep = {}
    for name, groups in channels.outputs.items():
        if any(channels.prunable(name)):
            keep[name] = kept_places(groups, selection.lost)
    odd = unrounded(channels, keep, selector.round_to)
    whole = [f"no multiple of {selector.round_to}, and so whole: {some(odd)}"] if odd else []
    return Plan(
        keep=keep,
        widths=channels.widths,
        removed=selection.removed,
        threshold=selection.threshold,
        ratio=selection.ratio,
        round_to=selector.round_to,
        min_channels=selector.min_channels,
        notes=[*_summary(selector, selection), *_gone(selection.removed), *selection.notes, *whole],
    )


def _summary(selector: Selector, selection: Selection) -> list[str]:
    channels, importance = selector.channels, selector.importance
    total, below = importance.total, importance.width(selection.fallen)
    gone = _dropped(channels, selection)
    notes = [f"{gone} of {total} prunable BatchNorm channels dropped ({gone / total:.1%})"]
    if importance.by != "gamma":
        notes.append(f"chosen by {importance.what} weighed with {importance.by}: what costs more goes sooner")
    elif importance.what != "|γ|":
        notes.append(f"chosen by {importance.what}")
    if gone < below:
        notes.append(f"{below - gone} more fell under the threshold and stay, for round_to, even parts or the minimum")
    if len(set(importance.of_group.values())) == 1:
        notes.append("all scores are equal: the choice is arbitrary; train with a sparsity penalty first")
    staying = stay(channels)
    if staying:
        notes.append(f"{staying}; --report lists what stays, and why")
    if channels.unreached:
        notes.append(f"no forward pass reached these layers, which stay as they are: {some(channels.unreached)}")
    return notes


def _dropped(channels: Channels, selection: Selection) -> int:
    """Count the prunable BatchNorm channels that go, by themselves or with a block."""
    count = 0
    for name in channels.norms:
        prunable = channels.free(channels.outputs[name])
        whole = within_any(name, selection.removed)
        count += len(prunable) if whole else sum(group in selection.lost for group in prunable)
    return count


def stay(channels: Channels) -> str:
    """Say in one line how many BatchNorm channels stay that a BatchNorm has a scale for, and what keeps them."""
    kept: Counter[Reason] = Counter()
    for name in channels.norms:
        for group in channels.outputs[name]:
            reason = channels.frozen.get(group)
            if reason is not None and group != FIXED and reason.kind != "asked":
                kept[reason] += 1
    those = [f"{reason} ({count})" for reason, count in kept.most_common()]
    return f"{sum(kept.values())} BatchNorm channels must stay: {some(those)}" if kept else ""


def _gone(removed: dict[str, list[str]]) -> list[str]:
    return [
        f"{block}: goes as a whole, for all scales of {some(norms)} fell under the threshold, and a residual carries on"
        for block, norms in removed.items()
    ]


def some(names: Sequence[str]) -> str:
    """Name a few layers, or the first and how many."""
    return ", ".join(names) if len(names) <= FEW else f"{names[0]} and {len(names) - 1} more"


def _json(value: Any, margin: str = "") -> str:
    """Write a dictionary with an item on each line, and anything else on one."""
    if not isinstance(value, dict) or not value:
        return json.dumps(value)
    inner = margin + "  "
    rows = [f"{inner}{json.dumps(key)}: {_json(item, inner)}" for key, item in value.items()]
    return "{\n" + ",\n".join(rows) + f"\n{margin}}}"
