"""A checkpoint is read and never run: what is refused, by which name, and what real checkpoints hold and loads.

Also of: `slim.files.inert`.
"""
# ruff: noqa: F811 - fixtures of another module are arguments here

from __future__ import annotations

import argparse
import importlib
import os
import pathlib
import subprocess
import sys
import types

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from torch import nn
from ultralytics.nn.tasks import DetectionModel
from ultralytics.utils import IterableSimpleNamespace

from slim.files import trust
from slim.files.pickles import NotACheckpointError, names_in
from slim.files.trust import UntrustedError, read_checkpoint
from tests.overlay.networks import photo, run
from tests.overlay.test_command import prune, weights  # noqa: F401 - fixtures


class Calls:
    """Pickled as a call of a function."""

    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


@pytest.fixture(params=["upstream's loader as well", "ours alone"])
def loaders(request, monkeypatch):
    """As on releases from 8.4.67 on, and on those before."""
    if request.param == "ours alone":
        monkeypatch.setattr(trust, "_upstreams", lambda: None)


def with_(weights, tmp_path, **more):
    """Write a checkpoint that holds more than a model."""
    path = tmp_path / "evil.pt"
    torch.save({**torch.load(weights, weights_only=False), **more}, path)
    return path


def evaluates(flag):
    """Return a model's YAML of which upstream evaluates what stands there."""
    call = f"open({str(flag)!r}, 'w')"
    return {
        "nc": 1,
        "activation": call,
        "act": call,
        "depth_multiple": 1,
        "width_multiple": 1,
        "backbone": [],
        "head": [],
    }


@pytest.mark.usefixtures("loaders")
@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda flag: Calls(os.system, f"touch {flag}"), "system"),
        (lambda flag: Calls(eval, f"open({str(flag)!r}, 'w')"), "builtins.eval"),
        (lambda flag: Calls(exec, f"open({str(flag)!r}, 'w')"), "builtins.exec"),
        (lambda flag: Calls(open, str(flag), "w"), "open"),
        (lambda flag: Calls(subprocess.getoutput, f"touch {flag}"), "subprocess.getoutput"),
        (lambda _: Calls(importlib.import_module, "antigravity"), "importlib.import_module"),
        (lambda _: Calls(torch.hub.load, "somebody/something", "model"), "torch.hub.load"),
        (lambda flag: Calls(pathlib.Path.touch, flag), "--trust"),
        (lambda _: Calls(getattr, DetectionModel, "__init__"), "--trust"),
        (lambda flag: Calls(DetectionModel, evaluates(flag)), "DetectionModel"),
    ],
)
def test_what_a_pickle_calls_is_refused_by_name_and_not_called(weights, prune, tmp_path, call, named):
    flag = tmp_path / "ran"
    evil = with_(weights, tmp_path, extra=call(flag))
    code, out, err = prune("--weights", evil, "--ratio", 0.5, "--dry-run")
    assert (code, out, flag.exists()) == (2, "", False)
    (line,) = [text for text in err.splitlines() if text.startswith("error: ")]
    assert line.startswith(f"error: {evil}: ")
    assert named in line
    assert "--trust" in line


@pytest.mark.usefixtures("loaders")
@pytest.mark.parametrize("where", ["_forward_hooks", "_state_dict_hooks", "forward", "stride"])
def test_a_model_brings_nothing_that_would_be_called_later(weights, tmp_path, where):
    found = torch.load(weights, weights_only=False)
    held = found["model"].__dict__
    held[where] = {0: DetectionModel} if where.endswith("hooks") else DetectionModel
    torch.save(found, tmp_path / "evil.pt")
    with pytest.raises(UntrustedError, match=f"evil.pt: the model brings something to call, {where}"):
        read_checkpoint(tmp_path / "evil.pt", "ultralytics")


def test_a_layer_of_the_users_own_is_refused_by_name_and_loads_where_it_is_trusted(weights, prune, monkeypatch):
    module = types.ModuleType("my_layers")
    module.Own = type("Own", (nn.Identity,), {"__module__": "my_layers"})
    monkeypatch.setitem(sys.modules, "my_layers", module)
    found = torch.load(weights, weights_only=False)
    found["model"].model[1].own = module.Own()
    torch.save(found, weights)
    code, _, err = prune("--weights", weights, "--ratio", 0.5, "--no-onnx")
    assert code == 2
    assert "asks for my_layers.Own, which no network of this fork is made of" in err
    assert "--trust" in err
    assert prune("--weights", weights, "--ratio", 0.5, "--no-onnx", "--trust")[0] == 0


def test_an_imported_name_is_only_looked_up_in_upstreams_modules(weights, tmp_path, monkeypatch):
    """Importing a module runs it: one beside the checkpoint must not be."""
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "yolo.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\nclass Model: pass\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    kind = type("Model", (), {"__module__": "models.yolo"})
    fake = types.ModuleType("models.yolo")
    fake.Model = kind
    monkeypatch.setitem(sys.modules, "models.yolo", fake)
    evil = with_(weights, tmp_path, extra=kind())
    monkeypatch.delitem(sys.modules, "models.yolo")
    with pytest.raises(UntrustedError, match=r"asks for models\.yolo\.Model: it looks like a model of YOLOv5"):
        read_checkpoint(evil, "ultralytics")
    assert not (tmp_path / "ran").exists()


@pytest.mark.usefixtures("loaders")
@pytest.mark.parametrize(
    "plain",
    [
        np.float64(0.5),
        np.array([0.1, 0.2]),
        np.arange(3),
        argparse.Namespace(imgsz=64, data="x.yaml"),
        IterableSimpleNamespace(imgsz=64),
        pathlib.PurePosixPath("a") if os.name == "nt" else pathlib.PosixPath("a"),
        {"a": {1, 2}, "b": (1, b"x", None)},
        torch.device("cpu"),
        torch.float16,
        OmegaConf.create({"epochs": 3, "lr0": 0.01, "resume": None, "project": "a", "fliplr": [0.5, {"x": True}]}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_plain_data_that_checkpoints_hold_loads(weights, tmp_path, plain):
    found = read_checkpoint(with_(weights, tmp_path, extra=plain), "ultralytics")["extra"]
    assert type(found) is type(plain)
    assert np.array_equal(found, plain) if isinstance(plain, np.ndarray) else found == plain


@pytest.mark.usefixtures("loaders")
def test_a_model_that_is_read_computes_what_it_does(weights):
    theirs = torch.load(weights, weights_only=False)["model"].float().eval()
    ours = read_checkpoint(weights, "ultralytics")["model"].float().eval()
    assert all(torch.equal(a, b) for a, b in zip(run(ours, photo()), run(theirs, photo())))


def test_names_of_python_2_are_read_as_todays(tmp_path):
    (tmp_path / "old.pt").write_bytes(b"")
    torch.save({"a": {1}}, tmp_path / "old.pt")
    assert names_in(tmp_path / "old.pt") == ["builtins.set"]


def test_the_form_of_pytorch_before_1_6_is_a_question_of_trust(weights, prune):
    old = weights.with_name("old.pt")
    torch.save(torch.load(weights, weights_only=False), old, _use_new_zipfile_serialization=False)
    code, _, err = prune("--weights", old, "--ratio", 0.5, "--no-onnx")
    assert code == 2
    assert "old.pt: of the form before PyTorch 1.6" in err
    assert "--trust" in err
    assert prune("--weights", old, "--ratio", 0.5, "--no-onnx", "--trust")[0] == 0


def test_a_pytorch_that_cannot_read_safely_is_a_question_of_trust(weights, monkeypatch):
    monkeypatch.delattr(torch.serialization, "get_unsafe_globals_in_checkpoint")
    with pytest.raises(UntrustedError, match=r"cannot read it without running it, 2\.6 can.*--trust"):
        read_checkpoint(weights, "ultralytics")


class TestWhatItIs:
    """One line that says what a file is and what to give instead."""

    @pytest.fixture
    def said(self, prune):
        def say(path):
            code, out, err = prune("--weights", path, "--ratio", 0.5)
            assert (code, out) == (2, "")
            (line,) = [text for text in err.splitlines() if text.startswith("error: ")]
            assert line.startswith(f"error: {path}: ")
            return line

        return say

    @pytest.mark.parametrize(
        ("name", "content", "words"),
        [
            ("x.onnx", b"\x08\x08", "is an ONNX file"),
            ("x.engine", b"x", "is a TensorRT engine"),
            ("x.safetensors", b"x", "a safetensors file, weights without the network"),
            ("x.yaml", b"nc: 1\n", "is a YAML file"),
            ("x.pt", b"", "it is empty"),
            ("x.pt", b"hello\n", "it is a text"),
            ("x.pt", b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
            ("x.pt", b"\x89PNG\r\n\x1a\n\0\0", "no file of PyTorch's"),
            ("x.pt", b"\x80\x04K\x01.", "a pickle, but none of PyTorch's"),
        ],
    )
    def test_of_another_kind(self, said, tmp_path, name, content, words):
        (tmp_path / name).write_bytes(content)
        assert words in said(tmp_path / name)

    def test_a_folder(self, said, weights):
        assert f"give {weights}" in said(weights.parent)

    @pytest.mark.parametrize("share", [0.01, 0.5, 0.999])
    def test_cut_off(self, said, weights, share):
        whole = weights.read_bytes()
        weights.write_bytes(whole[: int(share * len(whole))])
        assert "cut off or damaged" in said(weights)

    def test_without_a_network(self, said, weights, tmp_path):
        model = torch.load(weights, weights_only=False)["model"]
        for value in (model.state_dict(), {"model": model.state_dict()}, {"ema": None, "model": model.state_dict()}):
            torch.save(value, tmp_path / "x.pt")
            assert "it is a state_dict, weights without the network" in said(tmp_path / "x.pt")
        torch.save(model, tmp_path / "x.pt")
        assert "it is a model alone" in said(tmp_path / "x.pt")
        torch.save({"a": 1}, tmp_path / "x.pt")
        assert "without a model in it" in said(tmp_path / "x.pt")

    @pytest.mark.filterwarnings("ignore:`torch.jit")
    def test_torchscript(self, said, tmp_path):
        torch.jit.save(torch.jit.script(nn.Conv2d(1, 1, 1)), tmp_path / "x.pt")
        assert "it is a TorchScript archive" in said(tmp_path / "x.pt")

    def test_what_is_not_there_is_said_as_before(self, tmp_path):
        with pytest.raises(FileNotFoundError, match="no such checkpoint"):
            read_checkpoint(tmp_path / "x.pt", "ultralytics")
        with pytest.raises(NotACheckpointError, match="is a folder"):
            read_checkpoint(tmp_path, "ultralytics")
