"""One layer as an ONNX graph of its own, timed in ONNX Runtime."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..writing.whole_files import scratch

if TYPE_CHECKING:
    from collections.abc import Callable

LEAST_BLOCK = 8  # channels
RUNS, LEAST = 5, 0.02  # how often, and for how many seconds at least; the fastest run counts, since noise only adds


@dataclass(frozen=True)
class Block:
    """A layer as it is timed: everything but its widths.

    Attributes:
        size: Height and width of what it reads.
        kernel: Height and width; 1 x 1 in a Linear, whose rows are the pixels.
        stride: As in PyTorch, like the next two.
        padding: As above.
        dilation: As above.
        groups: 0 for a depthwise convolution.
        transposed: Whether it is a transposed convolution.
        activated: Whether SiLU follows.
    """

    size: tuple[int, ...]
    kernel: tuple[int, ...] = (1, 1)
    stride: tuple[int, ...] = (1, 1)
    padding: tuple[int, ...] = (0, 0)
    dilation: tuple[int, ...] = (1, 1)
    groups: int = 1
    transposed: bool = False
    activated: bool = False

    def key(self, in_channels: int, out_channels: int) -> str:
        """Name one entry of the table."""
        parts = (self.size, self.kernel, self.stride, self.padding, self.dilation)
        name = " ".join("x".join(map(str, part)) for part in parts)
        kind = ("transposed " if self.transposed else "") + ("silu" if self.activated else "plain")
        return f"{kind} {name} g{self.groups} {in_channels}>{out_channels}"


def timed(block: Block, in_channels: int, out_channels: int, threads: int) -> float:
    """Return the milliseconds of one layer in ONNX Runtime, the fastest of a few runs."""
    run = _session(block, in_channels, out_channels, threads)
    run()
    best, start, runs = float("inf"), time.perf_counter(), 0
    while runs < RUNS or time.perf_counter() - start < LEAST:
        before = time.perf_counter()
        run()
        best, runs = min(best, time.perf_counter() - before), runs + 1
    return 1000 * best


def channel_block() -> int:
    """Return how many channels ONNX Runtime computes at a time here: 16 with AVX-512, 8 on most other processors.

    Raises:
        ValueError: A package is missing.
    """
    ort, model = _onnx(Block(size=(8, 8), kernel=(3, 3)), LEAST_BLOCK, LEAST_BLOCK)
    import onnx  # noqa: PLC0415 - as ONNX Runtime is

    options = ort.SessionOptions()
    options.log_severity_level = 3  # or it warns that the file is for this machine alone
    with scratch() as folder:
        options.optimized_model_filepath = str(Path(folder) / "optimized.onnx")
        ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        stored = onnx.load(options.optimized_model_filepath).graph.initializer
    return max(int(weight.dims[0]) for weight in stored)  # padded to whole blocks


def _session(block: Block, in_channels: int, out_channels: int, threads: int) -> Callable[[], Any]:
    import numpy as np  # noqa: PLC0415 - with the next line: only where latency is measured

    ort, model = _onnx(block, in_channels, out_channels)
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    image = np.random.default_rng(0).random((1, in_channels, *block.size), np.float32)
    return lambda: session.run(None, {"x": image})


def _onnx(block: Block, in_channels: int, out_channels: int) -> tuple[Any, bytes]:
    """Return ONNX Runtime, and the graph of one layer with random weights."""
    try:
        import onnxruntime as ort  # noqa: PLC0415
        from onnx import TensorProto, helper, numpy_helper  # noqa: PLC0415
    except ImportError as error:
        raise ValueError(f"latency needs {error.name}: pip install onnx onnxruntime") from None
    import numpy as np  # noqa: PLC0415

    groups = in_channels if block.groups == 0 else block.groups
    rows, columns = (in_channels, out_channels // groups) if block.transposed else (out_channels, in_channels // groups)
    noise = np.random.default_rng(0)
    weight = noise.standard_normal((rows, columns, *block.kernel), np.float32) / 10
    initial = [numpy_helper.from_array(weight, "w"), numpy_helper.from_array(np.zeros(out_channels, np.float32), "b")]
    nodes = [
        helper.make_node(
            "ConvTranspose" if block.transposed else "Conv",
            ["x", "w", "b"],
            ["c"],
            kernel_shape=block.kernel,
            strides=block.stride,
            dilations=block.dilation,
            pads=(*block.padding, *block.padding),
            group=groups,
        )
    ]
    if block.activated:
        nodes += [helper.make_node("Sigmoid", ["c"], ["s"]), helper.make_node("Mul", ["c", "s"], ["y"])]
    shown = helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, in_channels, *block.size))
    said = helper.make_tensor_value_info("y" if block.activated else "c", TensorProto.FLOAT, None)
    graph = helper.make_graph(nodes, "layer", [shown], [said], initial)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    return ort, model.SerializeToString()
