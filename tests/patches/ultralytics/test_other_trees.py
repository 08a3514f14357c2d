"""Trees that are not what their version says: files moved, edited in part, edited by upstream, of another release."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from slimfork.codemods.patch import load_series
from slimfork.codemods.patch_plan import plan_patches
from tests.patches.cases import ends_of, patch_named, step, variant_of

if TYPE_CHECKING:
    from slimfork.codemods.patch import Patch, Variant
    from slimfork.codemods.patch_plan import Step
    from tests.patches.ultralytics.mutations import Release

SERIES = load_series("ultralytics")
VERSIONS = ("8.0.0", "8.0.100", "8.2.63", "8.4.190")

every_version = pytest.mark.parametrize("version", VERSIONS)
PAIRS = [(patch, version) for version in VERSIONS for patch in SERIES]


def is_of_several_files(patch: Patch, version: str) -> bool:
    return len({edit.file for edit in patch.edits(version)}) > 1


OF_SEVERAL_FILES = [
    pytest.param(patch, version, id=f"{patch.id}-{version}")
    for patch, version in PAIRS
    if is_of_several_files(patch, version)
]


@every_version
def test_every_file_moved_is_said_at_once(release: Release, version: str) -> None:
    moved = {path.replace("ultralytics/", "src/ultralytics/", 1): text for path, text in release(version).items()}

    plan = plan_patches(moved, upstream="ultralytics", version=version, series=SERIES)

    wanted = [patch for patch in SERIES if patch.variant(version)]
    assert [step.patch for step in plan.broken] == wanted
    assert plan.changes == {}
    for broken in plan.broken:
        edits = variant_of(broken.patch, version).edits
        assert len(broken.problems) == len(edits)
        for edit, problem in zip(edits, broken.problems, strict=True):
            assert f"  at       {edit.file} :: " in problem
            assert "  problem  the file does not exist" in problem


@pytest.mark.parametrize(("patch", "version"), OF_SEVERAL_FILES)
def test_file_moved_is_named_and_the_others_stay(release: Release, patch: Patch, version: str) -> None:
    files = dict(release(version))
    first = variant_of(patch, version).edits[0].file
    files[f"{first}.moved.py"] = files.pop(first)

    done = step(patch, files, version)

    assert (done.state, dict(done.changes)) == ("broken", {})
    assert all(f"  at       {first} :: " in problem for problem in done.problems)


@pytest.mark.parametrize(("patch", "version"), OF_SEVERAL_FILES)
def test_edit_of_one_file_alone_is_half_applied(release: Release, patch: Patch, version: str) -> None:
    files = release(version)
    whole = step(patch, files, version).changes
    done_in = variant_of(patch, version).edits[0].file

    half = step(patch, {**files, done_in: whole[done_in]}, version)

    assert (half.state, dict(half.changes)) == ("broken", {})
    (message,) = half.problems
    lines = message.splitlines()
    assert lines[1] == f"  problem  half applied to ultralytics {version}"
    for edit in variant_of(patch, version).edits:
        word = "done   " if edit.file == done_in else "missing"
        assert any(line.startswith(f"  {word}  {edit.file} :: ") for line in lines)


UPSTREAMS_OWN = {
    "8.0.100": ("ultralytics/yolo/v8/detect/train.py", 1),
    "8.2.63": ("ultralytics/utils/loss.py", 2),
    "8.4.190": ("ultralytics/utils/loss.py", 2),
}
SHAPE = b"            b, a, c = pred_dist.shape  # batch, anchors, channels\n"
MOVES = b"            self.proj = self.proj.to(device=pred_dist.device, non_blocking=True)\n"


@pytest.mark.parametrize("version", UPSTREAMS_OWN)
def test_edit_that_upstream_has_made_is_upstreamed(release: Release, version: str) -> None:
    path, places = UPSTREAMS_OWN[version]
    files = dict(release(version))
    assert files[path].count(SHAPE) == places
    files[path] = files[path].replace(SHAPE, MOVES + SHAPE)

    plan = plan_patches(files, upstream="ultralytics", version=version, series=SERIES)

    (loss,) = (step for step in plan.steps if step.patch.id == "loss_device")
    assert (loss.state, loss.reason) == ("upstreamed", "the release has made this edit itself")
    assert not plan.broken
    assert path not in plan.changes
    assert {"keep_architecture", "sparsity", "version"} <= {s.patch.id for s in plan.steps if s.state == "pending"}


def test_edit_that_upstream_has_made_in_one_place_of_two_is_broken(release: Release) -> None:
    path = "ultralytics/utils/loss.py"
    files = {path: release("8.2.63")[path].replace(SHAPE, MOVES + SHAPE, 1)}

    done = step(patch_named("loss_device"), files, "8.2.63")

    assert done.state == "broken"
    assert (
        "  problem  expected 2 sites, found 1 without the edit, 1 in upstream's form" in done.problems[0].splitlines()
    )


# Where two ranges of a patch meet, what is to be edited is there on both sides; the reason for two ranges is another.
MEET = {
    ("font_getsize", "8.0.24"),  # labels choose by Pillow's version from there on
    ("keep_architecture", "8.4.45"),  # the weights have been chosen before
}
NEIGHBOURS = [(patch, older, newer) for patch in SERIES for older, newer in pairwise(patch.variants)]
BOUNDARIES = [
    pytest.param(patch, older, newer, id=f"{patch.id}-{ends_of(newer)[0]}")
    for patch, older, newer in NEIGHBOURS
    if (patch.id, ends_of(newer)[0]) not in MEET
]


def tried(release: Release, patch: Patch, variant: Variant, version: str) -> Step:
    """Return what a variant would do to a release that it is not for."""
    as_if = replace(variant, versions=f">={version},<={version}")
    return step(replace(patch, variants=(as_if,)), release(version), version)


@pytest.mark.parametrize(("patch", "older", "newer"), BOUNDARIES)
def test_files_of_one_range_do_not_pass_for_the_next(
    release: Release, patch: Patch, older: Variant, newer: Variant
) -> None:
    last, first = ends_of(older)[1], ends_of(newer)[0]
    forward, back = (tried(release, patch, older, first), tried(release, patch, newer, last))

    assert "broken" in {forward.state, back.state}
    for done in (forward, back):
        assert done.state in {"broken", "pending"}
        for problem in done.problems:
            (line,) = [line for line in problem.splitlines() if line.startswith("  problem  ")]
            assert "expected" in line or "does not exist" in line
