"""How large a step of the penalty a model can follow: `python tools/bench/few_pictures.py DATA.yaml --weights FILE.pt`.

A data set of few pictures leaves few steps of the optimizer, and a penalty that takes the scales all the way in them
moves each far in every one. From one dense parent: sparse trainings whose largest step is bounded by `--steps`, shares
of the median scale (inf is no bound, 0 no penalty), each pruned by its scales and fine-tuned, all on the user's
pictures in YOLOv5's package. Goes on where it was interrupted, in the epoch that it was in. Made are results.jsonl and
table.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from yolov5_runs import Runs, parser, rows

if TYPE_CHECKING:
    from pathlib import Path

INSIDE = """
import runpy, sys
from yolov5.slim.training import automatic
automatic.STEP, automatic.LEAST = float(sys.argv.pop(1)), 0.0
runpy.run_module("yolov5.train", run_name="__main__", alter_sys=True)
"""
SCORE = "metrics/mAP_0.5:0.95"
HEAD = "| largest step | lowest on the way | sparse | scales at zero | pruned, {tune} epochs of fine-tuning |"


def trained(runs: Runs, name: str, weights: Path, epochs: int, step: float, *more: object) -> Path:
    """Train with a bound, note what came of it, and return the checkpoint."""
    last = runs.train(name, weights, epochs, *more, program=("-c", INSIDE, step))
    if name not in runs.done:
        folder = last.parents[1]
        gamma = rows(folder / "gamma.csv")
        lowest = min(row[SCORE] for row in rows(folder / "results.csv"))
        zero = gamma[-1]["near_zero"] if gamma else 0.0
        runs.note(name, lowest=lowest, zero=zero, map50_95=runs.score(name, last)[1])
    return last


def arm(runs: Runs, dense: Path, step: float) -> str:
    """Train sparse with a bound, prune, fine-tune; return a line of the table."""
    options, name = runs.options, f"{step:g}"
    sl = ["--sl", "auto"] if step else []
    sparse = trained(runs, f"sparse-{name}", dense, options.sparse, step, *sl)
    by_scales = ("--target", options.target, "--importance", "gamma", "--recover", "statistics")
    pruned = runs.prune(f"pruned-{name}", sparse, *by_scales)
    trained(runs, f"tune-{name}", pruned, options.tune, step)
    found, tuned = runs.done[f"sparse-{name}"], runs.done[f"tune-{name}"]
    numbers = f"{found['lowest']:.3f} | {found['map50_95']:.3f} | {found['zero']:.1%} | {tuned['map50_95']:.3f}"
    return f"| {name} | {numbers} |"


def main() -> None:
    """Run what is left, and print the table as it grows."""
    made = parser(__doc__, "bench-few-pictures")
    made.add_argument("--steps", type=float, nargs="+", default=(float("inf"), 0.02, 0.01, 0.005, 0.0))
    made.add_argument("--target", default="flops=0.4")
    for name, value in (("dense", 30), ("sparse", 20), ("tune", 30)):
        made.add_argument(f"--{name}", type=int, default=value, help=f"epochs (default: {value})")
    runs = Runs(made.parse_args())
    runs.prepare()
    options = runs.options
    dense = trained(runs, "dense", options.weights, options.dense, 1.0)
    table = [HEAD.format(tune=options.tune), "| ---: | ---: | ---: | ---: | ---: |"]
    table.append(f"| dense, {options.dense} epochs | | {runs.done['dense']['map50_95']:.3f} | | |")
    for step in options.steps:
        table.append(arm(runs, dense, step))
        (runs.out / "table.md").write_text("\n".join(table) + "\n", encoding="utf-8")
        print(table[-1], flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
