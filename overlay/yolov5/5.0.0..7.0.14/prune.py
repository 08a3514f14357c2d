"""Prune a checkpoint of this fork: `python prune.py --weights runs/train/exp/weights/last.pt --prob 0.5 --rate 8`.

Writes the pruned checkpoint, its plan (JSON), the ONNX file and three plots beside the weights (or in `--save-dir`),
and prints what that gained. `--thres 0.01` prunes by size instead of by share, `--target latency=0.5` until what is
left takes half the time; `--data` re-estimates BatchNorm statistics. Then fine-tune:
`yolov5 train --weights pruned_5.pt --data data.yaml`.
"""

from __future__ import annotations

import sys

from yolov5.slim.writeup import main
from yolov5.slim.yolov5_line import line_of

if __name__ == "__main__":
    sys.exit(main(line_of(package="yolov5")))
