"""Slimming on the user's own pictures: `python tools/bench/real.py DATA.yaml --weights FILE.pt [--seeds 0 1 2]`.

YOLOv5's package, from weights that know something. Every line of the table has the same epochs in all: the dense one
spends them in one go after its parent's, the others on fine-tuning what was cut from that parent. Pruned is to shares
of the dense model's FLOPs (`--targets`), by the fork's own `prune.py`: as it does by default with `--data`; by |γ| with
nothing won back; by |γ| after sparse training, for which it spends a part of the epochs; and in the shape of the
default, with new weights. mAP50-95 of the last epoch's weights on the val and the test split, latency of ONNX files in
turns. Goes on where it was interrupted, in the epoch that it was in. Made are results.jsonl and table.md.
"""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from statistics import mean, stdev
from typing import TYPE_CHECKING

from yolov5_runs import Runs, parser

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

METHODS = ("images", "gamma", "sparse", "shape")
HEAD = (
    "| | seeds | parameters | GFLOPs | latency | right after pruning | mAP50-95, val | test |\n"
    "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
)
COSTS = """
import json, sys
from pathlib import Path
import torch
from yolov5.export import run
from yolov5.slim.costs import measure
imgsz, *paths = sys.argv[1:]
for path in paths:
    if not Path(path).with_suffix(".onnx").is_file():
        run(weights=path, imgsz=(int(imgsz),) * 2, include=("onnx",), device="cpu")
times = measure.latencies([Path(path).with_suffix(".onnx") for path in paths], imgsz=int(imgsz))
found = {}
for path, ms in zip(paths, times):
    model = torch.load(path, map_location="cpu", weights_only=False)["model"].float()
    found[path] = [measure.count_parameters(model), measure.count_flops(model, int(imgsz)), ms]
print(json.dumps(found))
"""
RESET = """
import sys
from pathlib import Path
import torch
from yolov5.slim.files.checkpoint import save_checkpoint
source, out = sys.argv[1:]
checkpoint = torch.load(source, map_location="cpu", weights_only=False)
torch.manual_seed(0)
for module in checkpoint["model"].float().modules():
    if hasattr(module, "reset_parameters"):
        module.reset_parameters()
checkpoint["model"]._initialize_biases()
save_checkpoint(Path(out), checkpoint["model"], checkpoint)
"""


def dense(runs: Runs, seed: int, *, epochs: int) -> Path:
    """Train the parent, or from it to the end."""
    options = runs.options
    parent = runs.train(f"s{seed}-parent", options.weights, options.parent, "--seed", seed)
    return parent if epochs == options.parent else tuned(runs, "dense", seed, parent, epochs - options.parent)


def sparse(runs: Runs, seed: int) -> Path:
    """Train the parent on with the penalty."""
    parent = dense(runs, seed, epochs=runs.options.parent)
    return runs.train(f"s{seed}-sparse", parent, runs.options.sparse, "--sl", "auto", "--seed", seed)


def tuned(runs: Runs, name: str, seed: int, weights: Path, epochs: int) -> Path:
    """Train on, note what comes of it, and return the checkpoint."""
    last = runs.train(f"s{seed}-{name}", weights, epochs, "--seed", seed)
    if f"s{seed}-{name}" not in runs.done:
        scores = {split: runs.score(f"s{seed}-{name}", last, split) for split in ("val", "test")}
        runs.note(f"s{seed}-{name}", path=str(last), **scores)
    return last


def arm(runs: Runs, method: str, target: str, seed: int) -> None:
    """Prune in one way to one size, and spend what epochs are left."""
    options, name = runs.options, f"{method}-{target}"
    parent, left = dense(runs, seed, epochs=options.parent), options.epochs - options.parent
    if method == "sparse":
        parent, left = sparse(runs, seed), left - options.sparse
    plain = ("--importance", "gamma", "--recover", "statistics" if method == "sparse" else "none")
    how = plain if method in {"gamma", "sparse"} else ()
    cut = f"s{seed}-{'images' if method == 'shape' else method}-{target}"
    pruned = runs.prune(cut, parent, "--target", target, *how)
    if method == "shape":
        new = runs.out / f"s{seed}-{name}.pt"
        if not new.is_file():
            runs.run(f"s{seed}-{name}-new", "-c", RESET, pruned, new)
        pruned, left = new, options.epochs
    if f"s{seed}-{name}-cut" not in runs.done:
        runs.note(f"s{seed}-{name}-cut", val=runs.score(f"s{seed}-{name}-cut", pruned))
    tuned(runs, name, seed, pruned, left)


def phases(runs: Runs) -> Iterator[list[Callable[[], object]]]:
    """Yield what can be run side by side, in order."""
    options, seeds = runs.options, runs.options.seeds
    yield [partial(dense, runs, seed, epochs=options.parent) for seed in seeds]
    yield [partial(sparse, runs, seed) for seed in seeds if "sparse" in options.methods]
    arms = [(method, target, seed) for target in options.targets for seed in seeds for method in options.methods]
    whole = [partial(dense, runs, seed, epochs=options.epochs) for seed in seeds]
    yield [*whole, *(partial(arm, runs, *those) for those in arms if those[0] != "shape")]
    yield [partial(arm, runs, *those) for those in arms if those[0] == "shape"]  # of what "images" has cut


def measured(runs: Runs, seed: int) -> dict[str, list[float]]:
    """Return parameters, FLOPs and milliseconds of all results of a seed, the dense one first, timed in turns."""
    names = [name for name in runs.done if name.startswith(f"s{seed}-") and "path" in runs.done[name]]
    paths = [runs.done[name]["path"] for name in names]
    said = json.loads(runs.run(f"s{seed}-costs", "-c", COSTS, runs.options.imgsz, *paths).splitlines()[-1])
    return {name.partition("-")[2]: said[path] for name, path in zip(names, paths)}


def table(runs: Runs) -> Iterable[str]:
    """Return the table, a line at a time."""
    yield HEAD
    costs = {seed: measured(runs, seed) for seed in runs.options.seeds}
    names = list(dict.fromkeys(name for found in costs.values() for name in found))
    for name in ["dense", *(name for name in names if name != "dense")]:
        seeds = [seed for seed in costs if name in costs[seed]]
        cells = [name, str(len(seeds))]
        for column in range(3):
            ratio = mean(costs[seed]["dense"][column] / costs[seed][name][column] for seed in seeds)
            cells.append(f"÷ {ratio:.1f}")
        cuts = [runs.done[f"s{seed}-{name}-cut"]["val"][1] for seed in seeds if f"s{seed}-{name}-cut" in runs.done]
        cells.append(f"{mean(cuts):.3f}" if cuts else "")
        for split in ("val", "test"):
            scores = [runs.done[f"s{seed}-{name}"][split][1] for seed in seeds]
            spread = f" ± {stdev(scores):.3f}" if len(scores) > 1 else ""
            cells.append(f"{mean(scores):.3f}{spread}")
        yield f"| {' | '.join(cells)} |"


def main() -> None:
    """Run what is left, and write the table."""
    made = parser(__doc__, "bench-real")
    add = made.add_argument
    add("--epochs", type=int, default=80, help="in all, for every line (default: 80)")
    add("--parent", type=int, default=30, help="of these for the dense parent (default: 30)")
    add("--sparse", type=int, default=20, help="and for sparse training, where there is any (default: 20)")
    add("--targets", nargs="+", default=("flops=0.4", "flops=0.25", "flops=0.15"))
    add("--methods", nargs="+", default=METHODS, choices=METHODS)
    add("--seeds", type=int, nargs="+", default=(0,))
    add("--jobs", type=int, default=1, help="trainings at a time (default: 1)")
    runs = Runs(made.parse_args())
    runs.prepare()
    options = runs.options
    for phase in phases(runs):
        with ThreadPoolExecutor(options.jobs) as pool:
            list(pool.map(lambda job: job(), phase))
    lines = "\n".join(table(runs)) + "\n"
    (runs.out / "table.md").write_text(lines, encoding="utf-8")
    print(lines)  # noqa: T201


if __name__ == "__main__":
    main()
