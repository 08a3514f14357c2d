"""Rotated boxes are drawn on the installed NumPy, with the integers that OpenCV takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest

from tests.patches.cases import Case, all_ends, check_next_needs_none, check_none_missed, patch_named

if TYPE_CHECKING:
    from collections.abc import Callable

PATCH = patch_named("np_int")

BEFORE = """\
class Annotator:
    def box_label(self, box, label='', color=(128, 128, 128), rotated=False):
        if rotated:
            p1 = [int(b) for b in box[0]]
            cv2.polylines(self.im, [np.asarray(box, dtype=np.int)], True, color, self.lw)
"""
AFTER = BEFORE.replace("np.int)", "np.int32)")

CASES = (Case.of("8.0.236", {"ultralytics/utils/plotting.py": (BEFORE, AFTER)}),)


def test_box_is_drawn() -> None:
    namespace: dict[str, Any] = {"np": np, "cv2": cv2}
    exec(AFTER, namespace)  # noqa: S102 - our own fragment
    annotator = namespace["Annotator"]()
    annotator.im, annotator.lw = np.zeros((32, 32, 3), np.uint8), 1
    annotator.box_label(np.array([[4.0, 4], [20, 4], [20, 20], [4, 20]]), color=(9, 9, 9), rotated=True)
    assert annotator.im[4, 4:20].all()


@pytest.mark.parametrize("version", all_ends(PATCH))
def test_no_use_is_missed(release: Callable[[str], dict[str, bytes]], version: str) -> None:
    check_none_missed(PATCH, version, release(version), r"\bnp\.int\b")


def test_next_release_has_its_own_way(release: Callable[[str], dict[str, bytes]]) -> None:
    check_next_needs_none(PATCH, release, b"np.asarray(box, dtype=int)")
