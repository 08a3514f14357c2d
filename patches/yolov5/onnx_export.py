"""PyTorch 2.9 made `torch.onnx.export(dynamo=True)` its default, which needs another package and other arguments.

Master exports through ultralytics, which asks for the tracing exporter itself.
"""

from __future__ import annotations

from slimfork.codemods import Argument, Import, Patch, Variant


def edits(file: str = "export.py", root: str = "", slim: str = "slim") -> tuple[Import | Argument, ...]:
    """Return the edits for the file that calls PyTorch's exporter: where it lies, and `slim` as it is imported."""
    return (
        Import(file=f"{root}{file}", code=f"from {slim}.compat import legacy_exporter"),
        Argument(file=f"{root}{file}", call="torch.onnx.export", argument="**legacy_exporter()", gives=("dynamo",)),
    )


PYPI = {"root": "yolov5/", "slim": "yolov5.slim"}

PATCH = Patch(
    id="onnx_export",
    title="Export ONNX on PyTorch 2.9 and later",
    why="the exporter that this release was written for is no longer the default",
    until="releases before master are no longer of use",
    compat=True,
    variants=(
        Variant(tags=("v5.0",), edits=edits("models/export.py")),
        Variant(tags=("v6.0", "v6.1", "v6.2", "v7.0"), edits=edits()),
        Variant(versions=">=5.0.0,<=5.0.5", edits=edits("models/export.py", **PYPI)),
        Variant(versions=">=5.0.6,<=7.0.14", edits=edits(**PYPI)),
    ),
)
