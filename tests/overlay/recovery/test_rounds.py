"""Channels are chosen in rounds, on what is left of the model."""

from __future__ import annotations

import copy

import pytest

from slim.costs.layer_costs import Costs
from slim.pruning.apply import apply_plan
from slim.pruning.plan import plan_of
from slim.pruning.selection import Selector
from slim.pruning.sensitivity import by_images
from slim.pruning.target import least
from slim.recovery.choice import output_error
from slim.recovery.reconstruct import reconstruct
from slim.recovery.rounds import SHRINK, in_rounds, steps
from tests.overlay.networks import stock
from tests.overlay.recovery.test_reconstruct import images

SHARE = 0.3


@pytest.mark.parametrize("share", [0.8, 0.5, 0.2, 0.01])
def test_each_round_takes_the_same_part_and_none_too_much(share):
    shares = [1.0, *steps(share), share]
    parts = [after / before for before, after in zip(shares, shares[1:], strict=False)]
    assert all(part == pytest.approx(parts[0]) for part in parts)
    assert parts[0] >= SHRINK


def test_a_target_of_everything_takes_no_round():
    assert list(steps(1.0)) == []


@pytest.fixture(scope="module")
def case():
    model, channels = stock("yolov8n")
    shown, costs = images(12, 64), Costs.of(model, channels, 64)
    dense = costs.total(channels, ()).flops

    def reached(selector, left):
        return least(selector, lambda tried: costs.total(channels, tried.lost, tried.removed).flops, left * dense)[0]

    return model, channels, shown, reached


def test_what_went_in_one_round_goes_in_the_end(case):
    model, channels, shown, reached = case
    first = Selector(model, channels, by_images(model, channels, [shown]))
    gone = []

    def noted(selector, left):
        gone.append(reached(selector, left).lost)
        return reached(selector, left)

    last = in_rounds(first, shown, SHARE, noted, {})
    lost = reached(last, SHARE).lost
    assert len(gone) == len(list(steps(SHARE))) == 3
    for one, other in zip(gone, [*gone[1:], lost], strict=True):
        assert len(one - other) <= 0.1 * len(one)  # but for what counts make stay


def test_the_outputs_lose_no_more_by_it(case):
    model, channels, shown, reached = case
    once = Selector(model, channels, by_images(model, channels, [shown]))
    errors = []
    for selector in (once, in_rounds(once, shown, SHARE, reached, {})):
        plan = plan_of(selector, reached(selector, SHARE))
        pruned = copy.deepcopy(model)
        apply_plan(pruned, plan, channels)
        reconstruct(model, pruned, plan, channels, shown)
        errors.append(output_error(model, pruned, channels, images(4, 64)))
    assert errors[1] < 1.02 * errors[0]
