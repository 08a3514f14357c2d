"""What the scales of a model say: is it sparse, where is the cliff, what is the largest ratio before it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch

from slim.pruning.advice import advise, doubts, table
from slim.pruning.plan import make_plan
from tests.overlay.networks import stock

if TYPE_CHECKING:
    from slim.analysis.channels import Channels


def scaled(share: float, *, near: float = 0.0, alive: tuple[float, float] = (0.3, 1.2), name: str = "yolov8n") -> Any:
    """Return a model of which this share of each BatchNorm is at most `near`, the others between two numbers."""
    model, channels = stock(name)
    generator = torch.Generator().manual_seed(3)
    for norm in channels.norms:
        size = model.get_submodule(norm).num_features
        scales = alive[0] + (alive[1] - alive[0]) * torch.rand(size, generator=generator)
        small = torch.rand(size, generator=generator) < share
        scales[small] = near * torch.rand(int(small.sum()), generator=generator)
        model.get_submodule(norm).weight.data = scales
    return model, channels


def lost(model: Any, channels: Channels, ratio: float) -> list[float]:
    """Return the scales that go at a ratio."""
    plan = make_plan(model, channels, ratio=ratio)
    gone = {name: set(range(plan.widths[name])) - set(keep) for name, keep in plan.keep.items()}
    return [abs(model.get_submodule(name).weight[i].item()) for name in channels.norms for i in sorted(gone[name])]


@pytest.mark.parametrize("name", ["yolov8n", "yolo11n", "yolov5n"])
@pytest.mark.parametrize(
    "near", [0.0, 1e-3, 0.01]
)  # soft-thresholded to zero, or hovering about it as a subgradient does
@pytest.mark.parametrize("share", [0.2, 0.6, 0.9])
def test_the_cliff_is_where_scales_stop_being_near_zero(name: str, near: float, share: float) -> None:
    model, channels = scaled(share, near=near, name=name)
    found = advise(model, channels)
    assert found.sparse
    assert found.cliff <= near
    assert 0.3 < found.median < 1.2


def test_the_largest_ratio_is_the_last_that_costs_nothing_alive() -> None:
    model, channels = scaled(0.8, near=0.005)
    found = advise(model, channels)
    assert found.ratio > 0.3
    assert max(lost(model, channels, found.ratio)) <= found.cliff
    assert max(lost(model, channels, found.ratio + 0.01)) > 0.3


@pytest.mark.parametrize("alive", [(0.9, 1.3), (0.0, 1.0), (1.0, 1.0)])  # a dense run's, uniform, and untrained
def test_a_model_that_was_not_trained_sparse_has_no_cliff(alive: tuple[float, float]) -> None:
    found = advise(*scaled(0.0, alive=alive))
    assert (found.sparse, found.cliff, found.ratio) == (False, 0.0, 0.0)
    assert table(found)[-1].startswith("no scale is near zero beside the others")


def test_a_plan_for_it_is_doubted_whatever_it_drops() -> None:
    model, channels = scaled(0.0)
    (said,) = doubts(advise(model, channels), model, channels, make_plan(model, channels, ratio=0.05))
    assert said.endswith("go, and none of this model is near zero: it was not trained sparse")
    assert doubts(advise(model, channels), model, channels, make_plan(model, channels, ratio=0.0)) == []


def test_a_plan_is_doubted_from_the_cliff_on() -> None:
    model, channels = scaled(0.8, near=0.005)
    found = advise(model, channels)
    assert doubts(found, model, channels, make_plan(model, channels, ratio=found.ratio)) == []
    assert doubts(found, model, channels, make_plan(model, channels, threshold=0.005)) == []
    (said,) = doubts(found, model, channels, make_plan(model, channels, ratio=0.95))
    assert "scales that go are not near zero, up to |γ| " in said
    assert said.endswith(f"and {found.ratio:.4f} the largest share before it")


def test_every_layer_has_a_line() -> None:
    model, channels = scaled(0.5)
    model.model[0].bn.weight.data = torch.tensor([0.0] * 4 + [0.5] * 8 + [2.0] * 4)
    found = advise(model, channels)
    first = found.layers[0]
    assert (first.name, first.channels, first.lowest, first.median, first.highest) == ("model.0.bn", 16, 0.0, 0.5, 2.0)
    assert first.below == 0.25
    assert advise(model, channels, threshold=0.5).layers[0].below == 0.75
    lines = table(found)
    assert lines[1].split() == ["model.0.bn", "16", "0.0000", "0.5000", "2.0000", "25%"]
    assert len(lines) == 1 + len(found.layers) + 2
    assert {layer.name for layer in found.layers} == {name for name in channels.norms if any(channels.prunable(name))}
