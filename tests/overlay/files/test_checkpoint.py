"""A pruned checkpoint: stock classes and plain data, whole or not there at all, and readable by unpatched upstream."""

from __future__ import annotations

import copy
import json
import os
import stat
import subprocess
import sys

import pytest
import torch
from torch import nn
from ultralytics.utils import DEFAULT_CFG

from slim.analysis.channels import analyse
from slim.files.checkpoint import save_checkpoint, write_atomically
from slim.pruning.apply import apply_plan
from slim.pruning.plan import Plan, make_plan
from tests.overlay.networks import photo, randomise, run
from tests.overlay.test_architecture import build
from ultralytics import YOLO

CAME_FROM = {
    "epoch": 7,
    "best_fitness": 0.5,
    "model": None,
    "ema": object(),
    "updates": 99,
    "optimizer": {"state": {}},
    "scaler": {"scale": 2.0},
    "train_args": {"imgsz": 64, "sparsity": 0.01},
    "version": "8.4.190",
}


@pytest.fixture
def pruned():
    """A pruned model with what training leaves on one, and the plan."""
    model = randomise(build())
    plan = make_plan(model, channels := analyse(model), ratio=0.4)
    apply_plan(model, plan, channels)
    model.args = {"imgsz": 64, "sparsity": 0.01}
    model.names = {0: "qr"}
    model.criterion = nn.Module()
    return model, plan


@pytest.fixture
def path(tmp_path, pruned):
    model, plan = pruned
    save_checkpoint(tmp_path / "weights" / "pruned.pt", model, CAME_FROM, plan)
    return tmp_path / "weights" / "pruned.pt"


def test_upstream_loads_it_and_computes_the_same(path, pruned):
    model, _ = pruned
    loaded = YOLO(str(path)).model
    assert type(loaded).__module__ == "ultralytics.nn.tasks"
    ours, theirs = run(model.half().float().eval(), photo()), run(loaded, photo())
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs))


def test_upstream_loads_it_where_only_its_own_classes_are_allowed(path):
    """The strictest loader of upstream's: nothing but torch's and its own classes, and plain data."""
    environment = {**os.environ, "ULTRALYTICS_SAFE_LOAD": "1"}
    code = f"from ultralytics import YOLO; print(sum(p.numel() for p in YOLO({str(path)!r}).model.parameters()))"
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-800:]
    assert int(done.stdout.split()[-1]) == sum(p.numel() for p in YOLO(str(path)).model.parameters())


def test_it_is_half_frozen_and_without_a_criterion(path):
    model = torch.load(path, weights_only=False)["model"]
    assert {p.dtype for p in model.parameters()} == {torch.float16}
    assert not any(p.requires_grad for p in model.parameters())
    assert "criterion" not in vars(model)
    assert "criterion" not in model._modules


def test_the_state_of_the_run_is_gone_and_what_describes_it_stays(path):
    saved = torch.load(path, weights_only=False)
    gone = ("optimizer", "best_fitness", "ema", "updates", "scaler", "stopper", "modelopt")
    assert [saved[name] for name in gone] == [None] * len(gone)
    assert saved["epoch"] == -1
    assert saved["train_args"] == {"imgsz": 64, "sparsity": 0.01}
    assert saved["version"] == "8.4.190"


def test_the_plan_rides_along_as_plain_data(path, pruned):
    _, plan = pruned
    data = torch.load(path, weights_only=False)["model"].slim
    assert data == json.loads(json.dumps(data))
    assert Plan.from_dict(data) == plan


def test_without_a_plan_nothing_rides_along(tmp_path):
    save_checkpoint(tmp_path / "dense.pt", build(), CAME_FROM)
    assert not hasattr(torch.load(tmp_path / "dense.pt", weights_only=False)["model"], "slim")


def test_the_model_itself_is_left_as_it_is(tmp_path, pruned):
    model, plan = pruned
    before, attributes = copy.deepcopy(model.state_dict()), set(vars(model)) | set(model._modules)
    save_checkpoint(tmp_path / "pruned.pt", model, CAME_FROM, plan)
    after = model.state_dict()
    assert all(torch.equal(before[name], after[name]) and after[name].dtype == before[name].dtype for name in before)
    assert set(vars(model)) | set(model._modules) == attributes
    assert all(p.requires_grad for name, p in model.named_parameters() if ".dfl." not in name)


def test_upstreams_own_argument_object_becomes_a_dictionary(tmp_path, pruned):
    model, plan = pruned
    model.args = DEFAULT_CFG
    save_checkpoint(tmp_path / "pruned.pt", model, CAME_FROM, plan)
    saved = torch.load(tmp_path / "pruned.pt", weights_only=False)["model"].args
    assert type(saved) is dict
    assert saved["imgsz"] == DEFAULT_CFG.imgsz


class Unpicklable:
    def __reduce__(self):
        raise OSError("disk full")


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path):
    write_atomically(tmp_path / "x.pt", {"a": 1})
    with pytest.raises(OSError, match="disk full"):
        write_atomically(tmp_path / "x.pt", {"a": Unpicklable()})
    assert torch.load(tmp_path / "x.pt", weights_only=True) == {"a": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["x.pt"]


@pytest.mark.parametrize("value", [65520.0, -1e6])
@pytest.mark.parametrize("kind", ["weight", "running_var"])
def test_what_half_precision_cannot_hold_is_refused_by_name_and_nothing_written(value, kind, tmp_path, pruned):
    model, plan = pruned
    norm = next(module for module in model.modules() if isinstance(module, nn.BatchNorm2d))
    getattr(norm, kind).data[0] = value
    with pytest.raises(ValueError, match=rf"model\.0\.bn\.{kind} has numbers beyond 65504"):
        save_checkpoint(tmp_path / "pruned.pt", model, CAME_FROM, plan)
    assert not list(tmp_path.iterdir())


def test_what_is_infinite_in_the_model_is_so_in_the_file(tmp_path, pruned):
    model, plan = pruned
    model.register_buffer("mask", torch.full((2,), -torch.inf))
    save_checkpoint(tmp_path / "pruned.pt", model, CAME_FROM, plan)
    assert torch.load(tmp_path / "pruned.pt", weights_only=False)["model"].mask.tolist() == [-torch.inf] * 2


def test_it_may_be_read_by_whoever_may_read_new_files(tmp_path):
    write_atomically(tmp_path / "x.pt", 1)
    (tmp_path / "plain").touch()
    modes = {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("x.pt", "plain")}
    assert len(modes) == 1
