"""What the pruning engine costs, beside Torch-Pruning: `python tools/bench/engine.py [--models NAME ...] [--limit S]`.

Every model is built from its YAML with random weights and BatchNorms and pruned at the same global ratio by BatchNorm
scales, each time in a process of its own, on one thread, with a limit of CPU seconds and of memory. Printed are CPU
seconds of analysis, plan and surgery together (the median of three), the most memory that they needed beyond the
model, and the largest difference between any output of the pruned model and of the same model with the dropped
channels masked. Torch-Pruning is used as its own YOLOv8 example does, with the head ignored: its seconds, or what it
said. Where it is not installed: `pip install torch-pruning==1.6.1`, or `--torch-pruning FOLDER` for a private one.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
MODELS = (
    *("yolov5n", "yolov8n", "yolov8n-seg", "yolov8n-cls", "yolov9t", "yolov10n", "yolo11n", "yolo12n", "yolo26n"),
    *("yolov8x", "yolo11x", "yolo12x", "yolo26x"),
)
RATIO, SIDE, RUNS = 0.4, 64, 3
MEMORY = 8 << 30  # bytes of data that a process may hold: Torch-Pruning has been seen at 6 GB without an end


def main() -> None:
    """Measure the models that are named, print the table, and write it as JSON where asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=MODELS, metavar="NAME", help=f"default: {' '.join(MODELS)}")
    parser.add_argument("--limit", type=int, default=60, help="CPU seconds for each model and engine (default: 60)")
    parser.add_argument("--json", type=Path, help="write the rows there as well")
    parser.add_argument("--torch-pruning", type=Path, help="folder that `pip install --target` put Torch-Pruning in")
    parser.add_argument("--only", choices=ENGINES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.only:
        print(json.dumps(ENGINES[options.only](options.models[0])))  # noqa: T201
        return
    print(f"{'model':<14}{'M params':>9}{'kept':>7}{'s':>7}{'extra MB':>10}{'x model':>9}{'error':>10}  Torch-Pruning")  # noqa: T201
    rows = []
    for name in options.models:
        ours, theirs = (apart(engine, name, options) for engine in ENGINES)
        rows.append({"model": name, "ours": ours, "torch_pruning": theirs})
        print(line(name, ours, theirs), flush=True)  # noqa: T201
        if options.json:
            options.json.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")


def apart(engine: str, name: str, options: argparse.Namespace) -> dict[str, Any]:
    """Run one engine on one model in a process of its own; return what it measured, or its error."""
    command = [sys.executable, __file__, "--only", engine, "--models", name]
    folders = [str(ROOT), str(ROOT / "overlay"), *([str(options.torch_pruning)] if options.torch_pruning else [])]
    with tempfile.TemporaryDirectory() as home:
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(folders),
            "YOLO_CONFIG_DIR": home,
            "YOLO_OFFLINE": "true",
            "OMP_NUM_THREADS": "1",
            "YOLO_AUTOINSTALL": "false",
        }
        done = subprocess.run(
            command,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            preexec_fn=lambda: limited(options.limit),
        )
    if done.returncode == 0:
        result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return result
    if done.returncode < 0:
        return {"error": f"no end after {options.limit} CPU s"}
    return {"error": (done.stderr.strip().splitlines() or ["?"])[-1][:90]}


def limited(seconds: int) -> None:
    """Have the process killed after so many CPU seconds, and refused more memory than there should be need for."""
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))


def built(name: str) -> Any:
    """Build a model such as `yolo11x-seg` with random BatchNorms, on one thread."""
    import torch  # noqa: PLC0415 - only in the processes that measure

    from tests.overlay.networks import randomise  # noqa: PLC0415
    from tests.overlay.shipped import build, shipped  # noqa: PLC0415

    torch.set_num_threads(1)
    torch.manual_seed(0)
    if name in shipped():
        return randomise(build(name, "n"))
    stem, dash, task = name.partition("-")
    return randomise(build(stem[:-1] + dash + task, stem[-1]))


def ours(name: str) -> dict[str, Any]:
    """Prune with this project's engine, several times, and compare with the masked model."""
    from slim.analysis.channels import analyse  # noqa: PLC0415
    from slim.costs.measure import count_parameters  # noqa: PLC0415
    from slim.pruning.apply import apply_plan, mask_plan  # noqa: PLC0415
    from slim.pruning.plan import make_plan  # noqa: PLC0415
    from tests.overlay.networks import photo, run  # noqa: PLC0415

    model = built(name)
    run(model, photo(SIDE))  # what PyTorch and MKL keep for themselves is not the engine's,
    analyse(three_layers())  # nor do modules that are imported at its first use grow with the model
    seconds, extra = [], 0.0
    for _ in range(RUNS):
        pruned = copy.deepcopy(model)
        before, start = peak(reset=True), time.process_time()
        channels = analyse(pruned)
        plan = make_plan(pruned, channels, ratio=RATIO)
        apply_plan(pruned, plan, channels)
        seconds.append(time.process_time() - start)
        extra = max(extra, peak() - before)
    pruned = copy.deepcopy(model)
    apply_plan(pruned, plan, channels, fold=False)
    parameters = count_parameters(model)
    mask_plan(model, plan, channels)
    return {
        "parameters": parameters,
        "kept": count_parameters(pruned) / parameters,
        "seconds": statistics.median(seconds),
        "extra_mb": extra,
        "of_model": extra / (4e-6 * parameters),
        "error": difference(pruned, model),
    }


def three_layers() -> Any:
    """Return a network of a few hundred weights."""
    from torch import nn  # noqa: PLC0415

    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Conv2d(8, 4, 1))


def difference(pruned: Any, masked: Any) -> float:
    """Return the largest difference of any output of two models, for one image of noise."""
    from tests.overlay.networks import audible, photo, run  # noqa: PLC0415
    from tests.overlay.shipped import same_choices  # noqa: PLC0415

    choices: list[Any] = []
    with same_choices(choices, replay=False):
        wanted = run(masked, photo(SIDE))
    with same_choices(choices, replay=True):
        found = run(pruned, photo(SIDE))
    differences = []
    for a, b in zip(found, wanted):
        gap = a - b if a.shape == b.shape else audible(a) - audible(b)
        differences.append(float(gap.abs().max()))
    return max(differences)


def torch_pruning(name: str) -> dict[str, Any]:
    """Prune with Torch-Pruning's pruner by BatchNorm scales, and run the result."""
    model = built(name)
    try:
        import torch_pruning as tp  # type: ignore[import-not-found] # noqa: PLC0415
    except ImportError:
        return {"error": "not installed: pip install torch-pruning==1.6.1"}
    from slim.costs.measure import count_parameters  # noqa: PLC0415
    from tests.overlay.networks import photo  # noqa: PLC0415

    parameters = count_parameters(model)
    for parameter in model.parameters():
        parameter.requires_grad_(True)
    before, start = peak(reset=True), time.process_time()
    pruner = tp.pruner.BNScalePruner(
        model,
        photo(SIDE),
        importance=tp.importance.BNScaleImportance(),
        global_pruning=True,
        pruning_ratio=RATIO,
        ignored_layers=[model.model[-1]],
    )
    pruner.step()
    seconds, extra = time.process_time() - start, peak() - before
    model(photo(SIDE))
    return {"seconds": seconds, "extra_mb": extra, "kept": count_parameters(model) / parameters}


def peak(*, reset: bool = False) -> float:
    """Return the most memory that this process has held since the last reset, in MB; Linux only."""
    if reset:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split("VmHWM:")[1].split()[0]) / 1000


def line(name: str, ours: dict[str, Any], theirs: dict[str, Any]) -> str:
    """Return a row of the table."""
    said = theirs.get("error") or f"{theirs['seconds']:.1f} s, {theirs['extra_mb']:.0f} MB, kept {theirs['kept']:.2f}"
    if "error" in ours and "seconds" not in ours:
        return f"{name:<14}{ours['error']}  {said}"
    return (
        f"{name:<14}{ours['parameters'] / 1e6:>9.2f}{ours['kept']:>7.2f}{ours['seconds']:>7.2f}"
        f"{ours['extra_mb']:>10.1f}{ours['of_model']:>9.2f}{ours['error']:>10.1e}  {said}"
    )


ENGINES = {"ours": ours, "torch-pruning": torch_pruning}

if __name__ == "__main__":
    main()
