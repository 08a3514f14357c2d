"""What `import slim` offers, as one uses it in a notebook."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

import slim

OVERLAY = Path(__file__).parents[2] / "overlay"


def network():
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 16, 3, bias=False), nn.BatchNorm2d(16), nn.ReLU(), nn.Conv2d(16, 4, 1)]
    model = nn.Sequential(*layers).eval()
    model[1].weight.data.uniform_(0.1, 1)
    return model


def test_a_network_is_pruned_in_three_lines():
    model, masked = network(), network()
    channels = slim.analyse(model)
    plan = slim.make_plan(model, channels, ratio=0.5)
    assert slim.apply_plan(model, plan, channels) == []
    slim.mask_plan(masked, plan, fold=True)
    image = torch.rand(2, 3, 8, 8)
    assert model[0].out_channels == 8
    assert torch.allclose(model(image), masked(image), atol=1e-6)


@pytest.mark.parametrize("name", slim.__all__)
def test_every_name_is_there_and_says_what_it_is(name):
    assert getattr(slim, name).__doc__


def test_what_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="'slim' has no attribute 'slimming'"):
        _ = slim.slimming


def test_the_package_itself_imports_nothing_of_the_engine():
    code = "import sys, slim; print(sorted(name for name in sys.modules if name.startswith(('slim.', 'torch'))))"
    done = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONPATH": str(OVERLAY)}, capture_output=True, check=True
    )
    assert done.stdout.strip() == b"[]"
