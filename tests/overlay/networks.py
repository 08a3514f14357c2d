"""Stock ultralytics models to prune, and what a proof compares of them."""

from __future__ import annotations

import copy
import functools
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from slim.analysis.channels import Channels, analyse
from slim.labels.tracked import tensors

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def randomise(model: nn.Module, seed: int = 0) -> nn.Module:
    """Give every BatchNorm scales, shifts and statistics that let no error hide; return the model in eval mode."""
    generator = torch.Generator().manual_seed(seed)
    for norm in model.modules():
        if isinstance(norm, nn.BatchNorm2d):
            size = norm.num_features
            norm.weight.data = torch.rand(size, generator=generator)
            norm.bias.data = torch.rand(size, generator=generator) - 0.5
            norm.running_mean = torch.rand(size, generator=generator) - 0.5
            norm.running_var = torch.rand(size, generator=generator) + 0.5
    return model.eval()


@functools.cache
def _stock(name: str) -> tuple[nn.Module, Channels]:
    from ultralytics import YOLO

    torch.manual_seed(0)
    model = randomise(YOLO(f"{name}.yaml", verbose=False).model)
    return model, analyse(model)


def stock(name: str) -> tuple[Any, Channels]:
    """Return a fresh copy of a stock model with random weights, and its channels."""
    model, channels = _stock(name)
    return copy.deepcopy(model), channels


def run(model: Callable[[Tensor], Any], image: Tensor) -> list[Tensor]:
    """Return all tensors a model gives out, in order."""
    with torch.no_grad():
        return tensors(model(image))


def photo(side: int = 64, batch: int = 1) -> Tensor:
    """Return noise, shape (batch, 3, side, side), the same every time."""
    return torch.rand(batch, 3, side, side, generator=torch.Generator().manual_seed(1))


def audible(output: Tensor) -> Tensor:
    """Leave out the channels of a feature map, (B, C, H, W), that say nothing."""
    return output[:, output.abs().amax((0, 2, 3)) > 0]


def assert_same(pruned: list[Tensor], masked: list[Tensor], atol: float = 1e-4) -> None:
    """Demand equal outputs; a feature map may lack channels that the other has silenced."""
    assert len(pruned) == len(masked) > 0
    for ours, theirs in zip(pruned, masked):
        if ours.shape == theirs.shape:
            torch.testing.assert_close(ours, theirs, atol=atol, rtol=1e-5)
        else:
            torch.testing.assert_close(audible(ours), audible(theirs), atol=atol, rtol=1e-5)


def differ(ours: list[Tensor], theirs: list[Tensor]) -> bool:
    """Whether two lists of outputs are much further apart than a proof allows."""
    return any(a.shape == b.shape and not torch.allclose(a, b, atol=5e-3) for a, b in zip(ours, theirs))


def run_elsewhere(code: str, folder: Path) -> None:
    """Run code in a folder, with stock packages alone, and demand that it ends well."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
