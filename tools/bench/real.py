"""Slimming on the user's own pictures: `python tools/bench/real.py DATA.yaml --weights FILE.pt [--seeds 0 1 2]`.

YOLOv5's package, from weights that know something. Every line of the table has the same epochs in all: the dense one
spends them in one go after its parent's, as upstream does, and once more with a step after each batch; the others spend
them on fine-tuning what was cut from that parent. Pruned is to shares of the dense model's FLOPs (`--targets`), by the
fork's own `prune.py`: as it does by default with `--data`; likewise after training with `--sl auto`, for which it
spends a part of the epochs; by |γ| with nothing won back. From new weights are trained the shape of the default, and a
narrower dense model. With `--tp PATH`, where `pip install --target PATH --no-deps torch-pruning` has put it,
Torch-Pruning prunes the same parent. mAP50-95 of the last epoch's weights on the val and the test split, latency of
ONNX files in turns. Goes on where it was interrupted, in the epoch that it was in. Made are results.jsonl, table.md,
table.json and plot.png.
"""

from __future__ import annotations

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

from report import TableLine, write
from yolov5_runs import Runs, parser

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

RIVALS = {"torch-pruning-norm": "norm", "torch-pruning-bn": "bn"}
METHODS = ("images", "auto", "gamma", "shape", "narrow")
INSIDE = Path(__file__).with_name("real_inside.py")


def dense(runs: Runs, seed: int, *, epochs: int) -> Path:
    """Train the parent, or from it to the end."""
    options = runs.options
    parent = runs.train(f"s{seed}-parent", options.weights, options.parent, "--seed", seed)
    return parent if epochs == options.parent else tuned(runs, "dense", seed, parent, epochs - options.parent)


def dense_by_steps(runs: Runs, seed: int) -> None:
    """Train the parent to the end with a step after each batch."""
    options = runs.options
    parent = dense(runs, seed, epochs=options.parent)
    tuned(runs, "dense-by-steps", seed, parent, options.epochs - options.parent, "--nbs", options.batch)


def sparse(runs: Runs, seed: int) -> Path:
    """Train the parent on with the penalty of `auto`, if there is any."""
    parent = dense(runs, seed, epochs=runs.options.parent)
    return runs.train(f"s{seed}-sparse", parent, runs.options.sparse, "--sl", "auto", "--seed", seed)


def tuned(runs: Runs, name: str, seed: int, weights: Path | str, epochs: int, *more: object) -> Path:
    """Train on, note what comes of it, and return the checkpoint."""
    last = runs.train(f"s{seed}-{name}", weights, epochs, "--seed", seed, *more)
    if f"s{seed}-{name}" not in runs.done:
        val = runs.score(f"s{seed}-{name}", last, "val")
        test = runs.score(f"s{seed}-{name}", last, "test")
        runs.note(f"s{seed}-{name}", path=str(last), val=val, test=test)
    return last


def arm(runs: Runs, method: str, target: str, seed: int) -> None:
    """Prune in one way to one size, and spend what epochs are left."""
    options, name = runs.options, f"{method}-{target}"
    parent, left = dense(runs, seed, epochs=options.parent), options.epochs - options.parent
    if method == "auto":
        parent, left = sparse(runs, seed), left - options.sparse
    if method == "narrow":
        narrow(runs, target, seed, parent)
        return
    if method in RIVALS:
        pruned = made(runs, f"s{seed}-{name}.pt", "rival", parent, share(target), RIVALS[method], options.tp)
    else:
        how = ("--importance", "gamma", "--recover", "none") if method == "gamma" else ()
        cut = f"s{seed}-{'images' if method == 'shape' else method}-{target}"
        pruned = runs.prune(cut, parent, "--target", target, *how)
    if method == "shape":
        pruned, left = made(runs, f"s{seed}-{name}.pt", "reset", pruned), options.epochs
    if f"s{seed}-{name}-cut" not in runs.done:
        runs.note(f"s{seed}-{name}-cut", val=runs.score(f"s{seed}-{name}-cut", pruned))
    tuned(runs, name, seed, pruned, left)


def narrow(runs: Runs, target: str, seed: int, parent: Path) -> None:
    """Train a narrower dense model of about the FLOPs from new weights."""
    cfg = made(runs, f"s{seed}-narrow-{target}.yaml", "narrow", parent, share(target))
    tuned(runs, f"narrow-{target}", seed, "", runs.options.epochs, "--cfg", cfg)


def made(runs: Runs, file: str, step: str, source: Path, *words: object) -> Path:
    """Make a file of a checkpoint in the fork, unless it is there."""
    out = runs.out / file
    if not out.is_file():
        size = () if step == "reset" else (runs.options.imgsz,)
        runs.run(f"{out.stem}-{step}", INSIDE, step, source, out, *size, *words)
    return out


def share(target: str) -> str:
    """Return the share of FLOPs that a target names."""
    kind, _, number = target.partition("=")
    if kind != "flops":
        sys.exit(f"{target}: narrower models and Torch-Pruning's are made by FLOPs; take flops=0.4 or other --methods")
    return number


def phases(runs: Runs) -> Iterator[list[Callable[[], object]]]:
    """Yield what can be run side by side, in order."""
    options = runs.options
    yield each_seed(runs, dense, epochs=options.parent)
    yield each_seed(runs, sparse) if "auto" in options.methods else []
    first = each_seed(runs, dense, epochs=options.epochs) + each_seed(runs, dense_by_steps)
    then = []  # of what "images" has cut
    for target, seed, method in product(options.targets, options.seeds, options.methods):
        phase = then if method == "shape" else first
        phase.append(partial(arm, runs, method, target, seed))
    yield first
    yield then


def each_seed(runs: Runs, work: Callable[..., object], **more: int) -> list[Callable[[], object]]:
    """Return a work for each seed, to be called later."""
    return [partial(work, runs, seed, **more) for seed in runs.options.seeds]


def measured(runs: Runs, seed: int) -> dict[str, dict[str, float]]:
    """Return what there is to say of all results of a seed, timed in turns."""
    paths = {}
    for name, noted in runs.done.items():
        if name.startswith(f"s{seed}-") and "path" in noted:
            paths[name] = noted["path"]
    said = runs.run(f"s{seed}-costs", INSIDE, "costs", runs.options.imgsz, *paths.values())
    costs = json.loads(said.splitlines()[-1])
    found = {}
    for name, path in paths.items():
        scores, (parameters, flops, ms) = runs.done[name], costs[path]
        values = {"parameters": parameters, "gflops": flops / 1e9, "1": ms, "map50": scores["val"][0]}
        values |= {"map50_95": scores["val"][1], "test": scores["test"][1]}
        if cut := runs.done.get(f"{name}-cut"):
            values["cut"] = cut["val"][1]
        found[name.partition("-")[2]] = values
    return found


def lines(runs: Runs) -> Iterator[TableLine]:
    """Yield the lines of the table, seeds together."""
    options = runs.options
    group = f"{options.data.parent.name}, {options.imgsz} px, {options.epochs} epochs"
    found: dict[str, list[dict[str, float]]] = {}
    for seed in options.seeds:
        for name, values in measured(runs, seed).items():
            found.setdefault(name, []).append(values)
    for name, rows in found.items():
        method, _, target = name.rpartition("-") if "=" in name else (name, "", "")
        yield TableLine.over_seeds(rows, rows[0], group=group, method=method, target=target)


def main() -> None:
    """Run what is left, and write the table."""
    made = parser(__doc__, "bench-real")
    add = made.add_argument
    add("--epochs", type=int, default=80, help="in all, for every line (default: 80)")
    add("--parent", type=int, default=30, help="of these for the dense parent (default: 30)")
    add("--sparse", type=int, default=20, help="and for training with --sl auto (default: 20)")
    add("--targets", nargs="+", default=("flops=0.4", "flops=0.25", "flops=0.15"))
    add("--methods", nargs="+", default=METHODS, choices=METHODS)
    add("--tp", type=Path, help="where Torch-Pruning lies")
    add("--seeds", type=int, nargs="+", default=(0,))
    runs = Runs(options := made.parse_args())
    if options.tp:
        options.methods, options.tp = (*options.methods, *RIVALS), options.tp.resolve()
    runs.prepare()
    for phase in phases(runs):
        with ThreadPoolExecutor(options.jobs) as pool:
            list(pool.map(lambda job: job(), phase))
    print(write(runs.out, list(lines(runs)), across="1"))  # noqa: T201


if __name__ == "__main__":
    main()
