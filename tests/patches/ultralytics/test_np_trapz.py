"""The PR curve is integrated with the name that the installed NumPy has."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.patches.cases import Case, as_bytes, check_noop, check_transformed, patch_named

PATCH = patch_named("np_trapz")

METRICS = "ultralytics/yolo/utils/metrics.py"

CASES = (
    Case(
        version="8.0.100",
        before={
            METRICS: """\
def compute_ap(x, mrec, mpre):
    if method == 'interp':
        ap = np.trapz(np.interp(x, mrec, mpre), x)  # integrate
    return ap
"""
        },
        after={
            METRICS: """\
def compute_ap(x, mrec, mpre):
    if method == 'interp':
        ap = getattr(np, 'trapezoid', getattr(np, 'trapz', None))(np.interp(x, mrec, mpre), x)  # integrate
    return ap
"""
        },
    ),
)

every_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.version)


@every_case
def test_before_becomes_after(case: Case) -> None:
    check_transformed(PATCH, case.version, as_bytes(case.before), as_bytes(case.after))


@every_case
def test_applied_is_left_alone(case: Case) -> None:
    check_noop(PATCH, case.version, as_bytes(case.after), "applied")


@pytest.mark.parametrize("version", ["8.0.34", "8.4.190"])
def test_other_releases_are_left_alone(version: str) -> None:
    check_noop(PATCH, version, as_bytes(CASES[0].before), "excluded")


def test_integral_is_right_on_this_numpy() -> None:
    x = np.linspace(0, 1, 101)
    namespace: dict[str, Any] = {"np": np, "method": "interp"}
    exec(CASES[0].after[METRICS], namespace)  # noqa: S102 - our own fragment
    area = namespace["compute_ap"](x, [0.0, 1.0], [1.0, 0.0])
    assert area == pytest.approx(0.5)
