"""Which channels a plan keeps, and what it is as data."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from torch import nn

from slim.analysis.channels import Channels, analyse
from slim.pruning.plan import Plan, PlanError, make_plan
from tests.overlay import small
from tests.overlay.networks import randomise, stock
from tests.sampling import sampled


def net(kind: type[small.Net], **gammas: list[float]) -> tuple[nn.Module, Channels]:
    """Build a small network with these scales; names have `_` for `.`."""
    model = randomise(kind())
    for name, values in gammas.items():
        model.get_submodule(name.replace("_", ".")).weight.data = torch.tensor(values)
    return model, analyse(model)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "either a ratio or a threshold"),
        ({"ratio": 0.5, "threshold": 0.1}, "either a ratio or a threshold"),
        ({"ratio": 1.0}, "ratio is 1.0"),
        ({"ratio": -0.1}, "ratio is -0.1"),
        ({"ratio": float("nan")}, "ratio is nan"),
        ({"threshold": -1.0}, "threshold is -1.0"),
        ({"threshold": float("inf")}, "threshold is inf"),
        ({"ratio": 0.5, "round_to": 0}, "round_to is 0"),
        ({"ratio": 0.5, "min_channels": 0}, "min_channels is 0"),
    ],
)
def test_arguments_out_of_range_are_refused(arguments: dict[str, float], message: str) -> None:
    model, channels = net(small.Residual)
    with pytest.raises(ValueError, match=message):
        make_plan(model, channels, **arguments)  # type: ignore[arg-type]


def test_a_threshold_drops_what_is_not_above_it() -> None:
    model, channels = net(small.Depthwise, point_1=[0.0, 0.5, -0.5, 0.6, -0.7, 0.1, *[1.0] * 6])
    plan = make_plan(model, channels, threshold=0.5)
    assert plan.keep["point.1"] == plan.keep["point.0"] == [3, 4, *range(6, 12)]
    assert plan.threshold == 0.5


def test_a_threshold_of_zero_drops_what_is_exactly_zero() -> None:
    model, channels = net(small.Depthwise, point_1=[0.0, 1e-12, *[1.0] * 10])
    plan = make_plan(model, channels, threshold=0)
    assert plan.keep["point.1"] == list(range(1, 12))
    assert plan.keep["stem.1"] == list(range(16))


def test_a_ratio_is_a_share_of_all_batchnorm_channels() -> None:
    model, channels = stock("yolov5n")
    plan = make_plan(model, channels, ratio=0.4)
    kept = sum(len(plan.keep[name]) for name in channels.norms)
    assert kept / sum(len(channels.outputs[name]) for name in channels.norms) == pytest.approx(0.6, abs=0.001)
    scores = {abs(x) for name in channels.norms for x in model.get_submodule(name).weight.tolist()}
    assert plan.threshold in scores


def test_a_ratio_of_zero_keeps_everything() -> None:
    model, channels = stock("yolov8n")
    assert all(len(keep) == channels.widths[name] for name, keep in make_plan(model, channels, ratio=0.0).keep.items())


def test_the_threshold_is_one_for_all_layers() -> None:
    model, channels = net(small.Residual, first_1=[0.01] * 6 + [2.0] * 6, stem_1=[1.0] * 16, second_1=[1.0] * 16)
    plan = make_plan(model, channels, ratio=6 / 44)
    assert plan.keep["first.1"] == list(range(6, 12))
    assert plan.keep["stem.1"] == list(range(16))


@pytest.mark.parametrize("large", ["stem_1", "second_1"])
def test_a_residual_goes_only_when_all_its_batchnorms_are_small(large: str) -> None:
    gammas = {"stem_1": [0.1] * 16, "second_1": [0.1] * 16, large: [0.1] * 15 + [1.0]}
    model, channels = net(small.Residual, **gammas, first_1=[1.0] * 12)
    plan = make_plan(model, channels, threshold=0.2)
    assert plan.keep["stem.1"] == plan.keep["second.1"] == [15]


def test_equal_scores_take_an_equal_share_of_every_layer_and_are_reported() -> None:
    model, channels = net(small.Residual, stem_1=[1.0] * 16, second_1=[1.0] * 16, first_1=[1.0] * 12)
    plan = make_plan(model, channels, ratio=0.5)
    assert len(plan.keep["stem.1"]) == 8
    assert len(plan.keep["first.1"]) == 6
    assert any("all scores are equal" in note for note in plan.notes)


def odd(plan: Plan) -> list[str]:
    """Name the layers that keep some of their channels, but no multiple."""
    return [name for name, keep in plan.keep.items() if len(keep) % plan.round_to and len(keep) < plan.widths[name]]


@pytest.mark.parametrize("name", ["yolov8n", "yolo11n", "yolo26n", "yolov9t", "yolov5n"])
@pytest.mark.parametrize("round_to", sampled([8, 16, 32], by_default=[16]))
def test_kept_counts_are_multiples_or_whole(name: str, round_to: int) -> None:
    model, channels = stock(name)
    plan, plain = (make_plan(model, channels, ratio=0.6, round_to=number) for number in (round_to, 1))
    assert odd(plan) == []
    assert sum(map(len, plan.keep.values())) < sum(channels.widths[layer] for layer in plan.keep)
    assert all(set(plan.keep[layer]) >= set(keep) for layer, keep in plain.keep.items()), "only ever up"
    whole = [layer for layer in channels.norms if layer in plan.keep and channels.widths[layer] % round_to]
    said = [note for note in plan.notes if note.startswith(f"no multiple of {round_to}, and so whole: ")]
    assert bool(said) == bool(whole)


@pytest.mark.parametrize("network", small.PRUNABLE)
@pytest.mark.parametrize("round_to", sampled([2, 3, 4, 8, 16], by_default=[3, 8]))
def test_counts_are_multiples_whatever_is_done_with_channels(network: type[small.Net], round_to: int) -> None:
    for seed in range(5):
        model = randomise(network(), seed)
        channels = analyse(model)
        for ratio in (0.2, 0.5, 0.9):
            plan = make_plan(model, channels, ratio=ratio, round_to=round_to)
            assert odd(plan) == [], (seed, ratio)
            kept = {channels.outputs[name][i] for name, keep in plan.keep.items() for i in keep}
            for parts in channels.cuts:
                assert len({sum(group in kept or group in channels.frozen for group in part) for part in parts}) == 1


def test_the_groups_of_a_convolution_share_a_multiple() -> None:
    """Four groups of four: two of each make eight together."""
    halves = [0.9, 0.8, *[0.01] * 2] * 4
    model, channels = net(small.Grouped, group_1=halves, stem_1=[1.0] * 16)
    plan = make_plan(model, channels, threshold=0.5, round_to=8)
    assert plan.keep["group.1"] == [0, 1, 4, 5, 8, 9, 12, 13]


def test_a_layer_made_of_two_is_rounded_as_a_whole() -> None:
    """Eight of twelve and all of four would suit each of two convolutions, but not the BatchNorm over both."""
    model, channels = net(small.NormAfterCat, norm=[*[1.0] * 8, *[0.0] * 4, *[1.0] * 4])
    assert len(make_plan(model, channels, threshold=0.5).keep["norm"]) == 12
    assert len(make_plan(model, channels, threshold=0.5, round_to=8).keep["norm"]) == 16


@pytest.mark.parametrize("name", ["yolov8n", "yolo11n", "yolov9t"])
def test_parts_of_a_chunk_stay_even(name: str) -> None:
    model, channels = stock(name)
    plan = make_plan(model, channels, ratio=0.6)
    kept = {channels.outputs[layer][index] for layer, keep in plan.keep.items() for index in keep}
    kept |= channels.frozen.keys()
    assert channels.cuts
    for parts in channels.cuts:
        assert len({sum(group in kept for group in part) for part in parts}) == 1


def test_even_parts_keep_what_the_larger_one_wants() -> None:
    halves = [*[0.9] * 6, *[0.0] * 2, *[0.9] * 3, *[0.0] * 5]
    model, channels = net(small.Chunk, stem_1=halves, inner_1=[0.0] * 8)
    for index in (11, 13, 15):  # of equal scales the heaviest stay
        model.get_submodule("stem.0").weight.data[index] *= 100
    plan = make_plan(model, channels, threshold=0.5)
    assert plan.keep["stem.1"] == [*range(6), 8, 9, 10, 11, 13, 15]


def test_a_layer_that_would_vanish_keeps_its_strongest_channels_and_is_reported() -> None:
    model, channels = net(small.Depthwise, point_1=[0.01 * i for i in range(12)])
    plan = make_plan(model, channels, threshold=0.5, min_channels=2)
    assert plan.keep["point.1"] == [10, 11]
    assert "point.1: all 12 channels fell under the threshold; the strongest 2 stay" in plan.notes


def test_the_minimum_is_rounded_up_and_capped_as_well() -> None:
    model, channels = net(small.Depthwise, point_1=[0.0] * 12)
    assert len(make_plan(model, channels, threshold=0.5, round_to=8).keep["point.1"]) == 8
    assert len(make_plan(model, channels, threshold=0.5, min_channels=99).keep["point.1"]) == 12


def test_a_fused_model_has_nothing_to_prune() -> None:
    model, _ = stock("yolov8n")
    fused = model.fuse(verbose=False)
    with pytest.raises(ValueError, match="the model is fused"):
        make_plan(fused, analyse(fused), ratio=0.5)


def test_a_gamma_that_is_not_finite_is_named() -> None:
    model, channels = net(small.Depthwise, point_1=[float("nan")] * 12)
    with pytest.raises(ValueError, match=r"point\.1 has a gamma that is not finite"):
        make_plan(model, channels, ratio=0.5)


def test_a_plan_is_plain_data() -> None:
    model, channels = stock("yolov8n")
    plain(make_plan(model, channels, ratio=0.5).to_dict())


def plain(value: object) -> None:
    """Refuse anything but numbers, strings, lists and dicts of exactly those types."""
    assert type(value) in {dict, list, str, int, float, type(None)}, value
    if isinstance(value, dict):
        value = [*value.keys(), *value.values()]
    for item in value if isinstance(value, list) else ():
        plain(item)


def test_json_goes_round_byte_for_byte() -> None:
    model, channels = stock("yolov8n")
    plan = make_plan(model, channels, ratio=0.37, round_to=8)
    text = plan.to_json()
    assert Plan.from_json(text) == plan
    assert Plan.from_json(text).to_json() == text
    assert make_plan(model, channels, ratio=0.37, round_to=8).to_json() == text
    assert Plan.from_dict(json.loads(text)) == plan
    assert sum(line.lstrip().startswith('"model.0.bn":') for line in text.splitlines()) == 2  # keep, widths


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"keep": []}, "the plan's keep is not by layer"),
        ({"keep": {"stem.1": "all"}}, r'the plan\'s keep of stem\.1 is "all"'),
        ({"keep": {"stem.1": [0, 1.5]}}, r"the plan's keep of stem\.1 is \[0, 1\.5\]"),
        ({"widths": {"stem.1": "16"}}, r"the plan's widths of stem\.1"),
        ({"removed": {"first": ["first.1", 3]}}, "the plan's removed of first"),
        ({"removed": {"first": None}}, "the plan's removed of first is null"),
    ],
)
def test_a_plan_of_other_types_is_refused_by_layer(change: dict[str, Any], message: str) -> None:
    model, channels = net(small.Residual)
    data = make_plan(model, channels, ratio=0.5).to_dict()
    with pytest.raises(PlanError, match=message):
        Plan.from_dict({**data, **change})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not JSON"),
        ("[]", "not a pruning plan"),
        ('{"format": 99}', "not a pruning plan of format 1"),
        ('{"format": 1, "keep": {}}', "the plan lacks widths"),
    ],
)
def test_what_is_not_a_plan_is_refused(text: str, message: str) -> None:
    with pytest.raises(PlanError, match=message):
        Plan.from_json(text)
