"""A pruned checkpoint in real forks: every way in which a model reaches the trainer keeps its architecture."""

from __future__ import annotations

import pytest

from tests.forks.conftest import NEW, TINY, StepError


@pytest.fixture
def shapes(fork):
    """Shapes of the pruned checkpoint."""
    return fork.facts(fork.pruned)["shapes"]


def same(now, before):
    """Return the tensors whose shapes changed."""
    return {name for name in now.keys() | before.keys() if now.get(name) != before.get(name)}


class TestFineTuning:
    def test_through_the_model(self, fork, shapes):
        """Method 2 of the write-up: `YOLO(...).train()` hands the model over."""
        tuned = fork.train(fork.pruned, "tuned", epochs=2, watch=True)
        assert same(tuned["shapes"], shapes) == set()
        assert tuned["digest"] != fork.facts(fork.pruned)["digest"]
        assert [name for name in tuned["trainable"] if ".dfl." in name] == []
        assert len(tuned["trainable"]) > 50
        assert tuned["ema"] == shapes

    def test_through_the_trainer(self, fork, shapes):
        """Method 1: `setup_model` loads the checkpoint itself, as for several GPUs and for resume."""
        tuned = fork.train(fork.pruned, "setup", through="trainer")
        assert same(tuned["shapes"], shapes) == set()
        assert tuned["ema"] == shapes

    def test_again_in_a_second_round(self, fork):
        tuned = fork.train(fork.pruned, "round", sparsity=0.01)
        smaller = str(fork.work / "smaller.pt")
        assert fork.call("prune", weights=tuned["last"], out=smaller, options=["--ratio", "0.3", "--no-onnx"]) == 0
        twice = fork.facts(smaller)
        assert twice["parameters"] < tuned["parameters"]
        assert same(fork.train(smaller, "round-2")["shapes"], twice["shapes"]) == set()

    def test_after_being_cut_off(self, fork, shapes):
        cut = fork.train(fork.pruned, "cut", epochs=3, sparsity=0.02, stop_after=0)
        assert "strength" not in cut
        resumed = fork.call("resume", weights=cut["last"])
        assert same(resumed["shapes"], shapes) == set()
        assert (resumed["strength"], resumed["epochs"]) == (0.02, 3)

    def test_in_the_second_process_of_several_gpus(self, fork, shapes):
        """Upstream writes a file for it; here it runs alone, on a CPU."""
        file = fork.call("ddp_file", weights=str(fork.pruned), name="ddp", data=fork.one, sparsity=0.03)
        done = fork.run(file)
        assert done.returncode == 0, done.stderr[-3000:]
        run = fork.work / "runs" / "ddp"
        assert "sparsity: 0.03\n" in (run / "args.yaml").read_text()
        assert "slim: sparsity 0.03" in done.stdout + done.stderr
        assert same(fork.facts(run / "weights" / "last.pt")["shapes"], shapes) == set()


class TestOtherClasses:
    def test_of_a_pruned_model_only_the_class_outputs_change(self, fork, shapes):
        tuned = fork.train(fork.pruned, "three", data=fork.three)
        changed = same(tuned["shapes"], shapes)
        assert changed
        assert all(".cv3." in name and name.endswith((".2.weight", ".2.bias")) for name in changed)
        assert all(tuned["shapes"][name][0] == 3 for name in changed)
        assert (tuned["nc"], tuned["names"]) == (3, {"0": "finder", "1": "timing", "2": "data"})

    def test_of_a_pruned_model_through_the_trainer(self, new):
        tuned = new.train(new.pruned, "three-setup", data=new.three, through="trainer")
        assert tuned["nc"] == 3
        assert tuned["parameters"] < new.dense["parameters"]

    def test_of_an_unpruned_model_is_upstreams_business(self, fork):
        tuned = fork.train(fork.dense["last"], "dense-three", data=fork.three)
        assert tuned["nc"] == 3
        outputs = same(tuned["shapes"], fork.dense["shapes"])
        assert outputs
        assert all(".cv3." in name for name in outputs)


class TestGreyPictures:
    def test_of_a_pruned_model_only_the_first_convolution_changes(self, new):
        tuned = new.train(new.pruned, "grey", data=new.grey)
        shapes = new.facts(new.pruned)["shapes"]
        assert same(tuned["shapes"], shapes) == {"model.0.conv.weight"}
        assert tuned["shapes"]["model.0.conv.weight"][1] == 1
        assert tuned["ema"] == tuned["shapes"]

    def test_of_an_unpruned_model_are_upstreams_business(self, new):
        tuned = new.train(new.dense["last"], "grey-dense", data=new.grey)
        assert same(tuned["shapes"], new.dense["shapes"]) == {"model.0.conv.weight"}


class TestUse:
    def test_validates(self, fork):
        metrics = fork.call("validate", weights=str(fork.pruned), data=fork.one)
        assert {"metrics/mAP50(B)", "fitness"} <= metrics.keys()

    def test_exports_to_the_same_function(self, fork):
        assert fork.call("export", weights=str(fork.pruned)) < 1e-3

    def test_unpatched_upstream_loads_it_and_computes_the_same(self, fork):
        ours, theirs = (tree.call("outputs", weights=str(fork.pruned)) for tree in (fork, fork.pristine))
        assert fork.pristine.call("where") == {
            "root": str(fork.pristine.root),
            "version": fork.version,
            "slim": False,
        }
        assert fork.call("where")["version"] == f"{fork.version}+slim1"
        assert ours == theirs
        fork.pristine.call("predict", weights=str(fork.pruned))

    @pytest.mark.parametrize("first", ["val", "predict"])
    def test_trains_after_it_was_used(self, fork, shapes, first):
        """Early releases fold BatchNorms in the very model: then the checkpoint has to be loaded anew, and says so."""
        arguments = {"weights": str(fork.pruned), "name": f"after-{first}", "data": fork.one, "first": first}
        if fork.version == NEW:
            assert same(fork.call("after", **arguments)["shapes"], shapes) == set()
        else:
            with pytest.raises(StepError, match=r"folded this pruned model's BatchNorms: load its \.pt anew"):
                fork.call("after", **arguments)

    @pytest.mark.slow
    def test_an_unpruned_model_that_was_used_trains_as_upstream_has_it(self, old):
        ours = old.call("after", weights=old.dense["last"], name="used", data=old.one, first="predict")
        assert ours["shapes"] == old.dense["shapes"]


@pytest.fixture(scope="module")
def end_to_end(new):
    """A pruned detector with YOLO26's kind of head."""
    text = TINY.read_text().replace("nc: 1\n", "nc: 1\nend2end: True\nreg_max: 1\n")
    (new.work / "tiny26.yaml").write_text(text)
    sparse = new.train(new.work / "tiny26.yaml", "sparse26", optimizer="MuSGD", sparsity=0.5)
    out = str(new.work / "pruned26.pt")
    assert new.call("prune", weights=sparse["last"], out=out, options=["--ratio", "0.4", "--no-onnx"]) == 0
    return out


class TestEndToEnd:
    """YOLO26's kind of head, which has every branch twice and no integral over distances."""

    def test_is_fine_tuned_and_resumed(self, new, end_to_end):
        before = new.facts(end_to_end)["shapes"]
        cut = new.train(end_to_end, "cut26", epochs=2, optimizer="MuSGD", stop_after=0)
        assert same(cut["shapes"], before) == set()
        resumed = new.call("resume", weights=cut["last"])
        assert (same(resumed["shapes"], before), resumed["epochs"]) == (set(), 2)

    def test_gets_other_classes_in_both_branches(self, new, end_to_end):
        tuned = new.train(end_to_end, "three26", data=new.three)
        changed = same(tuned["shapes"], new.facts(end_to_end)["shapes"])
        assert {name.split(".")[2] for name in changed} == {"cv3", "one2one_cv3"}

    def test_exports_to_the_same_function(self, new, end_to_end):
        assert new.call("export", weights=end_to_end) < 1e-3
