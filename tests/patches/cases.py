"""What the tests of patches share: a table of before and after for each patch, and the checks that run over it."""

from __future__ import annotations

import difflib
import importlib
import re
from collections import Counter
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from packaging.specifiers import SpecifierSet
from packaging.version import Version

from slimfork.codemods.codemod import Import
from slimfork.codemods.patch import load_series
from slimfork.codemods.patch_plan import plan_patches
from slimfork.releases import pins

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from slimfork.codemods.codemod import Edit
    from slimfork.codemods.patch import Patch, Variant
    from slimfork.codemods.patch_plan import Step

FRAGMENTS = ("ultralytics",)  # the releases of YOLOv5 are few: its patches are tried on all of them, whole


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """The files of a release before and after a patch, a few lines each."""

    version: str
    before: Mapping[str, str]
    after: Mapping[str, str]

    @classmethod
    def of(cls, version: str, pairs: Mapping[str, tuple[str, str]]) -> Case:
        """Make a case of path to what a file holds before and after."""
        before, after = ({path: pair[i] for path, pair in pairs.items()} for i in (0, 1))
        return cls(version=version, before=before, after=after)


def patch_named(name: str, upstream: str = "ultralytics") -> Patch:
    return next(patch for patch in load_series(upstream) if patch.id == name)


def variant_of(patch: Patch, version: str) -> Variant:
    variant = patch.variant(version)
    assert variant is not None, f"{patch.id} has no variant for {version}"
    return variant


def ends_of(variant: Variant) -> tuple[str, str]:
    """Return the first and the last release of a variant."""
    first, last = sorted(Version(spec.version) for spec in SpecifierSet(variant.versions))
    return str(first), str(last)


def all_ends(patch: Patch) -> list[str]:
    """Return the first and the last release of every variant, each once."""
    ranges = [variant for variant in patch.variants if variant.versions]
    return list(dict.fromkeys(end for variant in ranges for end in ends_of(variant)))


@cache
def releases(upstream: str) -> tuple[str, ...]:
    """Return every pinned release, oldest first."""
    return tuple(sorted((pin.version for pin in pins.load(upstream) if not pin.is_tag), key=Version))


@cache
def tags(upstream: str) -> tuple[str, ...]:
    """Return every pinned tag, oldest first."""
    return tuple(pin.version for pin in pins.load(upstream) if pin.is_tag)


@cache
def coverage(patch: Patch, upstream: str = "ultralytics") -> Mapping[str, int]:
    """Return every pinned release, and how many variants cover it."""
    return {version: sum(variant.covers(version) for variant in patch.variants) for version in releases(upstream)}


def beside(patch: Patch, upstream: str = "ultralytics") -> list[str]:
    """Return the pinned releases that a patch is not for, next to those that it is for."""
    counts = [0, *coverage(patch, upstream).values(), 0]
    triples = zip(releases(upstream), counts, counts[1:], counts[2:], strict=False)
    return [version for version, before, own, after in triples if not own and (before or after)]


def all_cases() -> Iterator[tuple[str, Patch, Case]]:
    """Yield upstream, patch and case from the test of the same name of every patch there is."""
    for upstream in FRAGMENTS:
        for patch in load_series(upstream):
            module = importlib.import_module(f"tests.patches.{upstream}.test_{patch.id}")
            for case in module.CASES:
                yield upstream, patch, case


def as_bytes(files: Mapping[str, str]) -> dict[str, bytes]:
    return {path: text.encode() for path, text in files.items()}


def step(patch: Patch, files: Mapping[str, bytes], version: str, upstream: str = "ultralytics") -> Step:
    """Return what a patch alone would do to files."""
    return plan_patches(files, upstream=upstream, version=version, series=[patch]).steps[0]


def check_transformed(patch: Patch, version: str, before: Mapping[str, bytes], after: Mapping[str, bytes]) -> None:
    """Demand that a patch turns the one into the other, and then finds itself applied."""
    done = step(patch, before, version)
    assert done.state == "pending", "\n".join(done.problems)
    assert {**before, **done.changes} == after
    assert set(done.changes) == {path for path in before if before[path] != after[path]}
    check_noop(patch, version, after, "applied")


def check_only_marked_lines(old: bytes, new: bytes, marks: Sequence[str]) -> None:
    """Demand that lines come, or change one by one, and that each of them holds a mark of an edit."""
    before, after = (content.decode().splitlines(keepends=True) for content in (old, new))
    for tag, i, j, k, m in difflib.SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        if tag != "equal":
            assert j - i in {0, m - k}, (before[i:j], after[k:m])
            for line in after[k:m]:
                assert any(mark in line for mark in marks), line


def check_noop(patch: Patch, version: str, files: Mapping[str, bytes], state: str) -> None:
    """Demand that a patch has nothing to do, and says so in this way."""
    done = step(patch, files, version)
    assert (done.state, dict(done.changes), done.problems) == (state, {}, ())
    assert done.reason


def check_explained(patch: Patch, edit: Edit, version: str, message: str, *, found: str) -> None:
    """Demand of the message of an edit that does not fit all that a person needs."""
    place = ".".join(edit.within) or "module"
    lines = message.splitlines()
    assert lines[0] == f"{patch.id}: {patch.title}"
    assert f"  at       {edit.file} :: {place} (ultralytics {version})" in lines
    assert f"  problem  {found}" in lines
    assert f"  expected {edit.anchor}" in lines
    assert f"  why      {patch.why}" in lines
    assert lines[-1].startswith("  next     ")
    assert (f"--skip {patch.id}" if patch.skippable else f"git log -p -- {edit.file}") in lines[-1]


def check_next_needs_none(patch: Patch, release: Callable[[str], Mapping[str, bytes]], own: bytes) -> None:
    """Demand that a patch ends where upstream first has its own way: code that the last release lacks."""
    _, last = ends_of(patch.variants[-1])
    following = beside(patch)[-1]
    assert Version(following) > Version(last)
    has = {version: any(own in text for text in release(version).values()) for version in (last, following)}
    assert has == {last: False, following: True}


def check_none_missed(
    patch: Patch, version: str, files: Mapping[str, bytes], use: str, *, besides: tuple[str, ...] = ()
) -> None:
    """Demand that the lines of the package that use what is gone are the sites that the edits state, no more, no less.

    Args:
        patch: The patch.
        version: A release that it is for.
        files: The pristine release.
        use: A regular expression for such a line.
        besides: Beginnings of paths that are left alone.
    """
    found, stated = Counter[str](), Counter[str]()
    for path, content in files.items():
        if path.startswith("ultralytics/") and path.endswith(".py") and not path.startswith(besides):
            for match in re.finditer(use.encode(), content):
                line = content[: match.start()].rpartition(b"\n")[2]
                found[path] += b"#" not in line
    for edit in variant_of(patch, version).edits:
        if not isinstance(edit, Import):
            stated[edit.file] += edit.count
    assert +found == stated
