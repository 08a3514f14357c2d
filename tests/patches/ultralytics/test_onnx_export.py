"""The tracing exporter is asked for, and the opset does not come from a list that has moved."""

from __future__ import annotations

import pytest

from tests.patches.cases import Case, as_bytes, check_noop, check_transformed, patch_named

PATCH = patch_named("onnx_export")

EXPORTER = "ultralytics/yolo/engine/exporter.py"
TORCH_UTILS = "ultralytics/yolo/utils/torch_utils.py"

CASES = (
    Case(
        version="8.0.100",
        before={
            EXPORTER: """\
import torch

class Exporter:
    def export_onnx(self):
        torch.onnx.export(
            self.model,
            f,
            dynamic_axes=dynamic or None)
""",
            TORCH_UTILS: """\
import torch

def get_latest_opset():
    return max(int(k[14:]) for k in vars(torch.onnx) if 'symbolic_opset' in k) - 1  # opset
""",
        },
        after={
            EXPORTER: """\
import torch
from ultralytics.slim.compat import legacy_exporter

class Exporter:
    def export_onnx(self):
        torch.onnx.export(
            self.model,
            f,
            dynamic_axes=dynamic or None, **legacy_exporter())
""",
            TORCH_UTILS: """\
import torch
from ultralytics.slim.compat import latest_opset

def get_latest_opset():
    return latest_opset()  # opset
""",
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


def test_opset_of_another_function_is_not_meant() -> None:
    before, after = as_bytes(CASES[0].before), as_bytes(CASES[0].after)
    other = b"\ndef other():\n    return max(int(k[14:]) for k in vars(torch.onnx) if 'symbolic_opset' in k) - 1\n"
    more = {**before, TORCH_UTILS: before[TORCH_UTILS] + other}
    check_transformed(PATCH, "8.0.100", more, {**after, TORCH_UTILS: after[TORCH_UTILS] + other})
