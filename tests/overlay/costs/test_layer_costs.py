"""What a plan costs, without surgery: the very numbers that are counted on the model after it."""

from __future__ import annotations

import copy
import math
from itertools import chain

import pytest
import torch
from torch import nn

from slim.analysis.channels import analyse
from slim.costs.layer_costs import Costs, penalty_weights
from slim.costs.measure import count_parameters
from slim.passes.flops import count_flops, operations
from slim.pruning.apply import apply_plan
from slim.pruning.plan import make_plan
from slim.pruning.validate import lost_groups
from tests.overlay import small
from tests.overlay.networks import randomise, stock

IMGSZ = 160
MODELS = ["yolov8n", "yolo11n", "yolo12n", "yolo26n", "yolov5nu"]


def counted(model, imgsz):
    return count_parameters(model), count_flops(model, imgsz)


def predicted(model, channels, plan, imgsz, *, fold=True):
    total = Costs.of(model, channels, imgsz).total(channels, lost_groups(plan, channels), plan.removed, fold=fold)
    return total.params, total.flops


@pytest.mark.parametrize("name", MODELS)
def test_a_plan_costs_what_is_counted_after_surgery(name):
    """Convolutions, depthwise ones, Linear, and the products of attention, which no layer owns."""
    model, channels = stock(name)
    plan = make_plan(model, channels, ratio=0.6, round_to=4)
    expected = predicted(model, channels, plan, IMGSZ)
    assert predicted(model, channels, make_plan(model, channels, ratio=0), IMGSZ) == counted(model, IMGSZ)

    apply_plan(model, plan, channels)

    assert counted(model, IMGSZ) == expected


@pytest.mark.parametrize(
    ("name", "norms"),
    [
        ("yolov8n", ["model.4.m.0.cv2.bn"]),
        ("yolo11n", ["model.10.m.0.attn.proj.bn", "model.10.m.0.ffn.1.bn"]),  # its products go as well
    ],
)
def test_a_block_that_goes_as_a_whole_costs_nothing(name, norms):
    model, channels = stock(name)
    for norm in norms:
        model.get_submodule(norm).weight.data.zero_()
    plan = make_plan(model, channels, threshold=0)
    assert plan.removed
    expected = predicted(model, channels, plan, IMGSZ)

    apply_plan(model, plan, channels)

    assert counted(model, IMGSZ) == expected


@pytest.mark.parametrize("kind", small.PRUNABLE, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("fold", [False, True])
def test_so_does_every_kind_of_layer(kind, fold):
    """Grouped, transposed, called twice, flattened, and bare convolutions that folding gives a bias."""
    model = randomise(kind())
    channels = analyse(model)
    plan = make_plan(model, channels, ratio=0.4)
    pruned = copy.deepcopy(model)

    apply_plan(pruned, plan, channels, fold=fold)

    assert counted(pruned, 64) == predicted(model, channels, plan, 64, fold=fold) < counted(model, 64)


def test_knows_what_attention_multiplies_without_weights():
    model, channels = stock("yolo11n")
    found = operations(model, IMGSZ)
    assert sum(not operation.layer for operation in found) == 2  # queries with keys, weights with values
    assert channels.products.keys() == {("model.10.m.0.attn", 1), ("model.10.m.0.attn", 2)}
    assert {operation.layer for operation in found} >= {"model.0.conv", "model.10.m.0.attn.qkv.conv"}


class Attends(nn.Module):
    """One head over Conv-BatchNorm queries, keys and values, spelled out or by PyTorch's own attention."""

    def __init__(self, *, own: bool) -> None:
        super().__init__()
        self.own = own
        self.q, self.k, self.v = (small.block(16, 16)[:2] for _ in range(3))
        self.proj = small.block(16, 16)[:2]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = (layer(x).flatten(2).transpose(1, 2) for layer in (self.q, self.k, self.v))
        if self.own:
            y = nn.functional.scaled_dot_product_attention(q, k, v, scale=0.5)
        else:
            y = (q @ k.transpose(1, 2) * 0.5).softmax(-1) @ v
        return self.proj(y.transpose(1, 2).reshape(x.shape[0], -1, *x.shape[2:]))


class Prompted(nn.Module):
    """Attention that only training runs, before another that always runs."""

    def __init__(self, *, own: bool) -> None:
        super().__init__()
        self.stem, self.aside, self.attend = small.block(3, 16), Attends(own=own), Attends(own=own)
        self.head = nn.Conv2d(16, 4, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        if self.training:
            x = self.aside(x)
        return self.head(self.attend(x))


@pytest.mark.parametrize("own", [False, True], ids=["spelled out", "PyTorch's own"])
def test_products_are_told_apart_by_the_module_that_asks_for_them(own):
    model = randomise(Prompted(own=own)).eval()
    channels = analyse(model)
    assert {product.module for product in channels.products} == {"aside", "attend"}
    plan = make_plan(model, channels, ratio=0.5)
    expected = predicted(model, channels, plan, 64)

    apply_plan(model, plan, channels)

    assert counted(model, 64) == expected


@pytest.mark.parametrize("kind", ["params", "flops"])
@pytest.mark.parametrize("name", ["yolov8n", "yolo11n"])
def test_a_groups_cost_is_what_its_loss_saves(name, kind):
    model, channels = stock(name)
    costs = Costs.of(model, channels, IMGSZ)
    whole = costs.total(channels, ()).of(kind)
    prices = costs.of_groups(channels)
    assert prices.keys() == {g for n in channels.norms for g in channels.outputs[n]} - channels.frozen.keys()
    tied = set().union(*chain.from_iterable(channels.cuts))
    for group in [g for g in prices if g not in tied][:: len(prices) // 8]:
        saved = whole - costs.total(channels, {group}, fold=False).of(kind)
        assert saved == pytest.approx(prices[group].of(kind), rel=0.05)


class TestPenaltyWeights:
    @pytest.mark.parametrize("kind", ["params", "flops"])
    @pytest.mark.parametrize("name", ["yolov8n", "yolo26n"])
    def test_have_mean_one_over_what_can_be_pruned(self, name, kind):
        model, channels = stock(name)
        weights = penalty_weights(model, channels, kind)
        numbers = {layer: sum(channels.prunable(layer)) for layer in channels.norms}
        assert weights.keys() == {layer for layer, number in numbers.items() if number}
        mean = sum(weights[n] * numbers[n] for n in weights) / sum(numbers[n] for n in weights)
        assert mean == pytest.approx(1)
        assert all(weight > 0 for weight in weights.values())

    def test_press_large_pictures_for_flops_and_wide_layers_for_parameters(self):
        model, channels = stock("yolov8n")
        flops, params = (penalty_weights(model, channels, kind) for kind in ("flops", "params"))
        assert flops["model.0.bn"] > math.sqrt(10) * flops["model.9.cv1.bn"]
        assert math.sqrt(5) * params["model.0.bn"] < params["model.8.m.0.cv1.bn"]

    def test_do_not_depend_on_the_size_of_the_picture(self):
        model, channels = stock("yolov8n")
        one, other = (penalty_weights(model, channels, "flops", imgsz=imgsz) for imgsz in (160, 640))
        assert one == pytest.approx(other)

    def test_share_what_a_residual_ties_together(self):
        weights = penalty_weights(*tied_and_alone(), "params")
        tied = (2 * (3 * 9 + 2) + 64) / 2  # two convolutions' rows, two BatchNorms, and a column of what reads the sum
        alone = (3 * 9 + 2) + 64
        assert weights["first"] == weights["second"]
        assert weights["first"] / weights["alone"] == pytest.approx(math.sqrt(tied / alone))

    def test_leave_the_model_alone(self):
        model, channels = stock("yolov8n")
        before = copy.deepcopy(model.state_dict())
        model.train()
        penalty_weights(model, channels, "flops")
        assert model.training
        assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())

    def test_refuse_an_unknown_kind(self):
        with pytest.raises(ValueError, match="watts is not one of params, flops, latency"):
            penalty_weights(*stock("yolov8n"), "watts")


class _Tied(nn.Module):
    def __init__(self):
        super().__init__()
        for name, width in {"a": 3, "b": 3, "c": 3}.items():
            setattr(self, f"conv_{name}", nn.Conv2d(width, 32, 3, padding=1, bias=False))
        self.first, self.second, self.alone = nn.BatchNorm2d(32), nn.BatchNorm2d(32), nn.BatchNorm2d(32)
        self.end, self.other = nn.Conv2d(32, 64, 1), nn.Conv2d(32, 64, 1)

    def forward(self, x):
        tied = self.first(self.conv_a(x)) + self.second(self.conv_b(x))
        return self.end(tied.relu()) + self.other(self.alone(self.conv_c(x)).relu())


def tied_and_alone():
    model = _Tied().eval()
    return model, analyse(model)
