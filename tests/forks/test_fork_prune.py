"""`prune.py` of real forks, as its user runs it. What it refuses is shown in tests/overlay/test_command.py."""

from __future__ import annotations

import json
import re

import onnx
import pytest

from tests.forks.conftest import StepError


def test_one_json_document_and_everything_beside_the_checkpoint(fork):
    rows = fork.report["rows"]
    assert set(rows) == {"parameters", "gflops", "pt_bytes", "onnx_bytes", "latency_ms"}
    assert rows["parameters"]["ratio"] > 1.5
    beside = {path.name for path in fork.pruned.parent.glob("pruned[.-]*")}
    assert beside == {"pruned.pt", "pruned.json", "pruned.onnx", "pruned-gamma.png", "pruned-channels.png"}


def test_the_checkpoint_says_where_it_came_from(fork):
    plan = json.loads(fork.pruned.with_suffix(".json").read_text())
    assert (plan["ratio"], plan["round_to"]) == (0.5, 4)
    facts = fork.facts(fork.pruned)
    assert facts["parameters"] < fork.dense["parameters"]
    assert facts["names"] == fork.dense["names"]


def test_boxes_are_decoded_with_a_softmax_over_the_last_axis(fork):
    (softmax,) = (node for node in onnx.load(fork.pruned.with_suffix(".onnx")).graph.node if node.op_type == "Softmax")
    assert next(a.i for a in softmax.attribute if a.name == "axis") in {-1, 3}
    assert fork.call("export", weights=str(fork.pruned)) < 1e-3


def test_what_cannot_be_done_is_one_line(fork, tmp_path):
    done = fork.run(fork.root / "prune.py", "--weights", tmp_path / "none.pt", "--ratio", 0.5)
    assert (done.returncode, done.stdout) == (2, "")
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("error: ")
    assert "none.pt: no such checkpoint" in last
    assert "Traceback" not in done.stderr


def test_a_plan_of_another_model_is_refused_by_the_layer(fork):
    options = ["--plan", str(fork.pruned.with_suffix(".json"))]
    out = fork.work / "never.pt"
    assert fork.call("prune", weights=str(fork.pruned), out=str(out), options=options) == 2
    log = (fork.work / "log").read_text()
    refusal = [line for line in log.splitlines() if line.startswith("error: ")][-1]
    assert re.search(r"the plan is for another model: model\.\d+\.conv has", refusal)
    assert not out.exists()


def test_a_model_under_a_tenth_of_a_megabyte_exports(new):
    out = new.work / "smallest.pt"
    assert new.call("prune", weights=new.dense["last"], out=str(out), options=["--ratio", "0.95"]) == 0
    assert 0 < out.with_suffix(".onnx").stat().st_size < 1e5
    assert new.call("export", weights=str(out)) < 1e-3

    with pytest.raises(StepError, match="output model too small"):
        new.pristine.call("export", weights=str(out))
