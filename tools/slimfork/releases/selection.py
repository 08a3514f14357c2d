"""Which releases a matrix is about: `--releases SPEC` and `--shard i/n`. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_version
from packaging.version import InvalidVersion, Version

from slimfork.releases import pins
from slimfork.releases.exclusions import read_rows, reason
from slimfork.terminal.content import patches_root
from slimfork.terminal.errors import UsageError
from slimfork.terminal.naming import is_tag

if TYPE_CHECKING:
    from collections.abc import Container, Sequence

    from slimfork.codemods.patch import Patch
    from slimfork.releases.pins import Pin

SAMPLE_SIZE = 40
FORMS = "all, representative, sample, sample:N, newest, 8.4.190,8.0.100, v7.0 or '>=8.3,<8.4'"


def select(spec: str, pinned: Sequence[Pin], series: Sequence[Patch], upstream: str) -> list[Pin]:
    """Return the pins that a SPEC names, oldest first.

    Args:
        spec: One of the forms in `FORMS`.
        pinned: All pins of the upstream.
        series: Its patches; a sample has a release of every variant.
        upstream: The family of releases.

    Raises:
        UsageError: It is none of the forms, or names no pinned release.
    """
    word, _, number = spec.partition(":")
    if spec == "all":
        return list(pinned)
    if spec == "newest":
        return [pins.newest(pinned, upstream)]
    if spec == "representative":
        lines = dict(representative(upstream))
        if not lines:
            raise UsageError(f"no release of {upstream} is named as representative", hint=f"--releases {FORMS}")
        return _having(pinned, lines)
    if word == "sample" and re.fullmatch(r"\d*", number):
        patchable = [pin for pin in pinned if not reason(upstream, pin.version)]
        return sample(patchable, series, int(number or SAMPLE_SIZE))
    return _named(spec, pinned, upstream)


def _having(pinned: Sequence[Pin], versions: Container[str]) -> list[Pin]:
    return [pin for pin in pinned if pin.version in versions]


def _named(spec: str, pinned: Sequence[Pin], upstream: str) -> list[Pin]:
    hint = f"--releases {FORMS}"
    try:
        if re.match(r"[<>=!~]", spec):
            inside = SpecifierSet(spec)
            artifacts = pins.artifacts_of(pinned)
            chosen = [pin for pin in artifacts if inside.contains(pin.version, prereleases=True)]
        else:
            chosen = _listed(spec.split(","), pinned, upstream, hint)
    except (InvalidSpecifier, InvalidVersion) as error:
        raise UsageError(f"--releases {spec!r} is none of its forms ({error})", hint=hint) from error
    if not chosen:
        raise UsageError(f"no pinned release of {upstream} is {spec}", hint=hint)
    return chosen


def _listed(listed: Sequence[str], pinned: Sequence[Pin], upstream: str, hint: str) -> list[Pin]:
    names = set(map(_plain, listed))
    missing = set(names)
    chosen = []
    for pin in pinned:
        name = _plain(pin.version)
        if name in names:
            chosen.append(pin)
            missing.discard(name)
    _refuse_missing(sorted(missing), pinned, upstream, hint)
    return chosen


def _plain(name: str) -> str:
    """Return a tag as it is, and a version as all that are equal to it are written: 8.4 for 8.4.0."""
    name = name.strip()
    return name if is_tag(name) else canonicalize_version(Version(name))


def _refuse_missing(missing: Sequence[str], pinned: Sequence[Pin], upstream: str, hint: str) -> None:
    if not missing:
        return
    tags = pins.by_version(pins.tags_of(pinned))
    if not is_tag(missing[0]):
        near = ", ".join(pins.nearest(missing[0], pins.artifacts_of(pinned)))
    elif tags:
        near = ", ".join(tags)
    else:
        raise UsageError(f"--releases {missing[0]!r} is none of its forms, and {upstream} has no git tags", hint=hint)
    raise UsageError(f"{upstream} {', '.join(missing)} is not pinned; nearest: {near}", hint=hint)


def representative(upstream: str) -> list[tuple[str, str]]:
    """Return one release of every line that differs in what is patched or trained, with what it stands for."""
    return [(line.removeprefix("=="), why) for line, why in read_rows(patches_root() / f"{upstream}.lines")]


def sample(files: Sequence[Pin], series: Sequence[Patch], count: int) -> list[Pin]:
    """Return about so many releases, evenly spread, with one at least of every variant of every patch."""
    step = max(1, len(files) // max(1, count))
    chosen = {pin.version for pin in [*files[::step], *files[-1:]]}
    for patch in series:
        for variant in patch.variants:
            inside = [pin.version for pin in files if variant.covers(pin.version)]
            if inside and not chosen.intersection(inside):
                chosen.add(inside[-1])
    return _having(files, chosen)


def shard(files: Sequence[Pin], text: str) -> list[Pin]:
    """Return part `i` of `n`, counted from 1; neighbours stay together, since they share most of their files."""
    match = re.fullmatch(r"(\d+)/(\d+)", text)
    index, parts = (int(match[1]), int(match[2])) if match else (0, 0)
    if not 1 <= index <= parts:
        raise UsageError(f"--shard {text!r} is not i/n with 1 <= i <= n", hint="--shard 1/4")
    return list(files[len(files) * (index - 1) // parts : len(files) * index // parts])
