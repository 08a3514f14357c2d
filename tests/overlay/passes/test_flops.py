from __future__ import annotations

import pytest
import torch
from torch import nn

from slim.passes.flops import count_flops


@pytest.mark.parametrize(
    ("layer", "multiply_adds"),
    [
        (nn.Conv2d(3, 8, 3, padding=1), 32 * 32 * 8 * 3 * 9),
        (nn.Conv2d(3, 8, 3, stride=2, padding=1), 16 * 16 * 8 * 3 * 9),
        (nn.Sequential(nn.Conv2d(3, 8, 1), nn.Conv2d(8, 8, 3, padding=1, groups=8)), 32 * 32 * (3 * 8 + 8 * 9)),
        (nn.Sequential(nn.Conv2d(3, 8, 1), nn.ConvTranspose2d(8, 4, 2, stride=2)), 32 * 32 * (24 + 8 * 4 * 4)),
        (nn.Sequential(nn.Conv2d(3, 1, 1), nn.Flatten(), nn.Linear(1024, 10)), 32 * 32 * 3 + 10240),
    ],
    ids=["conv", "stride", "depthwise", "transposed", "linear"],
)
def test_counts_two_operations_a_multiply_add(layer: nn.Module, multiply_adds: int) -> None:
    assert count_flops(layer, 32) == 2 * multiply_adds


class _Attention(nn.Module):
    def __init__(self, *, fused: bool) -> None:
        super().__init__()
        self.stem, self.fused = nn.Conv2d(3, 8, 1), fused

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        tokens = self.stem(x).flatten(2).transpose(1, 2)
        if self.fused:
            return nn.functional.scaled_dot_product_attention(tokens[None], tokens[None], tokens[None])
        return (tokens @ tokens.transpose(1, 2)).softmax(-1) @ tokens


@pytest.mark.parametrize("fused", [False, True])
def test_counts_both_products_of_attention(fused: bool) -> None:
    tokens = 16 * 16
    assert count_flops(_Attention(fused=fused), 16) == 2 * (tokens * 24 + 2 * tokens * tokens * 8)


def test_agrees_with_torch_and_with_what_upstream_prints_for_yolov8n() -> None:
    counter = pytest.importorskip("torch.utils.flop_counter")  # torch >= 2.1
    from ultralytics.nn.tasks import DetectionModel

    model = DetectionModel("yolov8n.yaml", verbose=False).eval()
    with torch.no_grad(), counter.FlopCounterMode(display=False) as reference:
        model(torch.zeros(1, 3, 640, 640))

    counted = count_flops(model, 640)

    assert counted == reference.get_total_flops()
    assert counted / 1e9 == pytest.approx(8.7, abs=0.15)  # the model page's figure


def test_leaves_the_model_as_it_was() -> None:
    from ultralytics.nn.tasks import DetectionModel

    model = DetectionModel("yolov8n.yaml", verbose=False).train()
    head = model.model[-1]
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    attributes = dict(vars(head))

    count_flops(model, 64)

    assert all(module.training for module in model.modules())
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert vars(head).keys() == attributes.keys()
    assert all(vars(head)[name] is value for name, value in attributes.items())
