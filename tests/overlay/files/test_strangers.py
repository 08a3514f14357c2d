"""What is no checkpoint of this fork's is refused in a line that says what it is, and what to type: that works."""

from __future__ import annotations

import copy
import shlex
import subprocess
import sys
from itertools import product

import pytest
import torch
from torch import nn
from torch.nn.utils import prune as masks

from slim.files.strangers import check_content, check_network, refuse_names
from slim.models.admission import admit
from tests.overlay.test_architecture import build
from tests.sampling import sampled
from ultralytics import YOLO


def said(check, *arguments):
    with pytest.raises(ValueError, match=r"\S") as caught:
        check(*arguments)
    text = str(caught.value)
    assert "\n" not in text
    return text


def typed(text, *, cwd):
    """Run the line of Python that a message says; what it writes."""
    command = shlex.split(text[text.index("python -c ") :])
    done = subprocess.run([sys.executable, *command[1:]], cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-800:]


def test_a_bare_module_is_wrapped_by_the_line_it_is_answered_with(tmp_path):
    path, model = tmp_path / "bare.pt", build(nc=3)
    torch.save(model, path)
    typed(said(check_content, path, model), cwd=tmp_path)
    found = YOLO(str(tmp_path / "bare-model.pt")).model.state_dict()
    assert all(torch.equal(found[name], tensor) for name, tensor in model.state_dict().items())


@pytest.mark.parametrize(
    ("key", "prefix"),
    sampled(
        product([None, "state_dict", "model_state_dict", "model"], ["", "module.", "_orig_mod."]),
        by_default=[(None, ""), ("state_dict", "module."), ("model", "_orig_mod.")],
    ),
)
def test_a_state_dict_gets_its_network_by_the_line_it_is_answered_with(tmp_path, key, prefix):
    path, model = tmp_path / "weights.pt", YOLO("yolov8n.yaml").model
    weights = {f"{prefix}{name}": tensor for name, tensor in model.state_dict().items()}
    held = weights if key is None else {key: weights}
    torch.save(held, path)
    text = said(check_content, path, held)
    assert "a state_dict, weights without the network; wrap it" in text
    typed(text, cwd=tmp_path)
    found = YOLO(str(tmp_path / "weights-model.pt")).model.state_dict()
    assert all(torch.equal(found[name], tensor) for name, tensor in model.state_dict().items())


def test_a_mask_of_torchs_own_pruning_is_named_with_what_removes_it():
    model = build()
    masks.l1_unstructured(model.model[0].conv, "weight", 0.3)
    text = said(admit, model)
    assert "model.0.conv" in text
    assert "prune.remove" in text


@pytest.mark.parametrize(
    "name", ["torch.ao.quantization.fake_quantize.FakeQuantize", "torch._utils._rebuild_qtensor", "torchao.x.Y"]
)
def test_what_is_quantised_comes_after_pruning(tmp_path, name):
    assert "quantisation comes after pruning: prune the float model" in said(refuse_names, tmp_path / "q.pt", [name])


def test_a_wrapper_is_taken_off_by_the_line_it_is_answered_with(tmp_path):
    path, model = tmp_path / "parallel.pt", build()
    torch.save({"model": nn.DataParallel(model), "train_args": {}}, path)
    typed(said(refuse_names, path, ["torch.nn.parallel.data_parallel.DataParallel"]), cwd=tmp_path)
    assert type(YOLO(str(tmp_path / "parallel-plain.pt")).model) is type(model)


def test_a_network_of_the_other_line_and_one_that_diverged_are_refused(tmp_path):
    for package in ("", "yolov5"):
        assert "prune.py of a fork of ultralytics" in said(check_network, tmp_path / "b.pt", build(), package)
    broken = copy.deepcopy(build())
    broken.model[0].conv.weight.data[0] = float("nan")
    assert "model.0.conv.weight is not finite" in said(check_network, tmp_path / "c.pt", broken, "ultralytics")
    check_network(tmp_path / "d.pt", build(), "ultralytics")
    check_network(tmp_path / "own.pt", nn.Sequential(nn.Conv2d(3, 3, 1)), "ultralytics")  # opened with --trust
