"""What slimming is for: parameters, FLOPs, file size, latency, and how well the model still detects.

FLOPs alone mislead (a pruned model can be smaller and no faster), so latency is measured beside them: on ONNX
Runtime's CPU, both models in turn, so that a noisy machine is noisy for both.
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from ..passes.flops import count_flops
from ..writing.whole_files import scratch

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import nn

# field of Measured: what a table calls it, in which unit, with how many decimals, and by what to divide
ROWS: dict[str, tuple[str, str, int, float]] = {
    "parameters": ("parameters", "M", 3, 1e6),
    "gflops": ("GFLOPs", "", 3, 1),
    "pt_bytes": ("checkpoint", "MB", 2, 1e6),
    "onnx_bytes": ("ONNX file", "MB", 2, 1e6),
    "latency_ms": ("ONNX Runtime latency", "ms", 2, 1),
    "map50": ("mAP50", "", 4, 1),
    "map50_95": ("mAP50-95", "", 4, 1),
}


class MeasureError(ValueError):
    """A model cannot be measured."""


@dataclass(frozen=True)
class Measured:
    """One model in numbers; what was not measured is None."""

    parameters: int
    gflops: float
    pt_bytes: int | None = None
    onnx_bytes: int | None = None
    latency_ms: float | None = None
    map50: float | None = None
    map50_95: float | None = None


def measure(
    model: nn.Module, *, imgsz: int, pt: Path | str | None = None, onnx: Path | str | None = None, **known: Any
) -> Measured:
    """Measure one model and its files.

    Args:
        model: A detector that takes (1, 3, imgsz, imgsz).
        imgsz: Side of the image that FLOPs are counted for, in pixels.
        pt: Its checkpoint, if there is one.
        onnx: Its export, if there is one.
        **known: What was measured elsewhere: `latency_ms`, `map50`, `map50_95`.
    """
    return Measured(
        parameters=count_parameters(model),
        gflops=count_flops(model, imgsz) / 1e9,
        pt_bytes=file_size(pt) if pt else None,
        onnx_bytes=file_size(onnx) if onnx else None,
        **known,
    )


def count_parameters(model: nn.Module) -> int:
    """Return the number of parameters, trainable or not."""
    return sum(parameter.numel() for parameter in model.parameters())


def file_size(path: Path | str) -> int:
    """Return a file's size in bytes."""
    try:
        return Path(path).stat().st_size
    except OSError:
        raise MeasureError(f"{path}: no such file to measure") from None


def default_threads() -> int:
    """Return how many threads inference takes where nobody says: the cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def latency(onnx: Path | str, *, imgsz: int, threads: int | None = None, runs: int = 50, warmup: int = 10) -> float:
    """Return one model's median latency; see `latencies`."""
    return latencies([onnx], imgsz=imgsz, threads=threads, runs=runs, warmup=warmup)[0]


def latencies(
    models: Sequence[Path | str], *, imgsz: int, threads: int | None = None, runs: int = 50, warmup: int = 10
) -> list[float]:
    """Return the median latency of each model on ONNX Runtime's CPU, in milliseconds.

    The models take turns, and the order of a turn is reversed each time, so that what else the machine does
    falls on all of them alike.

    Args:
        models: ONNX files.
        imgsz: Side of the image, in pixels, where the model leaves it open.
        threads: Of ONNX Runtime, in each model; `default_threads` when None.
        runs: How often each model is timed.
        warmup: How often each model is run before that.

    Raises:
        MeasureError: A file is missing or is no ONNX model.
    """
    calls = [_runner(_session(path, threads), imgsz) for path in models]
    for _ in range(warmup):
        for call in calls:
            call()
    times: list[list[float]] = [[] for _ in calls]
    for turn in range(runs):
        order = range(len(calls)) if turn % 2 == 0 else reversed(range(len(calls)))
        for index in order:
            start = time.perf_counter()
            calls[index]()
            times[index].append(1000 * (time.perf_counter() - start))
    return list(map(median, times))


def undisturbed_latency(onnx: Path | str, *, imgsz: int, threads: int | None = None, runs: int = 12) -> float:
    """Return the sum of the fastest runs of a model's operators, in milliseconds: what else the machine does drops out.

    Args:
        onnx: The model.
        imgsz: Side of the image, in pixels, where the model leaves it open.
        threads: Of ONNX Runtime; `default_threads` when None.
        runs: How often each operator is timed.

    Raises:
        MeasureError: The file is missing or is no ONNX model.
    """
    with scratch() as folder:
        session = _session(onnx, threads, profile=str(Path(folder) / "profile"))
        call = _runner(session, imgsz)
        for _ in range(runs):
            call()
        events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    fastest: dict[str, float] = {}
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith("kernel_time"):
            fastest[event["name"]] = min(event["dur"] / 1000, fastest.get(event["name"], float("inf")))
    return sum(fastest.values())


def _session(path: Path | str, threads: int | None, profile: str = "") -> Any:
    """Load an ONNX model."""
    import onnxruntime as ort  # noqa: PLC0415 - not every fork has it

    options = ort.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads or default_threads(), 1
    # Waiting threads of the one model would otherwise spin on the cores that the other one is timed on.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if profile:
        options.enable_profiling, options.profile_file_prefix = True, profile
    try:
        return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # noqa: BLE001 - ONNX Runtime's errors have no public base class
        raise MeasureError(f"{path}: ONNX Runtime cannot load it: {str(error).splitlines()[0]}") from None


def _runner(session: Any, imgsz: int) -> Callable[[], Any]:
    """Return a function that runs a model once on noise."""
    import numpy as np  # noqa: PLC0415 - only where latency is measured

    feed = session.get_inputs()[0]
    shape = [size if isinstance(size, int) else (1, 3, imgsz, imgsz)[axis] for axis, size in enumerate(feed.shape)]
    dtype = np.float16 if feed.type == "tensor(float16)" else np.float32
    image = np.random.default_rng(0).random(shape).astype(dtype)
    return lambda: session.run(None, {feed.name: image})


@dataclass(frozen=True)
class Comparison:
    """One row of before and after. `ratio` is before ÷ after, so 2 is half as much; None where after is 0."""

    name: str
    unit: str
    before: float
    after: float
    ratio: float | None


def compare(before: Measured, after: Measured) -> dict[str, Comparison]:
    """Set two models side by side, by Measured's field names; what was not measured in both is left out."""
    rows = {}
    for field in fields(Measured):
        name, unit, _, divisor = ROWS[field.name]
        old, new = getattr(before, field.name), getattr(after, field.name)
        if old is not None and new is not None:
            ratio = old / new if new else None
            rows[field.name] = Comparison(name=name, unit=unit, before=old / divisor, after=new / divisor, ratio=ratio)
    return rows


def table(before: Measured, after: Measured) -> tuple[list[str], dict[str, dict[str, Any]]]:
    """Return the comparison as lines of text and as plain data for JSON."""
    rows = compare(before, after)
    lines = [f"{'':<26}{'before':>10}{'after':>10}{'change':>10}"]
    data: dict[str, dict[str, Any]] = {}
    for key, row in rows.items():
        decimals = ROWS[key][2]
        label = f"{row.name}, {row.unit}" if row.unit else row.name
        line = f"{label:<26}{row.before:>10.{decimals}f}{row.after:>10.{decimals}f}{_change(key, row):>10}"
        lines.append(line)
        data[key] = asdict(row)
    return lines, data


def _change(key: str, row: Comparison) -> str:
    """Say how often the one goes into the other; for accuracy, what was lost or gained."""
    if key.startswith("map"):
        return f"{row.after - row.before:+.4f}"
    return f"÷ {row.ratio:.1f}" if row.ratio else "-"
