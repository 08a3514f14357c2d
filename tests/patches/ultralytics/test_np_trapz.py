"""The PR curve is integrated with the name that the installed NumPy has."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.patches.cases import Case, patch_named

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


def test_integral_is_right_on_this_numpy() -> None:
    x = np.linspace(0, 1, 101)
    namespace: dict[str, Any] = {"np": np, "method": "interp"}
    exec(CASES[0].after[METRICS], namespace)  # noqa: S102 - our own fragment
    area = namespace["compute_ap"](x, [0.0, 1.0], [1.0, 0.0])
    assert area == pytest.approx(0.5)
