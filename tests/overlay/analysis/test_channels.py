"""Which channels go together, which may go, and why the others may not.

Also of: `slim.groups.layer_groups`, `slim.groups.keep_counts`, `slim.groups.closure`, `slim.passes.passes`,
`slim.passes.dispatch`, `slim.passes.shadow`, `slim.passes.trace`.
"""

from __future__ import annotations

import copy
import time
from typing import Any

import pytest
import torch
from torch import nn

from slim.analysis.channels import Channels, analyse, prunable_batchnorms
from tests.overlay import small
from tests.overlay.networks import photo, stock


def prunable(channels: Channels) -> dict[str, int]:
    """Count what may be dropped of each BatchNorm."""
    return {name: sum(channels.prunable(name)) for name in channels.norms}


def test_every_batchnorm_of_a_convolutional_detector_can_be_pruned() -> None:
    model, channels = stock("yolov8n")
    norms = {name: m.num_features for name, m in model.named_modules() if isinstance(m, nn.BatchNorm2d)}
    assert prunable(channels) == norms
    assert channels.unreached == ()


def test_output_convolutions_and_dfl_are_never_pruned() -> None:
    _, channels = stock("yolov8n")
    for name in ("model.22.cv2.0.2", "model.22.cv3.2.2", "model.22.dfl.conv"):
        assert not any(channels.prunable(name))
    assert channels.frozen[channels.outputs["model.22.cv3.2.2"][0]] == "no BatchNorm after model.22.cv3.2.2"


def test_a_residual_unites_and_a_chunk_keeps_its_halves_even() -> None:
    _, channels = stock("yolov8n")
    halves = channels.outputs["model.2.cv1.bn"][:16], channels.outputs["model.2.cv1.bn"][16:]
    assert channels.outputs["model.2.m.0.cv2.bn"] == halves[1]
    assert set(halves[0]).isdisjoint(halves[1])
    assert halves in channels.cuts
    assert channels.attributes["model.2", "c"] == halves[0]


def test_a_group_lists_every_place_it_lies_in() -> None:
    _, channels = stock("yolov8n")
    assert channels.members(channels.outputs["model.0.conv"][3]) == [
        ("model.0.conv", "out", 3),
        ("model.0.bn", "out", 3),
        ("model.1.conv", "in", 3),
    ]


def test_heads_of_attention_stay_as_many_and_equally_wide() -> None:
    _, channels = stock("yolo11n")
    assert channels.reasons() == {}
    qkv = channels.outputs["model.10.m.0.attn.qkv.bn"]
    heads = qkv[:128], qkv[128:]
    for head in heads:
        assert head[:32] == head[32:64], "a query goes with its key"
    values = [head[64:] for head in heads]
    stream = channels.outputs["model.10.m.0.attn.proj.bn"]
    cut = next(cut for cut in channels.cuts if stream[:64] in cut and values[0] in cut)
    assert {*values, stream[:64], stream[64:]} <= {*cut}, "the output of attention has the shape of its input"
    assert channels.attributes["model.10.m.0.attn", "key_dim"] == qkv[:32]
    assert channels.attributes["model.10.m.0.attn", "head_dim"] == values[0]


def test_a_number_that_code_computes_from_the_size_of_a_head_is_made_up_for() -> None:
    model, channels = stock("yolo12n")
    rescaled = {norm: (key, power) for norm, _, key, power in channels.rescaled}
    assert rescaled["model.6.m.0.0.attn.qkv.bn"] == ("model.6.m.0.0.attn:head_dim", -0.5)
    assert model.model[6].m[0][0].attn.head_dim == len(channels.attributes["model.6.m.0.0.attn", "head_dim"]) == 32
    assert len(channels.attributes["model.6.m.0.0.attn", "all_head_dim"]) == 64


@pytest.mark.parametrize("name", ["yolov8n", "yolo11n", "yolo26n"])
def test_analysis_changes_nothing_and_is_quick(name: str) -> None:
    model, _ = stock(name)
    model.train()
    model.model[-1].eval()
    model(photo())  # fills the caches of the head
    before = everything(model)
    random = torch.random.get_rng_state()
    start = time.perf_counter()
    analyse(model)
    assert time.perf_counter() - start < 5
    assert torch.equal(random, torch.random.get_rng_state())
    after = everything(model)
    assert before.keys() == after.keys()
    for key, value in before.items():
        assert torch.equal(value, after[key]) if isinstance(value, torch.Tensor) else value == after[key], key
    assert all(parameter.grad is None for parameter in model.parameters())


def everything(model: nn.Module) -> dict[str, Any]:
    """Copy all that a model holds: tensors, numbers, flags, hooks, and which objects its tensors are."""
    found: dict[str, Any] = {}
    for name, module in model.named_modules():
        for key, value in vars(module).items():
            if isinstance(value, (torch.Tensor, int, float, str, bool, torch.Size)):
                found[f"{name}.{key}"] = copy.deepcopy(value)
            elif isinstance(value, dict):
                found[f"{name}.{key}"] = list(value)
        for key, value in (*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)):
            found[f"{name}:{key}"] = value.detach().clone()
            found[f"{name}:{key} object"] = (id(value), value.data_ptr(), value.requires_grad)
    return found


def test_a_model_with_its_own_hooks_is_traced_without_calling_them() -> None:
    model, expected = stock("yolov8n")
    calls: list[str] = []
    model.model[0].register_forward_hook(lambda *_: calls.append("called"))
    assert analyse(model) == expected
    assert calls == []


def test_half_precision_weights_are_traced_as_well() -> None:
    model, expected = stock("yolov8n")
    assert analyse(model.half()) == expected
    assert next(model.parameters()).dtype is torch.float16


@pytest.mark.parametrize(
    ("network", "frozen"),
    [
        (small.Attention, {"stem.1": "view in attend beside view in attend", "attend.qkv.1": "view in attend"}),
        (small.FixedView, {"stem.1": "view in inside"}),
        (small.Sorted, {"stem.1": "sort in the model"}),
        (small.SortedThenAdded, {"stem.1": "sort in the model", "second.1": "sort in the model"}),
        (small.SigmoidOnly, {"stem.1": "no BatchNorm before convolution in head"}),
        (small.SplitByNumber, {"stem.1": "split_with_sizes in the model"}),
        (small.Auxiliary, {"side.1": "output of the model"}),
    ],
)
def test_what_cannot_be_followed_is_frozen_with_operator_and_layer(
    network: type[small.Net], frozen: dict[str, str]
) -> None:
    channels = analyse(network())
    reasons = channels.reasons()
    assert {name: reasons[name] for name in frozen} == frozen
    assert not any(any(channels.prunable(name)) for name in frozen)


@pytest.mark.parametrize("network", [net for net in small.PRUNABLE if net is not small.SplitByNumber])
def test_what_can_be_followed_is_prunable(network: type[small.Net]) -> None:
    assert all(analyse(network()).prunable("stem.1"))


def test_a_depthwise_convolution_passes_channels_on() -> None:
    channels = analyse(small.Depthwise())
    assert channels.outputs["stem.1"] == channels.outputs["depth.0"] == channels.outputs["depth.1"]


def test_groups_of_a_convolution_stay_even_on_both_sides() -> None:
    channels = analyse(small.Grouped())
    entering, leaving = channels.outputs["stem.1"], channels.outputs["group.1"]
    for row in (entering, leaving):
        assert tuple(row[i : i + 4] for i in range(0, 16, 4)) in channels.cuts
    assert set(entering).isdisjoint(leaving)


def test_halves_of_two_layers_are_tied_one_to_one() -> None:
    channels = analyse(small.ChunkOfTwoLayers())
    joined = channels.outputs["one.1"] + channels.outputs["other.1"]
    assert joined[:14] == joined[14:]


def test_channels_beside_an_image_go_where_their_counterparts_may() -> None:
    channels = analyse(small.ChunkWithImage())
    assert channels.prunable("other.1") == [True] * 5 + [False] * 3 + [True] * 5
    assert channels.outputs["other.1"][:5] == channels.outputs["other.1"][8:]


def test_the_size_of_a_part_is_found_in_an_attribute() -> None:
    channels = analyse(small.SplitByAttribute())
    assert list(channels.attributes) == [("", "half")]


def test_a_layer_that_reads_two_tensors_ties_them() -> None:
    channels = analyse(small.Twice())
    assert channels.outputs["left.1"] == channels.outputs["right.1"]


def test_a_channel_is_four_features_of_a_linear_after_four_pixels() -> None:
    channels = analyse(small.Classifier())
    assert channels.inputs["head.2"][:8] == (*4 * channels.outputs["stem.1"][:1], *4 * channels.outputs["stem.1"][1:2])


def test_layers_that_nothing_reaches_are_named() -> None:
    net = small.Residual()
    net.spare = nn.Conv2d(4, 4, 1)
    assert analyse(net).unreached == ("spare",)


def test_a_weight_that_two_layers_share_is_left_alone() -> None:
    net = small.Twice()
    net.left[0].weight = net.right[0].weight
    assert analyse(net).reasons()["left.1"] == "weight shared by left.0 and right.0"


def test_prunable_batchnorms_are_masks_over_their_channels() -> None:
    model, channels = stock("yolo11n")
    masks = prunable_batchnorms(model)
    assert masks["model.0.bn"].tolist() == [True] * 16
    assert sum(int(mask.sum()) for mask in masks.values()) == sum(prunable(channels).values())


def test_a_model_that_does_not_run_on_the_image_says_so() -> None:
    with pytest.raises(ValueError, match=r"does not run on an image of \(1, 4, 64, 64\)"):
        analyse(small.Residual(), torch.zeros(1, 4, 64, 64))


def test_a_model_without_convolutions_says_so() -> None:
    with pytest.raises(ValueError, match="no convolution"):
        analyse(nn.Linear(3, 3))
