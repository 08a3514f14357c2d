"""What a run of prune.py leaves: files that are whole, its own and no other's, and nothing of the user's replaced."""
# ruff: noqa: F811 - fixtures of another module are arguments here

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import onnx
import pytest
import torch

from slim.command import UltralyticsScript
from slim.script.interface import Files
from slim.writing.whole_files import part_of, scratch, sweep, whole
from tests.overlay.prune_script import script  # noqa: F401 - a fixture
from tests.overlay.test_command import export, files, load, prune, weights  # noqa: F401 - fixtures

NAMES = ["last-pruned-channels.png", "last-pruned-gamma.png", "last-pruned.json", "last-pruned.pt"]
# A process that may write files of so many bytes: as a disk that fills up, on every machine.
LIMITED = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({0}, {0}))"
# From the second export on, which is that of the pruned model; the dense one's would not fit either.
LATER = """
import resource, torch
real, seen = torch.onnx.export, []
def export(*arguments, **options):
    seen.append(1)
    if len(seen) == 2:
        resource.setrlimit(resource.RLIMIT_FSIZE, ({0}, {0}))
    return real(*arguments, **options)
torch.onnx.export = export
"""


class TestWhatIsReplaced:
    def refused(self, done, path):
        code, out, err = done
        assert (code, out) == (2, "")
        (line,) = [text for text in err.splitlines() if text.startswith("error: ")]
        assert line.startswith(f"error: {path}: is there, and ")
        assert line.endswith("--overwrite replaces it, --out names another place")

    @pytest.mark.parametrize("name", [*NAMES, "last-pruned.onnx"])
    def test_nothing_that_no_run_wrote(self, prune, weights, name):
        mine = weights.with_name(name)
        mine.write_bytes(b"mine")
        self.refused(prune("--weights", weights, "--ratio", 0.5), mine)
        assert (files(weights.parent), mine.read_bytes()) == (sorted([name, "last.pt"]), b"mine")

    def test_no_link_to_nothing(self, prune, weights):
        link = weights.with_name("last-pruned.pt")
        link.symlink_to("elsewhere.pt")
        self.refused(prune("--weights", weights, "--ratio", 0.5, "--no-onnx"), link)
        assert link.is_symlink()

    def test_but_a_dry_run_and_one_without_onnx_do_not_mind(self, prune, weights):
        mine = weights.with_name("last-pruned.onnx")
        mine.write_bytes(b"mine")
        for more in ("--dry-run", "--no-onnx"):
            code, out, _ = prune("--weights", weights, "--ratio", 0.5, more)
            assert code == 0
        assert mine.read_bytes() == b"mine"
        assert f"note: {mine} was there before, and is not of this model" in out

    def test_anything_where_it_is_asked_for(self, prune, weights):
        for name in NAMES:
            weights.with_name(name).write_bytes(b"mine")
        assert prune("--weights", weights, "--ratio", 0.5, "--no-onnx", "--overwrite")[0] == 0
        assert all(weights.with_name(name).read_bytes() != b"mine" for name in NAMES)

    def test_what_an_earlier_run_wrote_with_a_word(self, prune, weights):
        assert "replaces" not in prune("--weights", weights, "--ratio", 0.5, "--no-onnx")[1]
        code, out, _ = prune("--weights", weights, "--ratio", 0.4, "--no-onnx")
        assert code == 0
        assert f"replaces {weights.with_name('last-pruned.pt')}, which an earlier run wrote" in out

    def test_no_checkpoint_that_was_trained_since(self, prune, weights):
        """Training keeps the plan on the model, but not what says that prune.py wrote the file."""
        assert prune("--weights", weights, "--ratio", 0.5, "--no-onnx")[0] == 0
        pruned = weights.with_name("last-pruned.pt")
        found = torch.load(pruned, weights_only=False)
        assert found["model"].slim["keep"]
        torch.save({"epoch": 3, "model": found["model"], "train_args": found["train_args"]}, pruned)
        before = pruned.read_bytes()
        self.refused(prune("--weights", weights, "--ratio", 0.5, "--no-onnx"), pruned)
        assert pruned.read_bytes() == before

    def test_no_plan_that_was_edited_since(self, prune, weights):
        assert prune("--weights", weights, "--ratio", 0.5, "--no-onnx")[0] == 0
        plan = weights.with_name("last-pruned.json")
        edited = {**json.loads(plan.read_text()), "notes": ["mine"]}
        plan.write_text(json.dumps(edited))
        self.refused(prune("--weights", weights, "--ratio", 0.4, "--no-onnx"), plan)
        assert json.loads(plan.read_text()) == edited
        assert prune("--weights", weights, "--plan", plan, "--no-onnx")[0] == 0  # as it is what is applied
        assert json.loads(plan.read_text())["keep"] == edited["keep"]

    def test_no_other_plan_at_plan_out(self, prune, weights, tmp_path):
        plan = tmp_path / "p.json"
        for _ in range(2):
            assert prune("--weights", weights, "--ratio", 0.5, "--dry-run", "--plan-out", plan)[0] == 0
        before = plan.read_bytes()
        code, _, err = prune("--weights", weights, "--ratio", 0.4, "--dry-run", "--plan-out", plan)
        assert (code, plan.read_bytes()) == (2, before)
        assert f"--plan-out {plan}: is there with other contents; --overwrite replaces it" in err
        again = prune("--weights", weights, "--ratio", 0.4, "--dry-run", "--plan-out", plan, "--overwrite")
        assert (again[0], plan.read_bytes() == before) == (0, False)


def test_only_what_this_run_wrote_is_listed(prune, weights):
    out = weights.with_name("run1.pt")
    for name in ("run12.pt", "run1-notes.txt", "run1.yaml", "run12.json"):
        out.with_name(name).write_text("mine")
    _, said, _ = prune("--weights", weights, "--ratio", 0.5, "--no-onnx", "--out", out)
    listed = said[said.index("wrote ") :].splitlines()
    names = ["run1-channels.png", "run1-gamma.png", "run1.json"]
    assert listed == [f"wrote {out}, and beside it:", *(f"  {out.with_name(name)}" for name in names)]


@pytest.mark.slow
def test_upstreams_strictest_loader_opens_it(script, prune, weights):
    assert prune("--weights", weights, "--ratio", 0.5, "--no-onnx")[0] == 0
    pruned = weights.with_name("last-pruned.pt")
    again = script(*("--weights", pruned, "--ratio", 0.3), ULTRALYTICS_SAFE_LOAD="true")
    _, err = again.communicate(timeout=300)
    assert again.returncode == 0, err
    assert onnx.load(weights.with_name("last-pruned-pruned.onnx")).graph.output


class TestFullDisk:
    """The file is named, the code is 2, and nothing that is not whole lies under a final name."""

    @pytest.mark.skipif(os.name == "nt", reason="there is no RLIMIT_FSIZE")
    @pytest.mark.parametrize(
        ("limit", "room", "named", "left"),
        [
            (LIMITED, 20_000, "last-pruned.pt: cannot be written: File too large", []),
            (LATER, 100_000, "the checkpoint is written, but not the ONNX file", NAMES),
        ],
    )
    def test_leaves_what_is_whole(self, script, weights, limit, room, named, left):
        done = script("--weights", weights, "--ratio", 0.5, before=limit.format(room))
        out, err = done.communicate(timeout=300)
        assert (done.returncode, "wrote" in out) == (2, False), err
        assert err.splitlines()[-1].startswith("error: ")
        assert named in err.splitlines()[-1]
        assert "Traceback" not in err
        assert files(weights.parent) == sorted(["last.pt", *left])
        if left:
            assert load(weights.with_name("last-pruned.pt"))

    def test_an_export_that_is_cut_off_does_not_land(self, weights, capfd):
        from slim.command import Line, main

        def cut(path, imgsz):
            whole_ = export(path, imgsz)
            if "pruned" in path.name:
                whole_.write_bytes(whole_.read_bytes()[:-50_000])
            return whole_

        assert main(Line(load=load, export=cut), ["--weights", str(weights), "--ratio", "0.5"]) == 2
        last = capfd.readouterr().err.splitlines()[-1]
        assert last.startswith(f"error: {weights.with_name('last-pruned.onnx')}: ONNX Runtime cannot load it")
        assert files(weights.parent) == sorted(["last.pt", *NAMES])

    def test_a_result_of_before_goes_with_its_export(self, prune, weights, capfd):
        """Or else the new checkpoint would lie beside the old one's ONNX file."""
        from slim.command import Line, main

        assert prune("--weights", weights, "--ratio", 0.3)[0] == 0

        def failing(*_):
            raise RuntimeError("no room")

        assert main(Line(load=load, export=failing), ["--weights", str(weights), "--ratio", "0.5"]) == 2
        assert "no room" in capfd.readouterr().err
        assert files(weights.parent) == sorted(["last.pt", *NAMES])

    def test_a_folder_that_cannot_be_made(self, prune, weights, tmp_path):
        (tmp_path / "file").write_text("")
        out = tmp_path / "file" / "x.pt"
        code, _, err = prune("--weights", weights, "--ratio", 0.5, "--no-onnx", "--out", out)
        assert code == 2
        assert err.splitlines()[-1].startswith(f"error: {out}: ")


class TestLeftovers:
    def dead(self):
        """Return the id of a process that is gone."""
        gone = subprocess.Popen([sys.executable, "-c", ""])
        gone.wait()
        return gone.pid

    def test_of_killed_runs_go_with_the_next_one(self, prune, weights):
        out, pid = weights.with_name("last-pruned.pt"), self.dead()
        out.with_name(f".{out.name}-{pid}.part").write_text("of an earlier release")
        (folder := out.with_name(f".{out.name}-{pid}0000.part")).mkdir()
        (folder / "x").write_text("")
        assert prune("--weights", weights, "--ratio", 0.5, "--no-onnx")[0] == 0
        assert files(weights.parent) == sorted(["last.pt", *NAMES])

    def test_of_runs_that_go_on_and_of_other_files_stay(self, tmp_path):
        kept = [f".x.pt-{os.getppid()}.part", f".xx.pt-{self.dead()}.part", f".x.pt-{self.dead()}", ".x.pt-me.part"]
        for name in kept:
            (tmp_path / name).write_text("")
        sweep(tmp_path / "x.pt")
        assert files(tmp_path) == sorted(kept)

    def test_in_the_systems_temporary_folder_too(self, tmp_path, monkeypatch):
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
        for name in (f"slim-{self.dead()}-abc", f"slim-{os.getppid()}-abc", "slim-mine", "other"):
            (tmp_path / name).mkdir()
        with scratch() as folder:
            assert files(tmp_path) == sorted(["other", f"slim-{os.getppid()}-abc", "slim-mine", Path(folder).name])
        assert files(tmp_path) == sorted(["other", f"slim-{os.getppid()}-abc", "slim-mine"])

    def test_a_name_as_long_as_can_be_has_room_for_the_other_one(self, tmp_path):
        path = tmp_path / ("γ" * 126 + ".pt")
        with whole(path) as part:
            assert part == part_of(path)
            part.write_bytes(b"x")
        assert files(tmp_path) == [path.name]


def test_the_pictures_are_called_what_they_are_drawn_as(prune, weights):
    assert prune("--weights", weights, "--ratio", 0.5, "--no-onnx")[0] == 0
    script = UltralyticsScript(load=load, export=export)
    assert all(path.is_file() for path in script.plots(Files(weights.with_name("last-pruned.pt"))))
