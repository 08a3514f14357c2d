"""What slimming is worth: `python tools/bench/benchmark.py [--dry-run]`.

On the demo's QR set, with EQUAL TOTAL EPOCHS for all: the dense model; ours at several sizes (dense, sparse, prune,
fine-tune), with and without upstream's own distillation from the dense parent; and what else one could do:
- the pruned shape trained from new weights, in the epochs that are left when it is found; and, beyond equal epochs,
  both this and ours trained from there for as many as the dense model ("long"),
- the next smaller dense model: the YAML at the width that comes nearest to ours in parameters, or in FLOPs,
- Torch-Pruning (`--tp PATH`, where `pip install --target PATH --no-deps torch-pruning` has put it) to our FLOPs: by the
  norm of groups from a dense model, and by BatchNorm scales from our sparse one, after the C2f split its users make.
Reported are parameters, FLOPs, ONNX size, ONNX Runtime's latency (1 and 2 threads, all models of a group in turns,
medians) and mAP50-95. Hours: `--dry-run` says how many, `--only` takes some, and the next start goes on.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import running
from stages import Arm, Stage
from training import trainings

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from training import Training

RIVALS = {"norm": "Torch-Pruning, group norm", "bn": "Torch-Pruning, BN scale"}
WIDTHS = {"params": "smaller dense, equal parameters", "flops": "smaller dense, equal FLOPs"}


def arms(options: argparse.Namespace) -> list[Arm]:
    """Return every arm of every model, image size and seed."""
    return [arm for training in trainings(options) for arm in _Group(training, options).arms()]


class _Group:
    """The arms of one model, image size and seed."""

    def __init__(self, training: Training, options: argparse.Namespace) -> None:
        self.training, self.options = training, options
        self.total = options.dense + options.sparse + options.tune
        self.parent = training.train("parent", training.model, options.dense)
        decoupled = {"sparsity": "auto", "sparsity_weight": options.weight}
        self.sparse = training.sparse("sparse", self.parent, options.sparse, **decoupled)

    def arms(self) -> list[Arm]:
        """Return them all; the stages that they share are the same."""
        whole = self.training.train("dense", self.training.model, self.total)
        made = [self._arm("dense", "", whole)]
        for target in self.options.targets:
            made += self._ours(target)
            if target in self.options.controls:
                made += self._controls(target)
        return made

    def _pruned(self, target: float) -> Stage:
        amount = ("--target", f"flops={target}", "--round-to", str(self.options.round_to))
        return self.training.prune(f"{target}-pruned", self.sparse, *amount, score=self.options.score)

    def _ours(self, target: float) -> Iterator[Arm]:
        pruned, epochs = self._pruned(target), self.options.tune
        yield self._arm("ours", target, self.training.train(f"{target}-ours", pruned, epochs, share=target))
        teacher = {"distill_model": f"{self.parent.name}.pt"}
        taught = self.training.train(f"{target}-distilled", pruned, epochs, share=target + 0.4, **teacher)
        yield self._arm("ours, distilled", target, taught)

    def _controls(self, target: float) -> Iterator[Arm]:
        training, pruned = self.training, self._pruned(target)
        new = Stage(
            name=f"{training.prefix}-{target}-new",
            step="scratch",
            arguments={"weights": pruned.name},
            needs=(pruned,),
            cost=10.0,
        )
        left = training.train(f"{target}-scratch-short", new, self.options.tune, share=target)
        yield self._arm("our shape from scratch", target, left)
        for method, name, start in (("ours", "longer", pruned), ("our shape from scratch", "scratch", new)):
            longer = training.train(f"{target}-{name}", start, self.total, share=target)
            yield self._arm(f"{method}, long", target, longer, more=self.total - self.options.tune)
        for kind, method in WIDTHS.items():
            narrow = Stage(
                name=f"{training.prefix}-{target}-{kind}-yaml",
                step="width",
                arguments={
                    "model": f"{training.model}.yaml",
                    "kind": kind,
                    "like": pruned.name,
                    "imgsz": training.imgsz,
                },
                needs=(pruned,),
                cost=20.0,
            )
            yield self._arm(method, target, training.train(f"{target}-{kind}", narrow, self.total, share=target))
        if self.options.tp:
            yield from self._rivals(target, pruned)

    def _rivals(self, target: float, pruned: Stage) -> Iterator[Arm]:
        """Torch-Pruning's; dense training stands in for sparse training where the norm decides."""
        training, options = self.training, self.options
        longer = training.train("parent-longer", self.parent, options.sparse)
        for importance, start in (("norm", longer), ("bn", self.sparse)):
            how = {"importance": importance, "imgsz": training.imgsz, "tp": str(options.tp.resolve())}
            rival = Stage(
                name=f"{training.prefix}-{target}-tp-{importance}-pruned",
                step="rival",
                arguments={"weights": start.name, "like": pruned.name, **how},
                needs=(start, pruned),
                cost=120.0,
                may_fail=True,
                limit=options.tp_limit,
            )
            tuned = training.train(f"{target}-tp-{importance}", rival, options.tune, share=target, may_fail=True)
            yield self._arm(RIVALS[importance], target, tuned)

    def _arm(self, method: str, target: float | str, tuned: Stage, *, more: int = 0) -> Arm:
        training = self.training
        return Arm(
            name=tuned.name,
            group=f"{training.model}-{training.imgsz}",
            method=method,
            target=f"FLOPs × {target}" if target else "",
            seed=training.seed,
            last=training.measure(tuned, may_fail=tuned.may_fail),
            epochs=self.total + more,
        )


def main() -> int:
    """Read the options and run; returns the exit code."""
    parser = running.parser(__doc__, "bench")
    add = parser.add_argument
    add("--models", type=running.words, default=("yolov8n", "yolo11n"), help="YAMLs, no ending")
    add("--imgsz", type=running.numbers, default=(160, 320), help="default: 160,320")
    add("--dense", type=int, default=30, help="epochs of the parent (default: 30)")
    add("--sparse", type=int, default=30, help="epochs of sparse training (default: 30)")
    add("--tune", type=int, default=30, help="epochs of fine-tuning (default: 30)")
    add("--targets", type=running.shares, default=(0.4, 0.2, 0.1), help="shares of the FLOPs (default: 0.4,0.2,0.1)")
    add("--controls", type=running.shares, default=(0.2,), help="of these, those with all controls (default: 0.2)")
    add("--weight", default="none", help="`sparsity_weight` of the sparse training (default: none)")
    add("--round-to", type=int, default=4)
    add("--tp", type=Path, help="where Torch-Pruning is; without it that is left out")
    add("--tp-limit", type=float, default=900.0, help="seconds that it may take to prune (default: 900)")
    options = parser.parse_args()
    return running.main(arms(options), options)


if __name__ == "__main__":
    sys.exit(main())
