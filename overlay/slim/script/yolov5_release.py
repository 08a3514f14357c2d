"""How a YOLOv5 release loads, exports and validates a checkpoint, for its prune script.

A tag keeps its modules at the top (`models`, `utils`), PyPI's package in `yolov5`. Checkpoints name classes by them, so
one that was trained with the other kind of release names modules that are not there, or are there twice.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import logging
import os
import re
import runpy
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import torch

from ..calibration.datasets import task_of
from ..models.class_outputs import modernise
from ..models.rebuilding import as_made
from ..writing.log import upstreams
from ..writing.whole_files import scratch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import nn

    from ..files.checkpoint import Checkpoint

FAILED = ("fail", "error")  # words of the line in which upstream says why there is no file
# What every release prints of a validation: "all", images, labels, metrics; a segmenter then those of its masks.
ALL = re.compile(r"^\s*all\s+\d+\s+\d+((?:\s+[\d.eE+-]+){4})", re.MULTILINE)
METRICS = ("precision", "recall", "mAP50", "mAP50-95")
TOPS = re.compile(r"^\s*all\s+\d+((?:\s+[\d.eE+-]+){2})\s*$", re.MULTILINE)  # of a classifier: images, metrics
SCRIPTS = {"classify": ("classify.val",), "segment": ("segment.val",)}  # of a model; `val` is called `test` in v5.0


def load(path: Path, package: str) -> tuple[nn.Module, Checkpoint]:
    """Open a checkpoint without folding its BatchNorms, as upstream does to train; its EMA goes before its model.

    One of an earlier release is given what this one's classes expect, as upstream's loader does that folds them.
    """
    with _importable(package):
        checkpoint = torch.load(path, map_location="cpu", weights_only=False)  # models are pickled whole
    model: nn.Module = checkpoint.get("ema") or checkpoint["model"]
    for module in model.modules():
        _rename(module, package)
    made = as_made(model)
    if made is not None:
        modernise(model, made)
    return model, checkpoint


@contextlib.contextmanager
def _importable(package: str) -> Iterator[None]:
    """Let a pickle find `models`, which in PyPI's releases lies inside the package; as upstream does it."""
    spec = importlib.util.find_spec(package) if package else None
    inside = [str(Path(spec.origin).parent)] if spec is not None and spec.origin else []
    before = list(sys.path)
    sys.path[:0] = inside
    try:
        yield
    finally:
        sys.path[:] = before


def _rename(module: nn.Module, package: str) -> None:
    """Let a module be of the class that this release's own checkpoints name."""
    kind = type(module)
    if package and kind.__module__.startswith("models."):
        module.__class__ = getattr(importlib.import_module(f"{package}.{kind.__module__}"), kind.__name__)


def export(path: Path, imgsz: int, package: str) -> Path:
    """Write the ONNX file beside a checkpoint, with upstream's own script.

    Raises:
        RuntimeError: Upstream has written none; with the line in which it says why.
    """
    script, file = _exporter(package)
    known = file.read_text(encoding="utf-8")
    # Without `--grid`, where there is one, early releases leave the decoding of boxes to whoever runs the file.
    wanted = {"--include": ["--include", "onnx"], "--grid": ["--grid"]}
    more: list[str] = []
    for option, words in wanted.items():
        more += words if re.search(f"['\"]{option}['\"]", known) else []
    with scratch() as temporary:
        copy = Path(shutil.copy(path, temporary))  # v5.0 writes TorchScript as well, whatever it is asked
        said = _called(script, ["--weights", str(copy), "--img-size", str(imgsz), *more])
        written = copy.with_suffix(".onnx")
        if not written.is_file():
            raise RuntimeError(_complaint(said) or "upstream's export has written no ONNX file")
        return Path(shutil.move(str(written), str(path.with_suffix(".onnx"))))


def _exporter(package: str) -> tuple[str, Path]:
    """Return the module that exports, and its file.

    Raises:
        RuntimeError: There is none.
    """
    for name in ("export", "models.export"):
        spec = importlib.util.find_spec(_dotted(package, name))
        if spec is not None and spec.origin:
            return spec.name, Path(spec.origin)
    raise RuntimeError("this release has no script that exports")


def validate(path: Path, data: Path, imgsz: int, package: str) -> dict[str, float]:
    """Return the metrics that upstream's own script prints of all classes together.

    Raises:
        RuntimeError: Upstream has printed none; with the line in which it says why.
    """
    task = task_of(load(path, package)[0])
    script = next(
        name for name in SCRIPTS.get(task, ("val", "test")) if importlib.util.find_spec(_dotted(package, name))
    )
    with scratch() as temporary:
        where = ["--project", temporary, "--name", "val", "--exist-ok"]
        size = ["--img-size", str(imgsz), "--batch-size", "16"]
        said = _called(_dotted(package, script), ["--weights", str(path), "--data", str(data), *size, *where])
    found = (TOPS if task == "classify" else ALL).findall(said)
    if not found:
        raise RuntimeError(_complaint(said) or "upstream's validator has printed no metrics")
    names = ("top1", "top5") if task == "classify" else METRICS
    return dict(zip(names, map(float, found[-1].split())))


def _dotted(package: str, module: str) -> str:
    return f"{package}.{module}" if package else module


def _called(module: str, arguments: list[str]) -> str:
    """Run a script of upstream's in this process, and return what it said on either stream."""
    before, sys.argv = sys.argv, [module, *arguments]
    try:
        with _caught() as said, contextlib.suppress(SystemExit):
            runpy.run_module(module, run_name="__main__", alter_sys=True)
    finally:
        sys.argv = before
    return said.getvalue()


def _complaint(said: str) -> str:
    """Return the last line in which a script says that something has failed, or ""."""
    for line in reversed(said.splitlines()):
        if any(word in line.lower() for word in FAILED):
            return line.strip()
    return ""


@contextlib.contextmanager
def _caught() -> Iterator[io.StringIO]:
    """Catch what is written to stdout and stderr, also by loggers that have hold of the streams already."""
    said = io.StringIO()
    sys.stdout.flush()
    sys.stderr.flush()
    kept = [os.dup(1), os.dup(2)]
    with tempfile.TemporaryFile() as file:
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)
        try:
            with open(1, "w", encoding="utf-8", closefd=False) as plain, _also_to(plain):
                yield said
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            for stream, copy in zip((1, 2), kept):
                os.dup2(copy, stream)
                os.close(copy)
            file.seek(0)
            said.write(file.read().decode("utf-8", "replace"))


@contextlib.contextmanager
def _also_to(stream: TextIO) -> Iterator[None]:
    """Write there what Python's streams are given, and all that upstream logs, to whatever stream it does otherwise."""
    logger, handler = upstreams(), logging.StreamHandler(stream)
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        with contextlib.redirect_stdout(stream), contextlib.redirect_stderr(stream):
            yield
    finally:
        logger.setLevel(level)
        logger.removeHandler(handler)
