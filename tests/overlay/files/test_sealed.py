"""Validation runs nothing that a data set brings along: no `download:`, no pickled cache, no connection."""
# ruff: noqa: F811 - fixtures of another module are arguments here

from __future__ import annotations

import json
import os
import socket
import subprocess

import numpy as np
import pytest
import torch
import yaml

from slim.calibration.datasets import CalibrationError
from slim.calibration.ultralytics_data import open_data
from slim.files.sealed import sealed
from tests.overlay.test_architecture import build
from tests.overlay.test_command import data, prune, weights  # noqa: F401 - fixtures


class Calls:
    def __init__(self, flag):
        self.flag = flag

    def __reduce__(self):
        return (subprocess.getoutput, (f"touch {self.flag}",))


SCRIPTS = {
    "python": "import os; os.system('touch {flag}')",
    "bash": "bash -c touch${{IFS}}{flag}",
    "address": "http://localhost:1/set.zip",
}


@pytest.mark.parametrize("script", SCRIPTS)
@pytest.mark.parametrize("split", ["train", "val"])
def test_pictures_that_are_missing_are_named_and_not_fetched(weights, prune, data, tmp_path, script, split):
    flag = tmp_path / "ran"
    content = {**yaml.safe_load(data.read_text()), split: "nowhere", "download": SCRIPTS[script].format(flag=flag)}
    data.write_text(yaml.safe_dump(content))
    code, out, err = prune("--weights", weights, "--ratio", 0.5, "--no-onnx", "--data", data, "--val")
    assert (code, out, flag.exists()) == (2, "", False)
    (line,) = [text for text in err.splitlines() if text.startswith("error: ")]
    assert line == (
        f"error: {data}: no images at {data.parent / 'nowhere'} (`{split}:`); "
        "its `download:` is not run: get the images first"
    )


def test_what_is_validated_is_what_the_yaml_says_but_runs_nothing(weights, prune, data, tmp_path):
    """With images that are there, a `download:` and a pickle beside the labels, as an attacker would leave them."""
    flag = tmp_path / "ran"
    with (data.parent / "labels.cache").open("wb") as file:
        np.save(file, np.array({"hash": 1, "x": Calls(flag)}, dtype=object), allow_pickle=True)
    data.write_text(data.read_text() + f"download: import os; os.system('touch {flag}')\n")
    before = data.read_bytes()
    code, out, _ = prune(
        *("--weights", weights, "--ratio", 0.5, "--dry-run", "--no-onnx", "--data", data, "--val", "--json")
    )
    assert code == 0
    assert len(json.loads(out)["accuracy"]) == 4
    assert not flag.exists()
    assert data.read_bytes() == before


def test_upstreams_yaml_has_the_users_keys_and_whole_paths(data, tmp_path):
    data.write_text(data.read_text() + "download: x\ntest: y\nkpt_shape: [4, 3]\n")
    written = open_data(data, build(), 64, 6, val=True).validation(tmp_path)
    images = str(data.parent / "images")
    assert yaml.safe_load(written.read_text()) == {
        "names": {0: "qr"},
        "kpt_shape": [4, 3],
        "path": str(data.parent),
        "train": images,
        "val": images,
    }


def test_pickles_of_caches_count_as_not_there(tmp_path):
    flag = tmp_path / "ran"
    torch.save({"hash": 1, "x": Calls(flag)}, tmp_path / "old.cache")
    with (tmp_path / "new.cache").open("wb") as file:
        np.save(file, np.array(Calls(flag), dtype=object), allow_pickle=True)
    np.save(tmp_path / "array.npy", np.arange(3))
    with sealed():
        assert torch.load(tmp_path / "old.cache", weights_only=False)["hash"] is None
        with pytest.raises(FileNotFoundError):
            np.load(tmp_path / "new.cache", allow_pickle=True)
        assert np.load(tmp_path / "array.npy").tolist() == [0, 1, 2]
    assert not flag.exists()
    assert torch.load(tmp_path / "old.cache", weights_only=False)["hash"] == 1


def test_no_connection_is_made():
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = server.getsockname()
        with sealed(), pytest.raises(OSError, match="makes no connection"):
            socket.create_connection(address, timeout=5)
        socket.create_connection(address, timeout=5).close()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("train: images\n", "has no `val:` entry"),
        ("train: images\nval: 3\n", "`val:` and `path:` are to be paths"),
        ("train: images\nval: [images, 1]\n", "`val:` and `path:` are to be paths"),
        ("train: images\nval: [images, gone]\n", r"no images at .*gone \(`val:`\)"),
        ("train: images\nval: val.txt\n", r"no image at .*nope\.png \(`val:`\)"),
        ("path: [a]\ntrain: images\nval: images\n", "are to be paths"),
        ("train: images\nval: " + "x" * 5000, "no images at"),
        ("train: !!python/object/apply:os.system ['true']\n", "no data set YAML can be read there"),
    ],
)
def test_what_is_missing_is_said(data, text, message):
    (data.parent / "val.txt").write_text("./images/0.png\n./images/nope.png\n")
    data.write_text(text)
    with pytest.raises(CalibrationError, match=message) as refused:
        open_data(data, build(), 64, 6, val=True)
    assert str(refused.value).startswith(f"{data}: ")


@pytest.mark.parametrize("name", ["set.zip", "folder", "coco80.yaml", "https://localhost/set.yaml"])
def test_what_is_no_yaml_is_refused(weights, prune, tmp_path, name, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "set.zip").write_bytes(b"PK\x03\x04" + os.urandom(50))
    code, out, err = prune("--weights", weights, "--ratio", 0.5, "--data", name)
    assert (code, out) == (2, "")
    assert "no data set YAML can be read there" in err.splitlines()[-1]
