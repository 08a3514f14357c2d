"""The tracing exporter is asked for, and the opset does not come from a list that has moved."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.patches.cases import (
    Case,
    all_ends,
    as_bytes,
    check_next_needs_none,
    check_none_missed,
    check_transformed,
    patch_named,
)

if TYPE_CHECKING:
    from collections.abc import Callable

PATCH = patch_named("onnx_export")

METHOD = """\
import torch

class Exporter:
    def export_onnx(self):
        torch.onnx.export(
            self.model,
            f,
            dynamic_axes=dynamic or None)
"""

METHOD_AFTER = """\
import torch
from ultralytics.slim.compat import legacy_exporter

class Exporter:
    def export_onnx(self):
        torch.onnx.export(
            self.model,
            f,
            dynamic_axes=dynamic or None, **legacy_exporter())
"""

FUNCTION = """\
import torch


def export_onnx(torch_model, im, onnx_file):
    torch.onnx.export(
        torch_model,
        dynamic_axes=dynamic or None,
    )
"""

FUNCTION_AFTER = """\
import torch
from ultralytics.slim.compat import legacy_exporter


def export_onnx(torch_model, im, onnx_file):
    torch.onnx.export(
        torch_model,
        dynamic_axes=dynamic or None, **legacy_exporter(),
    )
"""

NEWEST = """\
import torch

def get_latest_opset():
    return max(int(k[14:]) for k in vars(torch.onnx) if 'symbolic_opset' in k)  # opset
"""

SECOND = NEWEST.replace(")  # opset", ") - 1  # opset")

SECOND_AFTER = """\
import torch
from ultralytics.slim.compat import latest_opset

def get_latest_opset():
    return latest_opset()  # opset
"""

BRANCH = """\
import torch


def get_latest_opset():
    if TORCH_1_13:
        return max(int(k[14:]) for k in vars(torch.onnx) if "symbolic_opset" in k) - 1
    return {"1.12": 15}.get(version, 12)
"""

BRANCH_AFTER = """\
import torch
from ultralytics.slim.compat import latest_opset


def get_latest_opset():
    if TORCH_1_13:
        return latest_opset()
    return {"1.12": 15}.get(version, 12)
"""


OLD, OLD_RULE = "ultralytics/yolo/engine/exporter.py", "ultralytics/yolo/utils/torch_utils.py"
EXPORTER, RULE = "ultralytics/engine/exporter.py", "ultralytics/utils/torch_utils.py"
MODULE, PACKAGE = "ultralytics/utils/export.py", "ultralytics/utils/export/__init__.py"

IN_METHOD, IN_FUNCTION = (METHOD, METHOD_AFTER), (FUNCTION, FUNCTION_AFTER)
OF_SECOND, IN_BRANCH = (SECOND, SECOND_AFTER), (BRANCH, BRANCH_AFTER)

CASES = (
    Case.of("8.0.35", {OLD: IN_METHOD}),
    Case.of("8.0.36", {OLD: IN_METHOD, OLD_RULE: (NEWEST, SECOND_AFTER)}),
    Case.of("8.0.100", {OLD: IN_METHOD, OLD_RULE: OF_SECOND}),
    Case.of("8.0.136", {EXPORTER: IN_METHOD, RULE: OF_SECOND}),
    Case.of("8.3.106", {EXPORTER: IN_METHOD, RULE: IN_BRANCH}),
    Case.of("8.3.107", {MODULE: IN_FUNCTION, RULE: IN_BRANCH}),
    Case.of("8.3.200", {PACKAGE: IN_FUNCTION, RULE: IN_BRANCH}),
    Case.of("8.3.214", {PACKAGE: IN_FUNCTION}),
)


def test_opset_of_another_function_is_not_meant() -> None:
    before, after = as_bytes(CASES[2].before), as_bytes(CASES[2].after)
    other = b"\ndef other():\n    return max(int(k[14:]) for k in vars(torch.onnx) if 'symbolic_opset' in k) - 1\n"
    more = {**before, OLD_RULE: before[OLD_RULE] + other}
    check_transformed(PATCH, "8.0.100", more, {**after, OLD_RULE: after[OLD_RULE] + other})


@pytest.mark.parametrize("version", all_ends(PATCH))
def test_no_use_is_missed(release: Callable[[str], dict[str, bytes]], version: str) -> None:
    example = ("ultralytics/nn/modules/__init__.py",)  # in its docstring
    use = r"""(?:\btorch\.onnx\.export\(|['"]symbolic_opset['"] in )"""
    check_none_missed(PATCH, version, release(version), use, besides=example)


def test_next_release_has_its_own_way(release: Callable[[str], dict[str, bytes]]) -> None:
    check_next_needs_none(PATCH, release, b'kwargs = {"dynamo": False}')
