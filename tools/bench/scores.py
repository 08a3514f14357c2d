"""By what to choose channels: `python tools/bench/scores.py [--dry-run]`.

One sparse model on the demo's QR set; from it, to each target, channels that are chosen by |γ| alone or by |γ| weighed
with what they cost (`prune.py --score`), fine-tuned for the same epochs, measured. Interrupted, the next start goes on.
Made are results.jsonl, table.md, table.json and plot.png.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import running
from stages import Arm
from training import trainings

if TYPE_CHECKING:
    import argparse

    from training import Training

SCORES = ("gamma", "params", "flops", "latency")
TARGETS = ("flops=0.4", "flops=0.2", "flops=0.1", "params=0.03", "latency=0.4")


def arms(options: argparse.Namespace) -> list[Arm]:
    """Return every target by every score, of each model, image size and seed."""
    return [arm for training in trainings(options) for arm in of_one(training, options)]


def of_one(training: Training, options: argparse.Namespace) -> list[Arm]:
    """Return the arms of one sparse model."""
    parent = training.train("parent", training.model, options.dense)
    sparse = training.sparse("sparse", parent, options.sparse, sparsity="auto")
    made = []
    for target in options.targets:
        for score in [options.score] if options.score else SCORES:
            name = f"{target.replace('=', '-')}-{score}"
            amount = ("--target", target, "--round-to", str(options.round_to))
            pruned = training.prune(f"{name}-pruned", sparse, *amount, score=score)
            last = training.train(name, pruned, options.tune, share=0.3)
            made.append(
                Arm(
                    name=last.name,
                    group=f"{training.model}-{training.imgsz}",
                    method=score,
                    target=target,
                    seed=training.seed,
                    last=training.measure(last),
                    epochs=options.dense + options.sparse + options.tune,
                )
            )
    return made


def main() -> int:
    """Read the options and run; returns the exit code."""
    parser = running.parser(__doc__, "bench-scores")
    add = parser.add_argument
    add("--models", type=running.words, default=("yolov8n", "yolo11n"), help="YAMLs, no ending")
    add("--imgsz", type=running.numbers, default=(160,), help="default: 160")
    add("--dense", type=int, default=20, help="epochs of the parent (default: 20)")
    add("--sparse", type=int, default=20, help="epochs of sparse training (default: 20)")
    add("--tune", type=int, default=20, help="epochs of fine-tuning (default: 20)")
    add("--targets", type=running.words, default=TARGETS, help=f"as prune.py has them (default: {','.join(TARGETS)})")
    add("--round-to", type=int, default=4)
    options = parser.parse_args()
    return running.main(arms(options), options)


if __name__ == "__main__":
    sys.exit(main())
