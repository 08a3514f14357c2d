"""What decoding boxes costs in ONNX Runtime, exported by upstream and by the fork: `python tools/bench/decoding.py`.

Both in turns on one thread, medians, for the anchors of pictures of 160, 320 and 640 px.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
import warnings
from pathlib import Path

import onnxruntime as ort
import torch
from torch import nn
from ultralytics.nn.modules import DFL

from slimfork.content import overlay_root

sys.path.insert(0, str(overlay_root()))
from slim.integral import integral

BINS, RUNS = 16, 200


class Patched(nn.Module):
    """What the patch makes of `DFL`."""

    def __init__(self) -> None:
        super().__init__()
        self.plain = DFL(BINS)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Decode, (batch, 4 * bins, anchors) to (batch, 4, anchors)."""
        b, _, a = x.shape
        return integral(x.view(b, 4, BINS, a), self.plain.conv)


def session(module: nn.Module, x: torch.Tensor, path: Path) -> ort.InferenceSession:
    """Export a module and load it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(module.eval(), (x,), str(path), dynamo=False, opset_version=17, input_names=["x"])
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def main() -> None:
    """Print a line for each image size."""
    for imgsz in (160, 320, 640):
        x = torch.randn(1, 4 * BINS, sum((imgsz // stride) ** 2 for stride in (8, 16, 32)))
        with tempfile.TemporaryDirectory() as folder:
            both = [session(m, x, Path(folder) / f"{i}.onnx") for i, m in enumerate((DFL(BINS), Patched()))]
        times: list[list[float]] = [[], []]
        for _ in range(RUNS):
            for one, found in zip(both, times, strict=True):
                start = time.perf_counter()
                one.run(None, {"x": x.numpy()})
                found.append(1000 * (time.perf_counter() - start))
        upstream, ours = map(statistics.median, times)
        sys.stdout.write(f"{imgsz} px: upstream {upstream:.2f} ms, fork {ours:.2f} ms, ÷ {upstream / ours:.1f}\n")


if __name__ == "__main__":
    main()
