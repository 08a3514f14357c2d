"""PyTorch 2.9 made `torch.onnx.export(dynamo=True)` its default, which needs another package and other arguments.

Ultralytics 8.3.215 and later ask for the tracing exporter themselves.
"""

from __future__ import annotations

from slimfork.codemods import Argument, Import, Patch, Replace, Variant

NEWEST = "max(int(k[14:]) for k in vars(torch.onnx) if 'symbolic_opset' in k)"


def exporter(file: str) -> tuple[Import | Argument, ...]:
    """Return the edits for the file that calls PyTorch's exporter."""
    return (
        Import(file=file, code="from ultralytics.slim.compat import legacy_exporter"),
        Argument(file=file, call="torch.onnx.export", argument="**legacy_exporter()", gives=("dynamo",)),
    )


def opset(file: str, rule: str = f"{NEWEST} - 1") -> tuple[Import | Replace, ...]:
    """Return the edits for the file that chooses the opset, by a rule that reads a list PyTorch no longer has."""
    return (
        Import(file=file, code="from ultralytics.slim.compat import latest_opset"),
        Replace(file=file, within=("get_latest_opset",), anchor=rule, code="latest_opset()"),
    )


OLD, OLD_OPSET = exporter("ultralytics/yolo/engine/exporter.py"), "ultralytics/yolo/utils/torch_utils.py"
OPSET = opset("ultralytics/utils/torch_utils.py")
PACKAGE = exporter("ultralytics/utils/export/__init__.py")

PATCH = Patch(
    id="onnx_export",
    title="Export ONNX on PyTorch 2.9 and later",
    why="the exporter that this release was written for is no longer the default, and its list of opsets has moved",
    until="releases before 8.3.215 are no longer of use",
    compat=True,
    variants=(
        Variant(versions=">=8.0.0,<=8.0.35", edits=OLD),
        Variant(versions=">=8.0.36,<=8.0.65", edits=(*OLD, *opset(OLD_OPSET, NEWEST))),
        Variant(versions=">=8.0.66,<=8.0.135", edits=(*OLD, *opset(OLD_OPSET))),
        Variant(versions=">=8.0.136,<=8.3.106", edits=(*exporter("ultralytics/engine/exporter.py"), *OPSET)),
        Variant(versions=">=8.3.107,<=8.3.199", edits=(*exporter("ultralytics/utils/export.py"), *OPSET)),
        Variant(versions=">=8.3.200,<=8.3.202", edits=(*PACKAGE, *OPSET)),
        Variant(versions=">=8.3.203,<=8.3.214", edits=PACKAGE),
    ),
)
