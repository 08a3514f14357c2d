"""Which penalty keeps the most accuracy at equal cost: `python tools/bench/penalties.py [--dry-run]`.

One dense parent on the demo's QR set; from it, the same epochs of sparse training with each penalty, pruned to the same
FLOPs by the fork's `prune.py`, fine-tuned for the same epochs, measured. Hours: `--dry-run` says how many, `--only`
takes some, and whatever ends it, the next start goes on. Made are results.jsonl, table.md, table.json and plot.png.

Strengths: `gradient 0.01` is the first write-up's. All others are such that the penalty alone could move a scale
equally far, by `--travel`, in the mode's own way: in SGD, momentum m multiplies what a gradient does by 1/(1 - m).
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import running
from stages import Arm
from training import SPARSE, Training

if TYPE_CHECKING:
    import argparse

    from stages import Stage

MOMENTUM = SPARSE["momentum"]
SCHEDULES = {"constant": (0.0, 0.0), "decaying": (0.9, 0.0), "warmed-up": (0.0, 1 / 3)}  # decay, share that warms up
WRITE_UP = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class SparseWay:
    """One way to train sparse.

    Attributes:
        name: What the table calls it.
        mode: `sparsity_mode`, or off.
        weight: `sparsity_weight`.
        schedule: One of `SCHEDULES`.
        travel: Times the usual one.
        strength: λ, where it is given and does not follow from the travel.
        more: Arguments of the step.
    """

    name: str
    mode: str = "decoupled"
    weight: str = "none"
    schedule: str = "decaying"
    travel: float = 1.0
    strength: float | None = None
    more: dict[str, Any] = field(default_factory=dict)

    def arguments(self, training: Training, epochs: int, travel: float) -> dict[str, Any]:
        """Return the train arguments of a sparse training of so many epochs."""
        if self.mode == "off":
            return {"sparsity": 0.0}
        decay, warm = SCHEDULES[self.schedule]
        warmup = round(warm * epochs)
        momentum = 0.0 if self.mode == "decoupled" else MOMENTUM
        equal = training.strength(travel * self.travel, epochs, decay=decay, warmup=warmup, momentum=momentum)
        how = {"sparsity_mode": self.mode, "sparsity_weight": self.weight, "sparsity_decay": decay}
        strength = equal if self.strength is None else self.strength
        return {"sparsity": strength, **how, "sparsity_warmup": warmup, **self.more}


PENALTIES = (
    SparseWay(name="none", mode="off"),
    SparseWay(name="gradient 0.01", mode="gradient", strength=WRITE_UP),
    SparseWay(name="gradient", mode="gradient"),
    SparseWay(name="gradient, no clipping", mode="gradient", more={"clip": False}),
    SparseWay(name="after clipping", mode="unclipped"),
    SparseWay(name="after clipping, flops", mode="unclipped", weight="flops"),
    *(SparseWay(name=f"decoupled, {schedule}", schedule=schedule) for schedule in SCHEDULES),
    *(SparseWay(name=f"decoupled, {schedule}, flops", weight="flops", schedule=schedule) for schedule in SCHEDULES),
    SparseWay(name="decoupled, params", weight="params"),
    SparseWay(name="decoupled, travel ÷ 2.5", travel=1 / 2.5),
    SparseWay(name="decoupled, travel ÷ 1.5", travel=1 / 1.5),
    SparseWay(name="decoupled, travel × 1.5", travel=1.5),
    SparseWay(name="decoupled, travel × 2.5", travel=2.5),
)


def arms(options: argparse.Namespace) -> list[Arm]:
    """Return every penalty at every length, size and seed."""
    made = []
    for seed in options.seeds:
        place = {"out": options.out.resolve(), "model": options.model, "imgsz": options.imgsz, "images": options.images}
        training = Training(**place, seed=seed)
        dense = training.train("dense", options.model, options.dense)
        whole = options.dense + options.tune
        group = f"{options.model}-{options.imgsz}"
        for epochs in options.epochs:
            longer = training.train(f"dense-{epochs}", dense, epochs + options.tune)
            name = f"{training.prefix}-dense-{epochs}"
            last = training.measure(longer)
            common = {"group": f"{group}-{epochs}", "seed": seed, "epochs": whole + epochs}
            made.append(Arm(name=name, method="dense", target="", last=last, **common))
            for penalty in PENALTIES:
                slug = penalty.name.replace(", ", "-").replace(" ", "-")
                sparse = training.sparse(
                    f"{epochs}-{slug}", dense, epochs, **penalty.arguments(training, epochs, options.travel)
                )
                for target in options.targets:
                    last = after(training, f"{epochs}-{slug}", sparse, target, options)
                    name = f"{training.prefix}-{epochs}-{slug}-{target}"
                    made.append(Arm(name=name, method=penalty.name, target=f"FLOPs × {target}", last=last, **common))
    return made


def after(training: Training, name: str, sparse: Stage, target: float, options: argparse.Namespace) -> Stage:
    """Return what follows on a sparse training: prune to a share of the FLOPs, fine-tune, measure."""
    amount = ("--target", f"flops={target}", "--round-to", str(options.round_to))
    pruned = training.prune(f"{name}-{target}-pruned", sparse, *amount, score=options.score, may_fail=True)
    tuned = training.train(f"{name}-{target}", pruned, options.tune, share=target, may_fail=True)
    return training.measure(tuned, may_fail=True)


def main() -> int:
    """Read the options and run; returns the exit code."""
    parser = running.parser(__doc__, "bench-penalties")
    add = parser.add_argument
    add("--model", default="yolov8n", help="a model YAML without its ending (default: yolov8n)")
    add("--imgsz", type=int, default=160)
    add("--dense", type=int, default=20, help="epochs of the parent (default: 20)")
    add("--epochs", type=running.numbers, default=(12, 36), help="of sparse training: short,long (default: 12,36)")
    add("--tune", type=int, default=12, help="epochs of fine-tuning (default: 12)")
    add("--targets", type=running.shares, default=(0.25, 0.12), help="shares of the FLOPs (default: 0.25,0.12)")
    add("--travel", type=float, default=1.8, help="how far the penalty could move a scale (default: 1.8)")
    add("--round-to", type=int, default=4)
    options = parser.parse_args()
    return running.main(arms(options), options)


if __name__ == "__main__":
    sys.exit(main())
