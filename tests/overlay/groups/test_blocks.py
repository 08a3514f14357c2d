"""Whole blocks that go: found by what they do, in every model that has residuals, and nothing else changes."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import Tensor, nn

from slim.analysis.channels import Channels, analyse
from slim.architecture import ArchitectureError, is_pruned, keep_architecture
from slim.costs.measure import count_parameters
from slim.files.checkpoint import save_checkpoint
from slim.groups.protect import protect
from slim.pruning.apply import apply_plan, mask_plan
from slim.pruning.plan import Plan, PlanError, make_plan
from tests.overlay import small
from tests.overlay.networks import assert_same, differ, photo, randomise, run, run_elsewhere, stock
from tests.sampling import sampled

if TYPE_CHECKING:
    from pathlib import Path

SMALL = 0.05
CASES = [
    ("yolov8n", ["model.4.m.1.cv2.bn", "model.2.m.0.cv2.bn"], ["model.2.m.0", "model.4.m.1"]),  # in a ModuleList
    ("yolov8n", ["model.6.m.0.cv1.bn"], ["model.6.m.0"]),  # what the second convolution is given is constant
    ("yolov8n-cls", ["model.2.m.0.cv2.bn"], ["model.2.m.0"]),
    ("yolov5n", ["model.4.m.1.cv2.bn"], ["model.4.m.1"]),  # in a Sequential
    ("yolov5n", ["model.4.m.0.cv2.bn", "model.4.m.1.cv2.bn"], ["model.4.m"]),  # and all of it
    ("yolo11n", ["model.6.m.0.m.0.cv2.bn"], ["model.6.m.0.m.0"]),
    ("yolo11n", ["model.10.m.0.attn.proj.bn", "model.10.m.0.ffn.1.bn"], ["model.10.m"]),  # attention
    ("yolo26n", ["model.9.cv2.bn", "model.16.m.0.m.1.cv2.bn"], ["model.9", "model.16.m.0.m.1"]),  # a layer of its own
    ("yolov9t", ["model.4.cv2.0.m.1.cv2.bn"], ["model.4.cv2.0.m.1"]),
    ("yolov10n", ["model.22.m.0.cv1.4.bn"], ["model.22.m.0"]),
]
SAMPLE = [CASES[4], CASES[6], CASES[7]]  # a Sequential and all of it, attention, a layer of its own


def fallen(name: str, norms: list[str]) -> tuple[Any, Channels, Plan]:
    """Return a stock model of which some BatchNorms have lost everything, and its plan."""
    model, channels = stock(name)
    for norm in norms:
        model.get_submodule(norm).weight.data.mul_(0.01)
    return model, channels, make_plan(model, channels, threshold=SMALL)


def unpadded(model: nn.Module) -> nn.Module:
    """Take the zeros away that convolutions pad with, at which no constant is one."""
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d):
            layer.padding_mode = "replicate"
    return model


@pytest.mark.parametrize(("name", "norms", "blocks"), sampled(CASES, by_default=SAMPLE))
def test_pruned_is_masked(name: str, norms: list[str], blocks: list[str]) -> None:
    model, channels, plan = fallen(name, norms)
    assert sorted(plan.removed) == sorted(blocks)
    assert sorted(name for names in plan.removed.values() for name in names) == sorted(norms)
    pruned, masked = copy.deepcopy(model), copy.deepcopy(model)
    mask_plan(masked, plan, channels)
    apply_plan(pruned, plan, channels, fold=False)
    assert all(type(pruned.get_submodule(block)) is nn.Identity for block in blocks)
    assert_same(run(pruned, photo()), run(masked, photo()))
    assert differ(run(model, photo()), run(masked, photo()))


@pytest.mark.parametrize(
    ("name", "norms", "blocks"), sampled([case for case in CASES if case[0] != "yolov10n"], by_default=SAMPLE)
)
def test_what_a_block_always_said_is_folded(name: str, norms: list[str], blocks: list[str]) -> None:
    model, channels, plan = fallen(name, norms)
    pruned, masked, bare = unpadded(copy.deepcopy(model)), unpadded(copy.deepcopy(model)), unpadded(model)
    mask_plan(masked, plan, channels, fold=True)
    assert apply_plan(pruned, plan, channels) == []
    assert_same(run(pruned, photo())[:1], run(masked, photo())[:1])
    apply_plan(bare, plan, channels, fold=False)
    assert differ(run(bare, photo()), run(masked, photo()))
    del blocks


def test_the_rest_of_the_model_stays() -> None:
    model, channels, plan = fallen("yolo26n", ["model.9.cv2.bn"])
    before = copy.deepcopy(model)
    apply_plan(model, plan, channels)
    assert (model.model[9].f, model.model[9].i) == (before.model[9].f, before.model[9].i)
    gone = {key for key in before.state_dict() if key.startswith("model.9.")}
    assert gone
    assert model.state_dict().keys() == before.state_dict().keys() - gone
    assert count_parameters(model) < count_parameters(before)
    run(model.fuse(verbose=False), photo())


def test_a_plan_says_which_and_why() -> None:
    _, _, plan = fallen("yolov8n", ["model.4.m.1.cv2.bn", "model.4.m.1.cv1.bn"])
    assert plan.removed == {"model.4.m.1": ["model.4.m.1.cv1.bn", "model.4.m.1.cv2.bn"]}
    assert (
        "model.4.m.1: goes as a whole, for all scales of model.4.m.1.cv1.bn, model.4.m.1.cv2.bn fell under the "
        "threshold, and a residual carries on"
    ) in plan.notes
    assert not [note for note in plan.notes if "strongest" in note], "what goes keeps no minimum"
    assert Plan.from_json(plan.to_json()) == plan


def test_where_nothing_carries_on_the_strongest_stay() -> None:
    """The bottlenecks of a neck have no shortcut."""
    _, _, plan = fallen("yolov8n", ["model.12.m.0.cv1.bn"])
    assert plan.removed == {}
    assert "model.12.m.0.cv1.bn: all 64 channels fell under the threshold; the strongest 1 stay" in plan.notes


def test_a_kept_block_stays() -> None:
    model, channels, _ = fallen("yolov8n", ["model.4.m.1.cv2.bn"])
    assert make_plan(model, protect(channels, keep=["model.4.m.1.cv1"]), threshold=SMALL).removed == {}
    assert make_plan(model, protect(channels, only=["model.22"]), threshold=SMALL).removed == {}


def test_equal_scales_condemn_no_block() -> None:
    """A model that was not trained sparse, cut at its only scale."""
    model, channels = stock("yolov8n")
    for norm in channels.norms:
        model.get_submodule(norm).weight.data.fill_(1.0)
    assert make_plan(model, channels, ratio=0.5).removed == {}
    assert make_plan(model, channels, ratio=0.0).removed == {}


class Rectified(small.Net):
    """A residual block with its activation behind the sum, as ResNet's: it passes on what is not negative."""

    def build(self) -> None:
        self.inside = RectifiedBlock()

    def body(self, x: Tensor) -> Tensor:
        return self.inside(x.relu())


class RectifiedBlock(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.branch = nn.Sequential(nn.Conv2d(16, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16))

    def forward(self, x: Tensor) -> Tensor:
        return (x + self.branch(x)).relu()


class Straight(small.Net):
    """No residual, though what goes in comes out in the same shape."""

    def build(self) -> None:
        self.inside = small.block(16, 16, 3)

    def body(self, x: Tensor) -> Tensor:
        return self.inside(x)


@pytest.mark.parametrize(
    ("network", "norm", "beta", "removed"),
    [
        (Rectified, "inside.branch.1", 0.1, ["inside"]),
        (Rectified, "inside.branch.1", -0.1, []),  # where the sum falls under zero, it is not x plus a constant
        (Straight, "inside.1", 0.1, []),
    ],
)
def test_a_block_is_known_by_what_it_does(network: type[small.Net], norm: str, beta: float, removed: list[str]) -> None:
    model = unpadded(randomise(network()))
    model.stem[1].weight.data.add_(1)
    model.get_submodule(norm).weight.data.mul_(0.001)
    model.get_submodule(norm).bias.data.fill_(beta)
    plan = make_plan(model, analyse(model), threshold=0.01)
    assert list(plan.removed) == removed
    for fold in (False, True):
        pruned, masked = copy.deepcopy(model), copy.deepcopy(model)
        mask_plan(masked, plan, fold=fold)
        apply_plan(pruned, plan, fold=fold)
        assert_same(run(pruned, photo(32)), run(masked, photo(32)), atol=1e-6)


def test_a_model_without_some_blocks_is_pruned_again() -> None:
    model, channels, plan = fallen("yolo11n", ["model.6.m.0.m.0.cv2.bn"])
    apply_plan(model, plan, channels)
    model.get_submodule("model.6.m.0.m.1.cv2.bn").weight.data.mul_(0.01)
    again = analyse(model)
    second = make_plan(model, again, ratio=0.3, round_to=8)
    assert list(second.removed) == ["model.6.m.0.m"], "with the one that went before"
    pruned, masked = copy.deepcopy(model), copy.deepcopy(model)
    mask_plan(masked, second, again)
    apply_plan(pruned, second, again, fold=False)
    assert_same(run(pruned, photo()), run(masked, photo()))


def test_training_goes_on_without_them() -> None:
    model, channels, plan = fallen("yolov8n", ["model.4.m.1.cv2.bn"])
    built = copy.deepcopy(model)
    apply_plan(model, plan, channels)
    assert is_pruned(model, built)
    kept = keep_architecture(built, model)
    assert type(kept.get_submodule("model.4.m.1")) is nn.Identity
    assert_same(run(kept.eval(), photo()), run(model, photo()))
    kept.train()
    predictions: Any = kept(photo(64, batch=2))
    sum(value.square().mean() for value in (predictions["boxes"], predictions["scores"])).backward()
    assert all(p.grad is not None for p in kept.parameters() if p.requires_grad)


def test_what_prediction_has_fused_is_still_refused() -> None:
    model, channels, plan = fallen("yolov8n", ["model.4.m.1.cv2.bn"])
    built = copy.deepcopy(model)
    apply_plan(model, plan, channels)
    with pytest.raises(ArchitectureError, match="has folded this pruned model's BatchNorms"):
        keep_architecture(built, model.fuse(verbose=False))


def test_a_block_alone_makes_a_model_pruned() -> None:
    model, channels, plan = fallen("yolov8n", ["model.4.m.1.cv2.bn"])
    built = copy.deepcopy(model)
    apply_plan(model, replace(plan, keep={}), channels)
    assert keep_architecture(built, model) is not built


def test_stock_ultralytics_loads_and_fuses_the_checkpoint(tmp_path: Path) -> None:
    model, channels, plan = fallen("yolo11n", ["model.6.m.0.m.0.cv2.bn", "model.2.m.0.cv2.bn"])
    apply_plan(model, plan, channels)
    model.names, model.args = {0: "qr"}, {"imgsz": 64, "task": "detect"}
    save_checkpoint(tmp_path / "pruned.pt", model, {"train_args": {}}, plan)
    torch.save((photo(), run(model.half().float(), photo())[0]), tmp_path / "expected.pt")
    code = (
        "import sys, torch\n"
        "from ultralytics import YOLO\n"
        "photo, expected = torch.load('expected.pt')\n"
        "model = YOLO('pruned.pt').model.float().eval()\n"
        "assert list(model.slim['removed']) == ['model.2.m.0', 'model.6.m.0.m.0']\n"
        "for _ in range(2):\n"
        "    with torch.no_grad(): output = model(photo)[0]\n"
        "    assert torch.allclose(output, expected, atol=1e-2), (output - expected).abs().max()\n"
        "    model.fuse(verbose=False)\n"
        "assert not [name for name in sys.modules if name.split('.')[0] == 'slim']\n"
    )
    run_elsewhere(code, tmp_path)


@pytest.mark.parametrize(
    ("removed", "message"),
    [
        ({"model.99": []}, r"this one has no block model\.99; make a plan for it"),
        ({"model.4.m.1": ["model.4.m.0.cv2.bn"]}, r"removes model\.4\.m\.1 for model\.4\.m\.0\.cv2\.bn, which is no"),
        ({"model.4.m.1": []}, r"removes model\.4\.m\.1, without which nothing carries on; make a plan anew"),
        ({"model.12.m.0": ["model.12.m.0.cv2.bn"]}, r"removes model\.12\.m\.0, without which nothing carries on"),
        ({"model.0": ["model.0.bn"]}, r"removes model\.0, without which nothing carries on"),
    ],
)
def test_a_plan_that_removes_what_is_needed_is_refused(removed: dict[str, list[str]], message: str) -> None:
    model, channels, plan = fallen("yolov8n", ["model.4.m.1.cv2.bn"])
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(PlanError, match=message):
        apply_plan(model, replace(plan, removed=removed), channels)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
