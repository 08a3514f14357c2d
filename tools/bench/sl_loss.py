"""What the second write-up's loss term does to BatchNorm scales: `python tools/bench/sl_loss.py FORK [--epochs N]`.

FORK is an official YOLOv5 tree that `apply-patches vendor yolov5@TAG` has made. Its own train.py trains yolov5n from
the same random weights on a QR set drawn here, once a row: penalty off, `--sl-mode loss` at several strengths and batch
sizes, `--sl-mode decoupled`. Printed is where the scales of the trained model (not its EMA) stand, and the median norm
of the gradient before clipping, where there is any. Releases up to v6.1 warm up for 1000 batches: take more epochs.

What to expect of the term, sl · batch · mean over BatchNorms of ‖γ‖₁: its gradient on γ is sl·batch/BatchNorms·sign(γ)
a batch, and upstream accumulates batches to 64 pictures, so sl·64/BatchNorms a step whatever the batch size (yolov5n
has 57 BatchNorms: 1.12·sl). fp16's loss scale is divided out again before the step, so it changes nothing; clipping to
a norm of 10 (v6.2 and later) divides it with all others. SGD multiplies by lr/(1 - momentum) = 0.16.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from slimfork.inside.inside import environment
from slimfork.qr import qr

# mode, strength, batch size: 2e-3 is the write-up's; the others show how its effect grows.
ROWS = (
    ("off", 0.0, 16),
    ("loss", 2e-3, 8),
    ("loss", 2e-3, 16),
    ("loss", 2e-3, 32),
    ("loss", 2e-1, 16),
    ("loss", 2.0, 16),
    ("decoupled", 2.0, 16),
    ("decoupled", 8.0, 16),
)
# Runs train.py as it is, with an ear at the binding that it calls: model, optimizer and their last state.
INSIDE = """
import json, os, runpy, sys
import torch
import slim.yolov5 as binding

seen, real = {"steps": 0, "norms": []}, binding.penalize

def gammas(model):
    found = [m.weight.detach().abs() for m in model.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    return torch.cat(found)

def penalize(loss, model, optimizer, *rest):
    if "model" not in seen:
        seen["model"], seen["before"] = model, gammas(model).median().item()
        optimizer.register_step_post_hook(lambda *_: seen.update(steps=seen["steps"] + 1))
    return real(loss, model, optimizer, *rest)

def clip(parameters, max_norm, *rest, **more):
    norm = plain(parameters, float("inf") if os.environ.get("SL_NO_CLIP") else max_norm, *rest, **more)
    seen["norms"].append(float(norm))
    return norm

plain, torch.nn.utils.clip_grad_norm_ = torch.nn.utils.clip_grad_norm_, clip
binding.penalize = penalize
result, sys.argv = sys.argv[1], ["train.py", *sys.argv[2:]]
runpy.run_path("train.py", run_name="__main__")
after = gammas(seen["model"])
norms = sorted(seen["norms"]) or [0.0]
json.dump({"steps": seen["steps"], "before": seen["before"], "after": after.median().item(),
    "zero": (after < 1e-3).float().mean().item(), "norm": norms[len(norms) // 2]}, open(result, "w"))
"""


def row(fork: Path, work: Path, data: Path, options: argparse.Namespace, mode: str, sl: float, batch: int) -> str:
    """Train once and return a line of the table."""
    result = work / "result.json"
    penalty = ["--sl", str(sl), "--sl-decay", "0", *(["--sl-mode", mode] if sl else [])]
    size = ["--img", str(options.imgsz), "--batch", str(batch), "--epochs", str(options.epochs)]
    model = ["--weights", "", "--cfg", f"models/{options.model}.yaml", "--data", str(data), "--device", "cpu"]
    where = ["--project", str(work / "runs"), "--workers", "0"]
    env = environment(fork, work / "home", WANDB_MODE="disabled", YOLOV5_CONFIG_DIR=str(work / "fonts"))
    env |= {"OMP_NUM_THREADS": str(options.threads), "SL_NO_CLIP": "1" if options.no_clip else ""}
    command = [sys.executable, "-c", INSIDE, str(result), *size, *model, *where, *penalty]
    done = subprocess.run(command, cwd=fork, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"train.py failed:\n{done.stderr[-2000:]}")
    seen = json.loads(result.read_text())
    moved = f"{seen['before']:>9.4f}{seen['after']:>9.4f}{seen['zero']:>9.1%}"
    return f"{mode:<11}{sl:>8g}{batch:>7}{seen['steps']:>7}{moved}{seen['norm']:>10.3g}"


def main() -> None:
    """Print the table, a line as soon as it is there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("fork", type=Path)
    for name, value in (("epochs", 10), ("images", 128), ("imgsz", 64), ("threads", os.cpu_count() or 1)):
        parser.add_argument(f"--{name}", type=int, default=value, help=f"default: {value}")
    parser.add_argument("--no-clip", action="store_true", help="do not clip gradients, as up to v6.1")
    parser.add_argument("--model", default="yolov5n", help="name of a YAML in models/; v5.0 has no yolov5n")
    options = parser.parse_args()
    print(f"{'mode':<11}{'sl':>8}{'batch':>7}{'steps':>7}{'median γ':>9}{'after':>9}{'<1e-3':>9}{'|grad|':>10}")  # noqa: T201
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        data = qr.draw(work / "qr", images=options.images, val=8, imgsz=options.imgsz)
        names = f"train: {data.parent}/images/train\nval: {data.parent}/images/val\nnc: 1\nnames: [qr]\n"
        data.write_text(names)  # v5.0 knows neither `path:` nor names by number
        for mode, strength, batch in ROWS:
            print(row(options.fork.resolve(), work, data, options, mode, strength, batch), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
