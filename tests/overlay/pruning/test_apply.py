"""The proof: a pruned model computes what the same model computes with the dropped channels silenced.

Also of: `slim.pruning.folding`, `slim.rules.layers`, `slim.rules.slicing`.
"""

from __future__ import annotations

import copy
import pickle
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import nn

from slim.analysis.channels import analyse
from slim.costs.measure import count_parameters
from slim.pruning.apply import apply_plan, mask_plan
from slim.pruning.plan import Plan, PlanError, make_plan
from tests.overlay import small
from tests.overlay.networks import assert_same, differ, photo, randomise, run, run_elsewhere, stock
from tests.sampling import sampled

if TYPE_CHECKING:
    from pathlib import Path

STOCK = [
    *("yolov8n", "yolo11n", "yolo26n", "yolov10n", "yolo12n", "yolov9t", "yolov5n"),
    *("yolov8n-seg", "yolov8n-cls", "yolov8n-pose", "yolov8n-obb"),
]


@pytest.mark.parametrize(
    ("ratio", "round_to"), sampled([(0.4, 1), (0.4, 8), (0.7, 1), (0.7, 8)], by_default=[(0.7, 1)])
)
@pytest.mark.parametrize(
    "name",
    sampled(STOCK, by_default=["yolov8n", "yolo11n", "yolo26n", "yolov10n", "yolo12n", "yolov8n-seg"]),
)
def test_pruned_is_masked(name: str, ratio: float, round_to: int) -> None:
    masked, channels = stock(name)
    pruned, full = copy.deepcopy(masked), run(masked, photo())
    plan = make_plan(masked, channels, ratio=ratio, round_to=round_to)
    mask_plan(masked, plan, channels)
    apply_plan(pruned, plan, channels, fold=False)
    assert_same(run(pruned, photo()), run(masked, photo()))
    assert count_parameters(pruned) < 0.7 * count_parameters(masked)
    assert differ(full, run(masked, photo())), "the mask must matter"


@pytest.mark.parametrize("network", small.PRUNABLE)
def test_pruned_is_masked_whatever_is_done_with_channels(network: type[small.Net]) -> None:
    masked = randomise(network())
    pruned, channels, full = copy.deepcopy(masked), analyse(masked), run(masked, photo(32))
    plan = make_plan(masked, channels, ratio=0.5)
    mask_plan(masked, plan)
    apply_plan(pruned, plan, fold=False)
    assert_same(run(pruned, photo(32)), run(masked, photo(32)), atol=1e-6)
    assert differ(full, run(masked, photo(32)))
    assert count_parameters(pruned) < count_parameters(masked)


@pytest.mark.parametrize("name", ["yolov8n", "yolo11n", "yolov9t", "yolov8n-cls"])
def test_folding_is_exact_where_no_zeros_are_padded(name: str) -> None:
    masked, channels = stock(name)
    for layer in masked.modules():
        if isinstance(layer, nn.Conv2d):
            layer.padding_mode = "replicate"
    pruned, unfolded = copy.deepcopy(masked), copy.deepcopy(masked)
    plan = make_plan(masked, channels, ratio=0.5)
    mask_plan(masked, plan, channels, fold=True)
    assert apply_plan(pruned, plan, channels) == []
    assert_same(run(pruned, photo())[:1], run(masked, photo())[:1])
    apply_plan(unfolded, plan, channels, fold=False)
    assert differ(run(unfolded, photo()), run(masked, photo()))


def test_folding_is_close_where_zeros_are_padded_and_says_so() -> None:
    masked, channels = stock("yolov8n-seg")
    folded, unfolded = copy.deepcopy(masked), copy.deepcopy(masked)
    plan = make_plan(masked, channels, ratio=0.5)
    mask_plan(masked, plan, channels, fold=True)
    notes = apply_plan(folded, plan, channels)
    apply_plan(unfolded, plan, channels, fold=False)
    wanted = run(masked, photo(256))[0]
    errors = [float((run(model, photo(256))[0] - wanted).abs().mean()) for model in (folded, unfolded)]
    assert errors[0] < errors[1] / 4
    assert [note.split(":")[0] for note in notes] == [
        "folded, but not exact at the border, which is padded",
        "folded as a mean over the kernel of a transposed convolution",
    ]


@pytest.mark.parametrize("network", [small.Classifier, small.NormAfterCat, small.Grouped])
def test_folding_reaches_linear_layers_biases_and_batchnorms(network: type[small.Net]) -> None:
    masked = randomise(network())
    for layer in masked.modules():
        if isinstance(layer, nn.Conv2d):
            layer.padding_mode = "replicate"
    pruned, plan = copy.deepcopy(masked), make_plan(masked, analyse(masked), ratio=0.5)
    mask_plan(masked, plan, fold=True)
    apply_plan(pruned, plan)
    assert_same(run(pruned, photo(32)), run(masked, photo(32)), atol=1e-6)


@pytest.mark.parametrize(("network", "layer"), [(small.Gate, "head"), (small.Twice, "shared.0")])
def test_a_channel_that_is_not_constant_is_not_folded(network: type[small.Net], layer: str) -> None:
    model = randomise(network())
    notes = apply_plan(model, make_plan(model, analyse(model), ratio=0.5))
    assert f"not folded where a dropped channel is not constant: {layer}" in notes


def test_shapes_and_attributes_follow_and_the_rest_stays() -> None:
    model, channels = stock("yolov8n")
    before = copy.deepcopy(model)
    plan = make_plan(model, channels, ratio=0.6)
    apply_plan(model, plan, channels)
    for name, layer in model.named_modules():
        old: Any = before.get_submodule(name)
        assert type(layer) is type(old)
        assert layer._forward_hooks == layer._forward_pre_hooks == {}
        if isinstance(layer, nn.BatchNorm2d):
            assert layer.weight.shape == layer.running_mean.shape == (layer.num_features,)
            assert (layer.eps, layer.momentum, layer.training) == (old.eps, old.momentum, old.training)
        if isinstance(layer, nn.Conv2d):
            assert layer.weight.shape[:2] == (layer.out_channels, layer.in_channels // layer.groups)
            assert layer.stride == old.stride
    for index in (2, 4, 6, 8, 12, 15, 18, 21):
        assert model.model[index].cv1.conv.out_channels == 2 * model.model[index].c
    assert model.model[2].c < before.model[2].c
    assert (model.names, model.stride.tolist()) == (before.names, before.stride.tolist())
    assert model.state_dict().keys() == before.state_dict().keys()


def test_split_instead_of_chunk_runs_as_well() -> None:
    model, channels = stock("yolov8n")
    apply_plan(model, make_plan(model, channels, ratio=0.6), channels)
    expected = run(model, photo())
    for layer in model.modules():
        if hasattr(layer, "forward_split"):
            layer.forward = layer.forward_split
    assert_same(run(model, photo()), expected)


def test_precision_and_requires_grad_stay() -> None:
    model, channels = stock("yolov8n")
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    model.half()
    plan = make_plan(model, channels, ratio=0.5)
    masked = copy.deepcopy(model)
    mask_plan(masked, plan)
    apply_plan(model, plan, fold=False)
    assert {tensor.dtype for tensor in model.state_dict().values()} == {torch.float16, torch.int64}
    assert not any(parameter.requires_grad for parameter in model.parameters())
    assert_same(run(model.float(), photo()), run(masked.float(), photo()))


def test_a_pruned_model_trains_copies_and_pickles() -> None:
    model, channels = stock("yolov8n")
    apply_plan(model, make_plan(model, channels, ratio=0.5), channels)
    restored = pickle.loads(pickle.dumps(copy.deepcopy(model)))  # noqa: S301 - our own
    assert_same(run(restored, photo()), run(model, photo()))
    restored.train()
    optimizer = torch.optim.SGD(restored.parameters(), lr=0.1)
    predictions = restored(photo(64, batch=2))
    sum(value.square().mean() for value in (predictions["boxes"], predictions["scores"])).backward()
    assert all(p.grad is not None and p.grad.shape == p.shape for p in restored.parameters() if p.requires_grad)
    before = restored.model[0].conv.weight.detach().clone()
    optimizer.step()
    assert not torch.equal(before, restored.model[0].conv.weight)


def test_stock_ultralytics_loads_a_pruned_model(tmp_path: Path) -> None:
    model, channels = stock("yolo11n")
    plan = make_plan(model, channels, ratio=0.5)
    apply_plan(model, plan, channels)
    torch.save({"model": model, "plan": plan.to_dict()}, tmp_path / "pruned.pt")
    torch.save(run(model, photo())[0], tmp_path / "expected.pt")
    torch.save(photo(), tmp_path / "photo.pt")
    code = (
        "import sys, torch\n"
        "model = torch.load('pruned.pt', weights_only=False)['model']\n"
        "with torch.no_grad(): output = model(torch.load('photo.pt'))[0]\n"
        "assert torch.allclose(output, torch.load('expected.pt'), atol=1e-4)\n"
        "assert not [name for name in sys.modules if name.split('.')[0] == 'slim']\n"
    )
    run_elsewhere(code, tmp_path)


def test_a_pruned_model_can_be_pruned_again() -> None:
    model, channels = stock("yolo11n")
    apply_plan(model, make_plan(model, channels, ratio=0.4), channels)
    once, masked = count_parameters(model), copy.deepcopy(model)
    second = make_plan(model, analyse(model), ratio=0.4, round_to=8)
    mask_plan(masked, second)
    apply_plan(model, second, fold=False)
    assert_same(run(model, photo()), run(masked, photo()))
    assert count_parameters(model) < once


def test_a_plan_from_json_does_the_same() -> None:
    model, channels = stock("yolov8n")
    twin, plan = copy.deepcopy(model), make_plan(model, channels, ratio=0.5)
    apply_plan(model, plan)
    apply_plan(twin, Plan.from_json(plan.to_json()))
    for (name, ours), theirs in zip(model.state_dict().items(), twin.state_dict().values()):
        assert torch.equal(ours, theirs), name


def test_a_plan_that_drops_nothing_changes_nothing() -> None:
    model, channels = stock("yolov8n")
    before = {name: (id(tensor), tensor.clone()) for name, tensor in model.named_parameters()}
    assert apply_plan(model, make_plan(model, channels, ratio=0.0)) == []
    assert {name: id(tensor) for name, tensor in model.named_parameters()} == {k: v[0] for k, v in before.items()}
    assert all(torch.equal(tensor, before[name][1]) for name, tensor in model.named_parameters())


def test_masking_silences_every_batchnorm_of_a_group() -> None:
    model = randomise(small.Residual())
    channels = analyse(model)
    plan = make_plan(model, channels, ratio=0.5)
    mask_plan(model, plan, channels)
    gone = [index for index in range(16) if index not in plan.keep["stem.1"]]
    assert gone
    for norm in (model.stem[1], model.second[1]):
        assert norm.weight[gone].tolist() == norm.bias[gone].tolist() == [0.0] * len(gone)
        assert (norm.weight != 0).sum() == 16 - len(gone)


def test_a_plan_of_another_model_is_refused_by_layer() -> None:
    model, channels = stock("yolov8n")
    other, others = stock("yolo11n")
    plan = make_plan(other, others, ratio=0.5)
    with pytest.raises(PlanError, match=r"for another model: .*model\.\d+\.\S+ .*make a plan for it"):
        apply_plan(model, plan, channels)
    apply_plan(other, plan, others)
    with pytest.raises(PlanError, match=r"model\.0\.conv has \d+ channels, not 16"):
        apply_plan(other, plan)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"stem.1": [0]}, r"keeps channel 1 of stem\.0 but drops channel 1 of stem\.1, which goes with it"),
        ({"first.0": [3, 2], "first.1": [3, 2]}, r"first\.0 are not an ascending choice from 0 to 11"),
        ({"first.1": []}, r"first\.1 are not an ascending choice"),
        ({"first.1": [12]}, r"first\.1 are not an ascending choice"),
        ({"nowhere": [0]}, "keeps channels of nowhere"),
        ({"head": [0, 1]}, r"drops channel 2 of head, which must stay: no BatchNorm after head"),
    ],
)
def test_a_plan_edited_into_nonsense_is_refused_and_nothing_has_changed(
    change: dict[str, list[int]], message: str
) -> None:
    model = randomise(small.Residual())
    before = copy.deepcopy(model.state_dict())
    plan = make_plan(model, analyse(model), ratio=0.0)
    with pytest.raises(PlanError, match=message):
        apply_plan(model, replace(plan, keep={**plan.keep, **change}))
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_a_plan_edited_into_uneven_halves_is_refused() -> None:
    model = randomise(small.Chunk())
    plan = make_plan(model, analyse(model), ratio=0.0)
    keep = {**plan.keep, "stem.0": list(range(1, 16)), "stem.1": list(range(1, 16))}
    with pytest.raises(PlanError, match=r"unequal parts of stem\.0"):
        apply_plan(model, replace(plan, keep=keep))
