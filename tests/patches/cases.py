"""What the tests of patches share: a table of before and after for each patch, and the checks that run over it."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from slimfork.patch import UPSTREAMS, load_series
from slimfork.plan import make_plan

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from slimfork.codemod import Edit
    from slimfork.patch import Patch, Variant
    from slimfork.plan import Step


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """The files of a release before and after a patch, a few lines each."""

    version: str
    before: Mapping[str, str]
    after: Mapping[str, str]


def patch_named(name: str, upstream: str = "ultralytics") -> Patch:
    return next(patch for patch in load_series(upstream) if patch.id == name)


def variant_of(patch: Patch, version: str) -> Variant:
    variant = patch.variant(version)
    assert variant is not None, f"{patch.id} has no variant for {version}"
    return variant


def all_cases() -> Iterator[tuple[str, Patch, Case]]:
    """Yield upstream, patch and case from the test of the same name of every patch there is."""
    for upstream in UPSTREAMS:
        for patch in load_series(upstream):
            module = importlib.import_module(f"tests.patches.{upstream}.test_{patch.id}")
            for case in module.CASES:
                yield upstream, patch, case


def as_bytes(files: Mapping[str, str]) -> dict[str, bytes]:
    return {path: text.encode() for path, text in files.items()}


def step(patch: Patch, files: Mapping[str, bytes], version: str, upstream: str = "ultralytics") -> Step:
    """Return what a patch alone would do to files."""
    return make_plan(files, upstream=upstream, version=version, series=[patch]).steps[0]


def check_transformed(patch: Patch, version: str, before: Mapping[str, bytes], after: Mapping[str, bytes]) -> None:
    """Demand that a patch turns the one into the other, and then finds itself applied."""
    done = step(patch, before, version)
    assert done.state == "pending", "\n".join(done.problems)
    assert {**before, **done.changes} == after
    assert set(done.changes) == {path for path in before if before[path] != after[path]}
    check_noop(patch, version, after, "applied")


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
    assert f"patches/ultralytics/{patch.id}.py" in lines[-1]
