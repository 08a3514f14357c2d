"""Trainings in YOLOv5's package on a data set of the user's: each stage once, noted as it ends, gone on with later."""

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
from threading import Lock
from typing import Any

from slimfork.forks.making import draft, is_free
from slimfork.git.building import build
from slimfork.inside.inside import environment
from slimfork.releases import pins
from slimfork.releases.fetch import release_files

ALL = re.compile(r"^\s*all\s+\d+\s+\d+((?:\s+[\d.eE+-]+){4})", re.MULTILINE)
TRAIN = ("-m", "yolov5.train")


def parser(purpose: str | None, out: str) -> argparse.ArgumentParser:
    """Return the options that these benchmarks share."""
    made = argparse.ArgumentParser(description=purpose, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = made.add_argument
    add("data", type=Path, help="a data YAML of detection; labels' caches are written beside the labels")
    add("--weights", type=Path, required=True, help="what the dense parent begins with, as yolov5n trained on COCO")
    add("--out", default=out, help=f"folder for all that it makes; continued there (default: {out})")
    add("--release", default="yolov5==7.0.14")
    add("--imgsz", type=int, default=320, help="default: 320")
    add("--batch", type=int, default=16, help="default: 16")
    add("--jobs", type=int, default=1, help="trainings at a time (default: 1)")
    add("--threads", type=int, help="of each of them (default: the cores, shared among the jobs)")
    add("--device", default="cpu")
    return made


@dataclass(slots=True)
class Runs:
    """The folder, and what is done of it: stage -> its numbers."""

    options: argparse.Namespace
    done: dict[str, dict[str, Any]] = field(default_factory=dict)
    lock: Lock = field(default_factory=Lock)

    @property
    def out(self) -> Path:
        """Where all of it lies."""
        return Path(self.options.out).resolve()

    def prepare(self) -> None:
        """Vendor the release, unless it is there, and read what is done."""
        self.options.data, self.options.weights = self.options.data.resolve(), self.options.weights.resolve()
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
        with self.lock, (self.out / "results.jsonl").open("a", encoding="utf-8") as file:
            self.done[name] = numbers
            file.write(json.dumps({"name": name, **numbers}) + "\n")

    def run(self, name: str, *arguments: object) -> str:
        """Run Python in the fork and return what it said, which also goes to a log."""
        env = environment(self.out / "fork", self.out / "home", WANDB_MODE="disabled", PYTHONWARNINGS="ignore")
        threads = self.options.threads or max(1, (os.cpu_count() or 1) // self.options.jobs)
        env |= {"OMP_NUM_THREADS": str(threads), "YOLOV5_CONFIG_DIR": str(self.out / "home")}
        log = self.out / f"{name}.log"
        with log.open("w", encoding="utf-8") as file:
            command = [sys.executable, *map(str, arguments)]
            code = subprocess.run(
                command, cwd=self.out / "fork", env=env, stdout=file, stderr=file, check=False
            ).returncode
        if code:
            sys.exit(f"{name} failed; its log is {log}; start it again to go on")
        return log.read_text(encoding="utf-8")

    def train(
        self, name: str, weights: Path | str, epochs: int, *more: object, program: tuple[object, ...] = TRAIN
    ) -> Path:
        """Train, or go on in the epoch that was cut off, and return the checkpoint."""
        run = self.out / "runs" / name
        last = run / "weights" / "last.pt"
        size = ["--img", self.options.imgsz, "--batch", self.options.batch, "--epochs", epochs, "--workers", 0]
        where = ["--project", run.parent, "--name", name, "--exist-ok", "--device", self.options.device, "--noplots"]
        told = ["--weights", weights, "--data", self.options.data, *size, *where, "--cache", "ram", *more]
        seen = rows(run / "results.csv")  # an epoch that was cut off is there twice
        if not last.is_file() or seen[-1]["epoch"] + 1 < epochs:
            self.run(name, *program, *(["--resume", last] if last.is_file() else told))
        return last

    def prune(self, name: str, weights: Path, *more: object) -> Path:
        """Prune by the fork's own script, on the same data set, and return the checkpoint."""
        pruned = self.out / f"{name}.pt"
        if not pruned.is_file():
            given = ["--weights", weights, "--data", self.options.data, "--imgsz", self.options.imgsz]
            self.run(name, "prune.py", *given, "--rate", 16, "--no-onnx", "--overwrite", "--out", pruned, *more)
        return pruned

    def score(self, name: str, weights: Path, split: str = "val") -> tuple[float, float]:
        """Return mAP50 and mAP50-95 on a split."""
        size = ["--img", self.options.imgsz, "--batch-size", self.options.batch, "--device", self.options.device]
        where = ["--project", self.out / "runs", "--name", f"{name}-{split}", "--exist-ok", "--task", split]
        told = ["--weights", weights, "--data", self.options.data, *size, "--workers", 0, *where]
        said = ALL.findall(self.run(f"{name}-{split}", "-m", "yolov5.val", *told))[-1].split()
        return float(said[-2]), float(said[-1])


def rows(path: Path) -> list[dict[str, float]]:
    """Read a table of numbers whose names may be padded; empty where there is none."""
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return [{name.strip(): float(value) for name, value in row.items()} for row in csv.DictReader(file)]
