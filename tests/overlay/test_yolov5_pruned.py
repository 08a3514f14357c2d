"""What prune.py writes and refuses in real forks of YOLOv5."""

from __future__ import annotations

import json
import subprocess
import sys

import cv2
import numpy as np
import pytest

from slimfork.terminal.naming import is_tag
from tests.overlay.yolov5_forks import NEW, OLD, TAG, names


class TestCheckpoint:
    def test_is_one_of_this_release(self, fork, weights):
        last = weights(fork)
        assert fork.prune("--weights", last, "--no-onnx")["code"] == 0
        seen = fork.call("contents", path=str(last.with_name("pruned_5.pt")))
        assert {"ema", "optimizer", "updates", "best_fitness", "wandb_id"} <= set(seen["none"])
        assert seen["kept"]["epoch"] == -1
        assert seen["kept"]["date"] == "2023-06-28"
        assert (seen["requires_grad"], seen["half"]) == (True, True)
        assert seen["packages"] == ["models" if is_tag(fork.version) else "yolov5"]
        assert (seen["names"], seen["hyp"]) == (["qr"], {"lr0": 0.01})
        assert "keep" in seen["plan"]
        assert set(map(tuple, seen["grid"])) == {(1,)}

    def test_opens_in_upstream_as_it_is_shipped(self, fork, weights, trees):
        last = weights(fork)
        assert fork.prune("--weights", last, "--no-onnx")["code"] == 0
        pruned = str(last.with_name("pruned_5.pt"))
        said = fork.call("said_by_upstream", path=pruned)
        assert trees(fork.version).call("said_by_upstream", path=pruned, stock=True) == said

    @pytest.mark.slow
    def test_of_the_official_repository_is_saved_as_the_packages_own(self, forks, weights):
        fork = forks(OLD)
        last = weights(fork, named_models=True)
        assert fork.call("contents_before", path=str(last)) == "models.yolo"
        done = fork.prune("--weights", last, "--no-onnx")
        assert done["code"] == 0, done["err"]
        assert fork.call("contents", path=str(last.with_name("pruned_5.pt")))["packages"] == ["yolov5"]

    @pytest.mark.slow
    def test_can_be_pruned_again_and_by_its_plan(self, new, weights):
        last = weights(new)
        once, twice = last.with_name("pruned_3.pt"), last.with_name("twice.pt")
        assert new.prune("--weights", last, "-p", 0.3, "--no-onnx")["code"] == 0
        assert new.prune("--weights", once, "-p", 0.3, "--no-onnx", "--out", twice)["code"] == 0
        assert new.prune("--weights", last, "--plan", once.with_suffix(".json"), "--no-onnx")["code"] == 0
        sizes = [
            sum(map(len, new.call("scales", path=str(p)).values()))
            for p in (last, once, last.with_name("pruned_plan.pt"), twice)
        ]
        assert sizes[0] > sizes[1] == sizes[2] > sizes[3]


class TestBlocks:
    """A bottleneck all of whose scales fell goes, also where it was the first of several in a `Sequential`."""

    NORMS = ("model.4.m.0.cv2.bn", "model.6.m.1.cv1.bn")
    BLOCKS = ("model.4.m.0", "model.6.m.1")

    def test_go_where_a_residual_carries_on(self, fork, weights, trees):
        last = weights(fork, emptied=self.NORMS)
        done = fork.prune("--weights", last, "--thres", 0.01)
        assert done["code"] == 0, done["err"]
        pruned = last.with_name("pruned_auto.pt")
        assert fork.call("removed", path=str(pruned)) == [[*self.BLOCKS], [[*self.BLOCKS]]]
        assert all(f"note: {block}: goes as a whole" in done["out"] for block in self.BLOCKS)
        assert fork.call("onnx_agrees", pruned=str(pruned), onnx=str(pruned.with_suffix(".onnx"))) < 1e-2
        said = fork.call("said_by_upstream", path=str(pruned))
        assert trees(fork.version).call("said_by_upstream", path=str(pruned), stock=True) == said

    def test_and_the_rest_computes_what_it_did(self, fork, weights):
        last = weights(fork, emptied=self.NORMS)
        assert fork.prune("--weights", last, "--thres", 0.2, "--no-onnx", "--no-fold")["code"] == 0
        pruned = last.with_name("pruned_auto.pt")
        plan = str(pruned.with_suffix(".json"))
        assert fork.call("is_masked", dense=str(last), pruned=str(pruned), plan=plan) < 2e-2

    @pytest.mark.slow
    def test_a_second_round_remembers_the_first(self, new, weights):
        last = weights(new, emptied=self.NORMS)
        assert new.prune("--weights", last, "--thres", 0.01, "--no-onnx")["code"] == 0
        once = last.with_name("pruned_auto.pt")
        assert new.prune("--weights", once, "--prob", 0.2, "--no-onnx", "--no-fold")["code"] == 0
        twice = last.with_name("pruned_2.pt")
        assert new.call("removed", path=str(twice)) == [[*self.BLOCKS], [[*self.BLOCKS], []]]
        plan = str(twice.with_suffix(".json"))
        assert new.call("is_masked", dense=str(once), pruned=str(twice), plan=plan) < 2e-2


@pytest.mark.slow
def test_val_says_what_each_step_costs(fork, weights, tmp_path):
    for part in ("images", "labels"):
        (tmp_path / "set" / part).mkdir(parents=True)
    noise = np.random.default_rng(0)
    for index in range(4):
        cv2.imwrite(str(tmp_path / f"set/images/{index}.png"), noise.integers(0, 255, (64, 64, 3), np.uint8))
        (tmp_path / f"set/labels/{index}.txt").write_text("0 0.5 0.5 0.5 0.5\n")
    data = tmp_path / "set" / "data.yaml"
    images = tmp_path / "set" / "images"
    data.write_text(f"train: {images}\nval: {images}\nnc: 1\nnames: [qr]\n")
    last = weights(fork)
    done = fork.prune(
        "--weights", last, "--prob", 0.3, "--no-onnx", "--data", data, "--val", "--json", "--recover", "statistics"
    )
    assert done["code"] == 0, done["err"]
    accuracy = json.loads(done["out"])["accuracy"]
    assert list(accuracy) == ["dense", "folded", "new statistics", "pruned, not folded"]
    assert all(list(found) == ["mAP50", "mAP50-95", "precision", "recall"] for found in accuracy.values())
    assert all(0 <= value <= 1 for found in accuracy.values() for value in found.values())


def test_messages_go_to_upstreams_logger(fork):
    """From v6.1 on it is the only one that reaches the console; before, it does so through the root logger."""
    assert fork.call("logger") == "yolov5"


class TestRefused:
    """One line on stderr, exit code 2, and nothing written."""

    def one_line(self, done, *words):
        assert (done["code"], done["out"]) == (2, "")
        lines = [line for line in done["err"].splitlines() if line.startswith("error: ")]
        assert len(lines) == 1, done["err"]
        assert all(word in lines[0] for word in words), lines[0]

    @pytest.mark.parametrize(
        ("options", "words"),
        [
            (("--prob", 1.0), "--prob 1.0"),
            (("--prob", -0.1), "--prob -0.1"),
            (("--thres", -1), "--thres -1.0"),
            (("--thres", "nan"), "--thres nan"),
            (("--prob", 0.5, "--thres", 0.1), "--prob and --thres: give one of them"),
            (("--rate", 0), "--rate 0"),
            (("--min-channels", 0), "min_channels is 0"),
            (("--imgsz", 0), "--imgsz 0: must be at least 1"),
            (("--cfg", "nowhere.yaml"), "--cfg nowhere.yaml: no such model YAML"),
            (("--data", "nowhere.yaml"), "nowhere.yaml"),
            (("--out", "small.onnx"), "--out small.onnx: must end in .pt"),
        ],
    )
    def test_options_out_of_range(self, new, weights, options, words):
        last = weights(new)
        self.one_line(new.prune("--weights", last, *options), words)
        assert names(last.parent) == ["last.pt"]

    def test_a_cfg_of_another_model(self, new, weights):
        other = new.package / "models/yolov5m.yaml"
        done = new.prune("--weights", weights(new), "--cfg", other)
        self.one_line(done, f"--cfg {other}: does not fit", "leave it out")

    def test_a_cfg_that_is_no_model(self, new, weights, tmp_path):
        (tmp_path / "odd.yaml").write_text("nc: 1\n")
        self.one_line(new.prune("--weights", weights(new), "--cfg", tmp_path / "odd.yaml"), "upstream cannot build it")

    def test_no_checkpoint(self, new, tmp_path):
        (tmp_path / "last.pt").write_bytes(b"not a checkpoint")
        self.one_line(new.prune("--weights", tmp_path / "last.pt"), "not a checkpoint that this fork can load")
        self.one_line(new.prune("--weights", tmp_path / "none.pt"), "no such checkpoint")


class TestTrust:
    """What a checkpoint or a data set brings along is not run."""

    @pytest.mark.parametrize(
        ("how", "named"), [("system", "system"), ("yaml", "it builds a"), ("layer", "asks for own_layers.Own")]
    )
    def test_a_checkpoint_is_read_and_not_run(self, fork, weights, tmp_path, how, named):
        last, flag = weights(fork), tmp_path / "ran"
        fork.call("poison", path=str(last), flag=str(flag), how=how)
        done = fork.prune("--weights", last, "--no-onnx")
        assert (done["code"], done["out"], flag.exists()) == (2, "", False)
        line = done["err"].splitlines()[-1]
        assert line.startswith(f"error: {last}: ")
        assert named in line
        assert "--trust" in line

    def test_a_layer_of_ones_own_loads_where_it_is_trusted(self, new, weights):
        last = weights(new)
        new.call("poison", path=str(last), flag="", how="layer")
        assert new.prune("--weights", last, "--no-onnx", "--trust")["code"] == 0

    def test_a_download_is_not_run(self, fork, weights, tmp_path):
        last, flag = weights(fork), tmp_path / "ran"
        cv2.imwrite(str(tmp_path / "0.png"), np.zeros((64, 64, 3), np.uint8))
        data = tmp_path / "data.yaml"
        data.write_text(
            f"train: {tmp_path}\nval: {tmp_path / 'nowhere'}\nnc: 1\nnames: [qr]\ndownload: bash -c 'touch {flag}'\n"
        )
        done = fork.prune("--weights", last, "--no-onnx", "--data", data, "--val")
        assert (done["code"], done["out"], flag.exists()) == (2, "", False)
        assert f"error: {data}: no images at {tmp_path / 'nowhere'} (`val:`); its `download:` is not run" in done["err"]


@pytest.mark.slow
def test_nothing_that_no_run_wrote_is_replaced(new, weights):
    last = weights(new)
    for name in ("pruned_5.pt", "before_pruning.png", "pruned_5.json"):
        mine = last.with_name(name)
        mine.write_bytes(b"mine")
        done = new.prune("--weights", last, "--no-onnx")
        assert (done["code"], mine.read_bytes()) == (2, b"mine")
        assert f"error: {mine}: is there, and " in done["err"]
        mine.unlink()
    assert new.prune("--weights", last, "--no-onnx")["code"] == 0
    again = new.prune("--weights", last, "--no-onnx")
    assert f"replaces {last.with_name('pruned_5.pt')}, which an earlier run wrote" in again["out"]


@pytest.mark.parametrize("version", [NEW, TAG])
@pytest.mark.slow
def test_on_the_command_line_from_another_folder(forks, weights, tmp_path, version):
    fork = forks(version)
    last = weights(fork)
    done = subprocess.run(
        [sys.executable, str(fork.root / "prune.py"), "--weights", str(last), "--prob", "0.5", "--no-onnx"],
        cwd=tmp_path,
        env=fork.environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert f"wrote {last.with_name('pruned_5.pt')}" in done.stdout
