"""What decoding boxes costs in ONNX Runtime, exported by upstream and by the fork: `python tools/bench/decoding.py`.

Both in turns on one thread, medians, for the anchors of pictures of 160, 320 and 640 px.
"""

from __future__ import annotations

import sys
import tempfile
import warnings
from pathlib import Path

import torch
from torch import nn
from ultralytics.nn.modules import DFL

from slimfork.terminal.content import overlay_root

sys.path.insert(0, str(overlay_root()))
from slim.costs.measure import latencies
from slim.integral import integral

BINS, RUNS = 16, 200


class Patched(nn.Module):
    """What the patch makes of `DFL`, which it holds."""

    def __init__(self, bins: int) -> None:
        super().__init__()
        self.plain = DFL(bins)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Decode, (batch, 4 * bins, anchors) to (batch, 4, anchors)."""
        b, _, a = x.shape
        return integral(x.view(b, 4, self.plain.c1, a), self.plain.conv)


def main() -> None:
    """Print a line for each image size."""
    warnings.simplefilter("ignore")  # of the exporter, that there is a newer one
    for imgsz in (160, 320, 640):
        x = torch.randn(1, 4 * BINS, sum((imgsz // stride) ** 2 for stride in (8, 16, 32)))
        with tempfile.TemporaryDirectory() as folder:
            files = [Path(folder) / "upstream.onnx", Path(folder) / "fork.onnx"]
            for module, file in zip((DFL(BINS), Patched(BINS)), files, strict=True):
                torch.onnx.export(module.eval(), (x,), str(file), dynamo=False, opset_version=17)
            upstream, ours = latencies(files, imgsz=imgsz, threads=1, runs=RUNS)
        sys.stdout.write(f"{imgsz} px: upstream {upstream:.2f} ms, fork {ours:.2f} ms, ÷ {upstream / ours:.1f}\n")


if __name__ == "__main__":
    main()
