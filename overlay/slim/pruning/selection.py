"""Which channels go: by importance, a ratio or threshold, and the counts that layers need.

A channel whose scale is exactly zero says a constant, and costs no accuracy, kept or not. A threshold takes them all; a
ratio takes no more than its share, the lightest first (`importance`), and no block that fell with them but where all of
its channels are in that share. What is kept can come back in fine-tuning: the loss has a gradient on a scale of zero.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..groups.blocks import removable_blocks
from ..groups.keep_counts import keep_counts
from .importance import drop_below, drop_ratio, fallen_norms

if TYPE_CHECKING:
    from torch import nn

    from ..analysis.channels import Channels
    from .importance import Importance


@dataclass(frozen=True)
class Selection:
    """What of a model goes; a plan is the same for a file.

    Attributes:
        lost: Channel groups that go.
        removed: Block that goes as a whole -> the BatchNorms in it that lost all.
        fallen: Channel groups that fell under the threshold; of these some may stay, for the sake of counts.
        threshold: The highest importance that fell, or the threshold asked for.
        ratio: The ratio asked for, or None.
        notes: What there is to say of counts.
    """

    lost: set[int]
    removed: dict[str, list[str]]
    fallen: set[int]
    threshold: float
    ratio: float | None
    notes: list[str]


@dataclass(frozen=True)
class Selector:
    """Selects channels of one model, for as many amounts as are tried.

    Attributes:
        model: The bare model that `channels` was made from.
        channels: Its channels.
        importance: What to go by.
        round_to: Round kept counts up to a multiple of this, or to the full width.
        min_channels: Keep at least this many channels a layer (and half of a chunked one).
        tried: Fallen BatchNorms -> the blocks that can go with them, which takes passes to find out.
    """

    model: nn.Module
    channels: Channels
    importance: Importance
    round_to: int = 1
    min_channels: int = 1
    tried: dict[tuple[str, ...], dict[str, list[str]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse counts that are none.

        Raises:
            ValueError: As it says.
        """
        if self.round_to < 1:
            raise ValueError(f"round_to is {self.round_to}: it must be at least 1 (8 suits fp16, 16 or 32 int8)")
        if self.min_channels < 1:
            raise ValueError(
                f"min_channels is {self.min_channels}: a layer without channels computes nothing; use at least 1"
            )

    def by(self, ratio: float | None, threshold: float | None, *, strictly: bool = False) -> Selection:
        """Select by one of both.

        Raises:
            ValueError: There is not exactly one, or it is out of range.
        """
        if ratio is not None and threshold is None:
            return self.by_ratio(ratio)
        if threshold is not None and ratio is None:
            return self.by_threshold(threshold, strictly=strictly)
        raise ValueError("give either a ratio or a threshold, and not both")

    def by_ratio(self, ratio: float) -> Selection:
        """Drop this share of all prunable BatchNorm channels, the least important first; 0 <= ratio < 1.

        Raises:
            ValueError: It is out of range.
        """
        if not 0 <= ratio < 1:
            raise ValueError(f"ratio is {ratio}: it is the share of channels to drop, at least 0 and less than 1")
        fallen = drop_ratio(self.importance, ratio)
        threshold = max((self.importance.of_group[group] for group in fallen), default=0.0)
        including = threshold == 0 and ratio > 0  # equal scales must not condemn a block
        norms = fallen_norms(self.importance, self.channels, threshold, including=including)
        if threshold == 0:  # it may have left some of what is exactly zero
            channels = self.channels
            norms = [name for name in norms if fallen.issuperset(set(channels.outputs[name]) - channels.frozen.keys())]
        return self._selected(fallen, norms, threshold, ratio)

    def by_threshold(self, threshold: float, *, strictly: bool = False) -> Selection:
        """Drop every channel whose importance is at most this, or strictly less.

        Raises:
            ValueError: It is out of range.
        """
        if not 0 <= threshold < float("inf"):
            raise ValueError(
                f"threshold is {threshold}: it is compared with |gamma|, so it must be finite and at least 0"
            )
        fallen = drop_below(self.importance, threshold, strictly=strictly)
        norms = fallen_norms(self.importance, self.channels, threshold, including=not strictly)
        return self._selected(fallen, norms, threshold, None)

    def _selected(self, fallen: set[int], norms: list[str], threshold: float, ratio: float | None) -> Selection:
        removed = self._removable(tuple(norms))
        counts, notes = keep_counts(
            self.channels, fallen, removed, round_to=self.round_to, min_channels=self.min_channels
        )
        lost: set[int] = set()
        for count in counts:
            lost.update(self.importance.ranked(count.groups)[count.even.keep :])
        return Selection(lost, removed, fallen, threshold, ratio, notes)

    def _removable(self, norms: tuple[str, ...]) -> dict[str, list[str]]:
        if norms not in self.tried:
            self.tried[norms] = removable_blocks(self.model, self.channels, norms)
        return self.tried[norms]
