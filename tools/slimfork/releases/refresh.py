"""What an index offers against what is pinned. A pinned hash never changes, and a pin is never dropped."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from slimfork.releases.pins import artifacts_of, by_version

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
        document: dict[str, Any] = {}
        for kind in ("added", "yanked", "restored", "gone"):
            document[kind] = [pin.as_json() for pin in getattr(self, kind)]
        changed = [{"version": a.version, "pinned": a.sha256, "offered": b.sha256} for a, b in self.changed]
        return {**document, "changed": changed, "pins": len(self.pinned)}


def compare(pinned: Sequence[Pin], offered: Sequence[Pin]) -> Changes:
    """Compare the pins of a lock with what the index offers; git tags are left alone."""
    before, now = by_version(artifacts_of(pinned)), by_version(offered)
    updated: dict[str, Pin] = {}
    yanked: list[Pin] = []
    restored: list[Pin] = []
    gone, changed = [], []
    for version, old in before.items():
        new = now.get(version)
        if new is None:
            gone.append(old)
        elif new.sha256 != old.sha256:
            changed.append((old, new))
        elif new.yanked != old.yanked:
            updated[version] = replace(old, yanked=new.yanked)
            (yanked if new.yanked else restored).append(updated[version])
    after = [updated.get(pin.version, pin) for pin in pinned]  # a tag is none of them
    added = sorted((pin for pin in offered if pin.version not in before), key=lambda pin: pin.order)
    return Changes(
        pinned=tuple(sorted([*after, *added], key=lambda pin: pin.order)),
        added=tuple(added),
        yanked=tuple(yanked),
        restored=tuple(restored),
        gone=tuple(gone),
        changed=tuple(changed),
    )
