"""The PR curve is integrated with the name that the installed NumPy has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tests.patches.cases import Case, all_ends, check_next_needs_none, check_none_missed, patch_named

if TYPE_CHECKING:
    from collections.abc import Callable

PATCH = patch_named("np_trapz")

BEFORE = """\
def compute_ap(x, mrec, mpre):
    if method == 'interp':
        ap = np.trapz(np.interp(x, mrec, mpre), x)  # integrate
    return ap
"""

AFTER = """\
def compute_ap(x, mrec, mpre):
    if method == 'interp':
        ap = getattr(np, 'trapezoid', getattr(np, 'trapz', None))(np.interp(x, mrec, mpre), x)  # integrate
    return ap
"""


CASES = (
    Case.of("8.0.100", {"ultralytics/yolo/utils/metrics.py": (BEFORE, AFTER)}),
    Case.of("8.2.63", {"ultralytics/utils/metrics.py": (BEFORE, AFTER)}),
)


def test_integral_is_right_on_this_numpy() -> None:
    x = np.linspace(0, 1, 101)
    namespace: dict[str, Any] = {"np": np, "method": "interp"}
    exec(AFTER, namespace)  # noqa: S102 - our own fragment
    area = namespace["compute_ap"](x, [0.0, 1.0], [1.0, 0.0])
    assert area == pytest.approx(0.5)


@pytest.mark.parametrize("version", all_ends(PATCH))
def test_no_use_is_missed(release: Callable[[str], dict[str, bytes]], version: str) -> None:
    check_none_missed(PATCH, version, release(version), r"\btrapz\b")


def test_next_release_has_its_own_way(release: Callable[[str], dict[str, bytes]]) -> None:
    check_next_needs_none(PATCH, release, b"np.trapezoid")
