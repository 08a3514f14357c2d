"""What a patch is: one documented edit of upstream, with a variant for each range of releases."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING

from packaging.specifiers import SpecifierSet
from packaging.version import Version

from slimfork.terminal.content import patches_root
from slimfork.terminal.errors import UsageError
from slimfork.terminal.naming import UPSTREAMS, is_tag

if TYPE_CHECKING:
    from collections.abc import Sequence

    from slimfork.codemods.codemod import Edit
    from slimfork.handmade.handmade import Handmade


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """The form that a patch takes for some releases.

    Attributes:
        versions: A closed range of published versions, such as ">=8.3.0,<=8.4.190"; empty when it is for tags only.
        tags: Git tags, such as ("v6.2", "v7.0"); no range, since what a branch is called has no order.
        edits: What is changed, each at the stated number of sites.
    """

    versions: str = ""
    tags: tuple[str, ...] = ()
    edits: tuple[Edit, ...]

    def covers(self, version: str) -> bool:
        """Tell whether a release is one of the tags, or lies in the range."""
        if is_tag(version):
            return version in self.tags
        return bool(self.versions) and SpecifierSet(self.versions).contains(Version(version).public, prereleases=True)

    @property
    def last(self) -> Version | None:
        """The upper end of the range; None when it is for tags only."""
        return max((Version(part.version) for part in SpecifierSet(self.versions)), default=None)

    @property
    def formerly(self) -> Variant:
        """The variant in the form that an earlier version of this toolkit gave it."""
        return replace(self, edits=tuple(map(_formerly, self.edits)))

    @property
    def span(self) -> str:
        """The releases in words: `>=5.0.0,<=7.0.14 or v6.2, v7.0`."""
        return " or ".join(filter(None, [self.versions, ", ".join(self.tags)]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Patch:
    """One documented edit.

    Attributes:
        id: The name of its file, such as "loss_device".
        title: What it does, in the imperative; the subject of its commit.
        why: Why the edit exists, with its source.
        until: When it may go.
        compat: Whether it only lets an old release run on today's Python, NumPy and PyTorch.
        skippable: Whether a fork can do without it (`--skip`): not so the write-ups' edits, and what names the fork.
        variants: Exactly one covers each release that the patch is for.
        handmade: The ways in which people make this edit by hand.
    """

    id: str
    title: str
    why: str
    until: str
    variants: tuple[Variant, ...]
    compat: bool = False
    skippable: bool = True
    handmade: tuple[Handmade, ...] = ()

    @property
    def formerly(self) -> Patch:
        """The patch in the form that an earlier version of this toolkit gave it."""
        return replace(self, variants=tuple(variant.formerly for variant in self.variants))

    def variant(self, version: str) -> Variant | None:
        """Return the variant for a release, or None when the patch is not for it."""
        for variant in self.variants:
            if variant.covers(version):
                return variant
        return None

    def edits(self, version: str) -> tuple[Edit, ...]:
        """Return the edits of a release; none when the patch is not for it."""
        variant = self.variant(version)
        return variant.edits if variant else ()


def _formerly(edit: Edit) -> Edit:
    former = getattr(edit, "former", None)
    if not former:
        return edit
    earlier: Edit = replace(edit, code=former, former=None)  # type: ignore[type-var]
    return earlier


def newest_known(series: Sequence[Patch]) -> Version | None:
    """Return the newest published version that documented patches of a series are for, or None when there is none."""
    newest = None
    for patch in series:
        if patch.compat:
            continue
        for variant in patch.variants:
            last = variant.last
            if last is not None and (newest is None or last > newest):
                newest = last
    return newest


def known_as(series: Sequence[Patch], version: str) -> str:
    """Return the release whose variants are tried: the version itself, or, when it is newer, the newest known.

    A tag is always itself: its commit is pinned, so that there is nothing newer under its name.
    """
    if is_tag(version):
        return version
    newest = newest_known(series)
    return str(newest) if newest is not None and Version(Version(version).public) > newest else version


@cache
def load_series(upstream: str) -> tuple[Patch, ...]:
    """Load every patch of an upstream in series order: compatibility first, then by name.

    Raises:
        UsageError: The upstream is not known.
    """
    if upstream not in UPSTREAMS:
        raise UsageError(f"unknown upstream {upstream!r}", hint=f"one of: {', '.join(UPSTREAMS)}")
    files = sorted((patches_root() / upstream).glob("[!_]*.py"))
    patches = []
    for file in files:
        spec = importlib.util.spec_from_file_location(f"slimfork_patches.{upstream}.{file.stem}", file)
        if spec is None or spec.loader is None:  # pragma: no cover - a .py file always has a loader
            raise UsageError(f"{file} cannot be imported")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        patches.append(module.PATCH)
    return tuple(sorted(patches, key=lambda p: (not p.compat, p.id)))
