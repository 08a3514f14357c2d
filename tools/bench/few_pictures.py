"""How large a step of the penalty a model can follow: `python tools/bench/few_pictures.py DATA.yaml --weights FILE.pt`.

A data set of few pictures leaves few steps of the optimizer, and a penalty that takes the scales all the way in them
moves each far in every one. From one dense parent: sparse trainings whose largest step is bounded by `--steps`, shares
of the median scale (inf is no bound, 0 no penalty), each pruned by the fork's `prune.py` and fine-tuned, all on the
user's pictures in YOLOv5's package. Goes on where it was interrupted, in the epoch that it was in. Made are
results.jsonl and table.md.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from slimfork.forks.making import draft, is_free
from slimfork.git.building import build
from slimfork.inside.inside import environment
from slimfork.releases import pins
from slimfork.releases.fetch import release_files

INSIDE = """
import runpy, sys
from yolov5.slim.training import automatic
automatic.STEP = float(sys.argv.pop(1))
runpy.run_module("yolov5.train", run_name="__main__", alter_sys=True)
"""
ALL = re.compile(r"^\s*all\s+\d+\s+\d+((?:\s+[\d.eE+-]+){4})", re.MULTILINE)
SCORE = "metrics/mAP_0.5:0.95"
HEAD = "| largest step | lowest on the way | sparse | scales at zero | pruned, {tune} epochs of fine-tuning |"


@dataclass(slots=True)
class Bench:
    """The folder, and what is done of it: stage -> its numbers."""

    options: argparse.Namespace
    done: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def out(self) -> Path:
        """Where all of it lies."""
        return Path(self.options.out).resolve()

    def prepare(self) -> None:
        """Vendor the release, unless it is there, and read what is done."""
        self.out.mkdir(parents=True, exist_ok=True)
        if is_free(self.out / "fork"):
            pin = pins.find(self.options.release)
            made = draft(pin, release_files(pin), self.out / "fork", no_compat=False, as_json=False)
            build(self.out / "fork", made, version=pin.version)
        path = self.out / "results.jsonl"
        for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else ():
            entry = json.loads(line)
            self.done[entry.pop("name")] = entry

    def note(self, name: str, **numbers: Any) -> None:
        """Keep what a stage gave."""
        self.done[name] = numbers
        with (self.out / "results.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps({"name": name, **numbers}) + "\n")

    def run(self, name: str, *arguments: object) -> str:
        """Run Python in the fork and return what it said, which also goes to a log."""
        env = environment(self.out / "fork", self.out / "home", WANDB_MODE="disabled", PYTHONWARNINGS="ignore")
        env |= {"OMP_NUM_THREADS": str(self.options.threads), "YOLOV5_CONFIG_DIR": str(self.out / "home")}
        log = self.out / f"{name}.log"
        with log.open("w", encoding="utf-8") as file:
            command = [sys.executable, *map(str, arguments)]
            code = subprocess.run(
                command, cwd=self.out / "fork", env=env, stdout=file, stderr=file, check=False
            ).returncode
        if code:
            sys.exit(f"{name} failed; its log is {log}; start it again to go on")
        return log.read_text(encoding="utf-8")

    def train(self, name: str, weights: Path, epochs: int, step: float, *more: object) -> Path:
        """Train, or go on, and return the checkpoint."""
        run = self.out / "runs" / name
        last = run / "weights" / "last.pt"
        if name in self.done:
            return last
        size = ["--img", self.options.imgsz, "--batch", self.options.batch, "--epochs", epochs, "--workers", 0]
        where = ["--project", run.parent, "--name", name, "--exist-ok", "--device", self.options.device, "--noplots"]
        told = ["--weights", weights, "--data", self.options.data, *size, *where, "--cache", "ram", *more]
        seen = rows(run / "results.csv")  # an epoch that was cut off is there twice
        if not last.is_file() or seen[-1]["epoch"] + 1 < epochs:
            self.run(name, "-c", INSIDE, step, *(["--resume", last] if last.is_file() else told))
        scores = [row[SCORE] for row in rows(run / "results.csv")]
        gamma = rows(run / "gamma.csv")
        zero = gamma[-1]["near_zero"] if gamma else 0.0
        self.note(name, lowest=min(scores), zero=zero, map50_95=self.score(name, last))
        return last

    def score(self, name: str, weights: Path) -> float:
        """Return mAP50-95 on the validation split."""
        size = ["--img", self.options.imgsz, "--batch-size", self.options.batch, "--device", self.options.device]
        where = ["--project", self.out / "runs", "--name", f"{name}-val", "--exist-ok"]
        told = ["--weights", weights, "--data", self.options.data, *size, "--workers", 0, *where]
        return float(ALL.findall(self.run(f"{name}-val", "-m", "yolov5.val", *told))[-1].split()[-1])

    def arm(self, dense: Path, step: float) -> str:
        """Train sparse with a bound, prune, fine-tune; return a line of the table."""
        options, name = self.options, f"{step:g}"
        sl = ["--sl", "auto"] if step else []
        sparse = self.train(f"sparse-{name}", dense, options.sparse, step, *sl)
        pruned = self.out / f"pruned-{name}.pt"
        if not pruned.is_file():
            calibration = ["--data", options.data, "--imgsz", options.imgsz]
            amount = ["--target", options.target, "--rate", 16, "--no-onnx", "--overwrite", "--out", pruned]
            self.run(f"prune-{name}", "prune.py", "--weights", sparse, *amount, *calibration)
        self.train(f"tune-{name}", pruned, options.tune, step)
        found, tuned = self.done[f"sparse-{name}"], self.done[f"tune-{name}"]
        numbers = f"{found['lowest']:.3f} | {found['map50_95']:.3f} | {found['zero']:.1%} | {tuned['map50_95']:.3f}"
        return f"| {name} | {numbers} |"


def rows(path: Path) -> list[dict[str, float]]:
    """Read a table of numbers whose names may be padded; empty where there is none."""
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return [{name.strip(): float(value) for name, value in row.items()} for row in csv.DictReader(file)]


def main() -> None:
    """Run what is left, and print the table as it grows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("data", type=Path, help="a data YAML of detection; labels' caches are written beside the labels")
    add("--weights", type=Path, required=True, help="what the dense parent begins with, as yolov5n trained on COCO")
    add("--out", default="bench-few-pictures", help="folder for all that it makes; continued there")
    add("--release", default="yolov5==7.0.14")
    add("--steps", type=float, nargs="+", default=(float("inf"), 0.02, 0.01, 0.005, 0.0))
    add("--target", default="flops=0.4")
    for name, value in (("dense", 30), ("sparse", 20), ("tune", 30), ("imgsz", 320), ("batch", 16)):
        add(f"--{name}", type=int, default=value, help=f"default: {value}")
    add("--threads", type=int, default=os.cpu_count() or 1)
    add("--device", default="cpu")
    options = parser.parse_args()
    options.data, options.weights = options.data.resolve(), options.weights.resolve()
    bench = Bench(options)
    bench.prepare()
    dense = bench.train("dense", options.weights, options.dense, 1.0)
    table = [HEAD.format(tune=options.tune), "| ---: | ---: | ---: | ---: | ---: |"]
    table.append(f"| dense, {options.dense} epochs | | {bench.done['dense']['map50_95']:.3f} | | |")
    for step in options.steps:
        table.append(bench.arm(dense, step))
        (bench.out / "table.md").write_text("\n".join(table) + "\n", encoding="utf-8")
        print(table[-1], flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
