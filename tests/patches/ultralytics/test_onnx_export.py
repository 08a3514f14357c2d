"""The tracing exporter is asked for, and the opset does not come from a list that has moved."""

from __future__ import annotations

from tests.patches.cases import Case, as_bytes, check_transformed, patch_named

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


def test_opset_of_another_function_is_not_meant() -> None:
    before, after = as_bytes(CASES[0].before), as_bytes(CASES[0].after)
    other = b"\ndef other():\n    return max(int(k[14:]) for k in vars(torch.onnx) if 'symbolic_opset' in k) - 1\n"
    more = {**before, TORCH_UTILS: before[TORCH_UTILS] + other}
    check_transformed(PATCH, "8.0.100", more, {**after, TORCH_UTILS: after[TORCH_UTILS] + other})
