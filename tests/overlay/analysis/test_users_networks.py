"""Detectors as users build them come out right, and as much of them may be pruned as can be."""

from __future__ import annotations

import copy
from functools import partial
from typing import Any, Callable

import pytest
import torch

from slim.analysis.channels import Channels, analyse
from slim.pruning.apply import apply_plan, mask_plan
from slim.pruning.plan import make_plan
from tests.overlay import users_networks as nets
from tests.overlay.networks import assert_same, differ, randomise, run

WHOLE: dict[str, Callable[[], Any]] = {
    **{
        name: partial(nets.backbone_of, name)
        for name in (
            *("resnet18", "resnet50", "mobilenet_v2", "mobilenet_v3_small", "efficientnet_b0", "shufflenet_v2_x1_0"),
            *("mnasnet0_5", "vgg11_bn", "convnext_tiny"),
        )
    },
    **{kind.__name__: partial(nets.block, kind) for kind in (nets.ConvNeXtBN, nets.RepBlock)},
    **{kind.__name__: partial(nets.fused, kind) for kind in (nets.Fusion, nets.StackedFusion, nets.ASFF)},
    "ScaledConcat": partial(nets.fused, nets.ScaledConcat, 2),
    "two inputs": nets.two_inputs,
}
LARGE = {"vgg11_bn", "resnet50", "mnasnet0_5", "convnext_tiny"}
PART = {kind.__name__: partial(nets.block, kind) for kind in (nets.ConvNeXt, nets.WindowAttention, nets.Swin)}


def prove(model: Any, channels: Channels, inputs: int) -> None:
    """Demand that pruned is masked, at two sizes, for plans that leave uneven layers."""
    for seed, round_to in ((0, 1), (1, 8)):
        full = randomise(copy.deepcopy(model), seed)
        plan = make_plan(full, channels, ratio=0.4, round_to=round_to)
        pruned, masked = copy.deepcopy(full), copy.deepcopy(full)
        apply_plan(pruned, plan, channels, fold=False)
        mask_plan(masked, plan, channels)
        for shape in ((2, inputs, 64, 64), (1, inputs, 96, 64)):
            image = torch.rand(shape, generator=torch.Generator().manual_seed(1))
            said = run(masked, image)
            assert_same(run(pruned, image), said, atol=1e-4 * max(1.0, float(said[0].abs().max())))
        assert differ(run(full, image), said), "the mask must matter"


@pytest.mark.parametrize(
    "make",
    [pytest.param(make, id=name, marks=pytest.mark.slow if name in LARGE else ()) for name, make in WHOLE.items()],
)
def test_every_batchnorm_channel_may_go(make: Callable[[], Any]) -> None:
    model = make()
    channels = analyse(model)
    assert channels.reasons() == {}
    prove(model, channels, 6 if make is nets.two_inputs else 3)


@pytest.mark.parametrize("make", PART.values(), ids=PART)
def test_a_layer_norm_keeps_its_own_channels_alone(make: Callable[[], Any]) -> None:
    model = make()
    channels = analyse(model)
    assert set(channels.reasons()) == {"model.4.cv2.bn"}
    assert "native_layer_norm" in channels.reasons()["model.4.cv2.bn"]
    prove(model, channels, 3)
