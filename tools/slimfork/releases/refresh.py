"""What an index offers against what is pinned. A pinned hash never changes, and a pin is never dropped."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from slimfork.releases.pins import Pin


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """The difference between a lock and an index.

    Attributes:
        pinned: The lock as it should be.
        added: On the index, not pinned before.
        yanked: Yanked since, or for another reason.
        restored: No longer yanked.
        gone: Pinned, but no longer on this index. They stay pinned: a mirror may carry only some releases.
        changed: Pinned with one hash (first), offered with another (second). They stay as they were pinned.
    """

    pinned: tuple[Pin, ...]
    added: tuple[Pin, ...]
    yanked: tuple[Pin, ...]
    restored: tuple[Pin, ...]
    gone: tuple[Pin, ...]
    changed: tuple[tuple[Pin, Pin], ...]

    def as_json(self) -> dict[str, Any]:
        """Return the difference as plain data."""
        kinds = ("added", "yanked", "restored", "gone")
        changed = [{"version": a.version, "pinned": a.sha256, "offered": b.sha256} for a, b in self.changed]
        lists = {kind: [pin.as_json() for pin in getattr(self, kind)] for kind in kinds}
        return {**lists, "changed": changed, "pins": len(self.pinned)}


def compare(pinned: Sequence[Pin], offered: Sequence[Pin]) -> Changes:
    """Compare the pins of a lock with what the index offers; git tags are left alone."""
    before = {pin.version: pin for pin in pinned if not pin.is_tag}
    now = {pin.version: pin for pin in offered}
    common = [(before[version], now[version]) for version in before if version in now]
    added = sorted((pin for pin in offered if pin.version not in before), key=lambda pin: pin.order)
    moved = [(old, new) for old, new in common if old.sha256 == new.sha256 and old.yanked != new.yanked]
    updated = {old.version: replace(old, yanked=new.yanked) for old, new in moved}
    after = [pin if pin.is_tag else updated.get(pin.version, pin) for pin in pinned]
    return Changes(
        pinned=tuple(sorted([*after, *added], key=lambda pin: pin.order)),
        added=tuple(added),
        yanked=tuple(pin for pin in updated.values() if pin.yanked),
        restored=tuple(pin for pin in updated.values() if not pin.yanked),
        gone=tuple(before[version] for version in before if version not in now),
        changed=tuple((old, new) for old, new in common if old.sha256 != new.sha256),
    )
