"""Prune a checkpoint of this fork: `python prune.py --weights runs/train/exp/weights/last.pt --prob 0.5 --rate 8`.

Writes the pruned checkpoint, its plan (JSON), the ONNX file and three plots beside the weights (or in `--save-dir`),
and prints what that gained. `--thres 0.01` prunes by size instead of by share, `--target latency=0.5` until what is
left takes half the time; `--data` chooses channels and wins back accuracy on images. Then fine-tune:
`python train.py --weights pruned_5.pt --data data.yaml`.
"""

from __future__ import annotations

import os
import signal
import sys


def stop(*_: object) -> None:
    """End at once: Ctrl-C while PyTorch is imported, or when all is done, leaves nothing to tidy up."""
    os.write(2, b"interrupted\n")
    os._exit(130)


if __name__ == "__main__":
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, stop)

from slim.writeup import main  # noqa: E402 - takes seconds, in which Ctrl-C is heard
from slim.yolov5_line import line_of  # noqa: E402

if __name__ == "__main__":
    sys.exit(main(line_of(package="")))
