"""PyTorch 2.9 made `torch.onnx.export(dynamo=True)` its default, which needs another package and other arguments.

Ultralytics 8.3 and later ask for the tracing exporter themselves.
"""

from __future__ import annotations

from slimfork.calls import Argument
from slimfork.codemod import Import, Replace
from slimfork.patch import Patch, Variant

EXPORTER = "ultralytics/yolo/engine/exporter.py"
TORCH_UTILS = "ultralytics/yolo/utils/torch_utils.py"

PATCH = Patch(
    id="onnx_export",
    title="Export ONNX on PyTorch 2.9 and later",
    why="the exporter that this release was written for is no longer the default, and its list of opsets has moved",
    until="the release is older than this patch set supports",
    compat=True,
    variants=(
        Variant(
            versions=">=8.0.100,<=8.0.100",
            edits=(
                Import(file=EXPORTER, code="from ultralytics.slim.compat import legacy_exporter"),
                Argument(file=EXPORTER, call="torch.onnx.export", argument="**legacy_exporter()"),
                Import(file=TORCH_UTILS, code="from ultralytics.slim.compat import latest_opset"),
                Replace(
                    file=TORCH_UTILS,
                    within=("get_latest_opset",),
                    anchor="max(int(k[14:]) for k in vars(torch.onnx) if 'symbolic_opset' in k) - 1",
                    code="latest_opset()",
                ),
            ),
        ),
    ),
)
