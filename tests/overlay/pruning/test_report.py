"""What a reader learns of a model before any plan is made."""

from __future__ import annotations

import json

import pytest
import torch
from torch import nn

from slim.analysis.channels import analyse
from slim.command import Line
from slim.command import main as command
from slim.pruning.report import report
from slim.writeup import WriteUpScript
from slim.writeup import main as writeup
from tests.overlay import small
from tests.overlay.networks import stock


def test_a_row_for_each_operator_that_froze_channels() -> None:
    model = small.Sorted()
    found = report(model, analyse(model))
    assert (found.batchnorm_channels, found.prunable) == (16, 0)
    rows = {row.reason: row for row in found.frozen}
    row = rows["sort in the model"]
    assert (row.operator, row.layer, row.layers) == ("sort", "the model", {"stem.0": 16, "stem.1": 16})
    assert (row.batchnorm_channels, row.parameters) == (16, 16 * 27 + 32)


def test_layers_without_a_batchnorm_are_one_row() -> None:
    model, channels = stock("yolov8n")
    (row,) = report(model, channels).frozen
    assert row.reason == "no BatchNorm after the layer"
    assert row.batchnorm_channels == 0
    heads = {f"model.22.cv{branch}.{level}.2" for branch in (2, 3) for level in range(3)}
    assert set(row.layers) == {*heads, "model.22.dfl.conv"}


def test_it_counts_every_batchnorm_of_the_model() -> None:
    model, channels = stock("yolov8n")
    found = report(model, channels)
    norms = [m.num_features for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    assert found.batchnorm_channels == found.prunable == sum(norms)
    assert found.parameters == sum(p.numel() for p in model.parameters())


def test_what_no_pass_reached_is_named() -> None:
    net = small.Residual()
    net.spare = nn.Conv2d(4, 4, 1)
    found = report(net, analyse(net))
    assert found.unreached == ("spare",)
    assert found.lines()[-1] == "no forward pass reached: spare"


def opened(path):
    return torch.load(path, weights_only=False), {}


class Opened(WriteUpScript):
    def load(self, path):
        return opened(path)


PLAIN = Line(load=opened, export=lambda path, _: path)


@pytest.mark.parametrize(("main", "script"), [(command, PLAIN), (writeup, Opened(package="ultralytics"))])
def test_both_scripts_print_it_without_an_amount_and_write_nothing(main, script, tmp_path, capfd) -> None:
    weights = tmp_path / "last.pt"
    torch.save(small.Sorted(), weights)
    trusted = ["--weights", str(weights), "--report", "--trust"]  # its classes are of the tests
    assert main(script, trusted) == 0
    shown = capfd.readouterr().out.splitlines()
    assert shown[0] == "BatchNorm channels: 16; 0 (0.0%) can be pruned, 16 stay"
    assert [line.split()[:4] for line in shown[3:]] == [["sort", "in", "the", "model"]]
    assert main(script, [*trusted, "--json"]) == 0
    told = json.loads(capfd.readouterr().out)
    assert told["frozen"][1]["layers"] == {"stem.0": 16, "stem.1": 16}
    assert list(tmp_path.iterdir()) == [weights]


def test_no_checkpoint_is_one_line(tmp_path, capfd) -> None:
    assert command(PLAIN, ["--weights", str(tmp_path / "none.pt"), "--report"]) == 2
    assert capfd.readouterr().err.startswith(f"error: {tmp_path / 'none.pt'}: no such checkpoint")
