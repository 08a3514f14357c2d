"""A rule an operator: what it leaves prunable runs as the masked model does, and what it freezes says why.

Also of: `slim.labels.binding`, `slim.labels.labels`, `slim.labels.planes`, `slim.rules.operators`,
`slim.rules.rules_arithmetic`, `slim.rules.rules_attention`, `slim.rules.rules_reductions`,
`slim.rules.rules_spatial`, `slim.rules.rules_weights`.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import nn

from slim.analysis.channels import analyse
from slim.pruning.apply import apply_plan, mask_plan
from slim.pruning.plan import make_plan
from tests.overlay import norm_networks as norms
from tests.overlay import picture_networks as images
from tests.overlay import place_networks as places
from tests.overlay import rule_networks as rules
from tests.overlay import weight_networks as weights
from tests.overlay.networks import assert_same, differ, photo, randomise, run

if TYPE_CHECKING:
    from tests.overlay.rule_networks import Around, Case

KINDS = {
    "activation": rules.ACTIVATIONS,
    "element": rules.ELEMENTS,
    "reduction": rules.REDUCTIONS,
    "stack": rules.STACKS,
    "join": rules.JOINS,
    "image": images.PICTURES,
    "kernel": weights.KERNELS,
    "computed": weights.COMPUTED,
    "twice": weights.TWICE,
    "value": norms.VALUES,
    "norm": norms.NORMS,
    "attention": norms.ATTENTION,
    "folded": norms.FOLDED,
    "written": places.WRITTEN,
    "cut": places.CUT,
    "given": places.GIVEN,
}
CASES = [pytest.param(case, id=f"{kind}-{name}") for kind, cases in KINDS.items() for name, case in cases.items()]


def build(case: Case, seed: int) -> Around:
    torch.manual_seed(seed)
    return randomise(case.build(), seed)  # type: ignore[return-value]


@pytest.mark.parametrize("case", CASES)
def test_pruned_is_masked_and_what_is_frozen_says_why(case: Case) -> None:
    channels = analyse(build(case, 0), torch.zeros(1, 3, 32, 32))
    assert channels.reasons().get("before.1", "") == case.frozen
    assert case.frozen or {*channels.reasons().values()} == {*filter(None, [case.beside])}
    assert all(channels.prunable("before.1")) == (not case.frozen)
    for seed, ratio in ((0, 0.2), (1, 0.4), (2, 0.6)):
        masked = build(case, seed)
        pruned, full = copy.deepcopy(masked), run(masked, photo(32, batch=2))
        plan = make_plan(masked, channels, ratio=ratio)
        mask_plan(masked, plan, channels)
        apply_plan(pruned, plan, channels, fold=False)
        assert differ(full, run(masked, photo(32, batch=2))), "the mask must matter"
        for image in (photo(32).to(case.kind), photo(32, batch=2).to(case.kind)):
            assert_same(run(pruned.to(case.kind), image), run(masked.to(case.kind), image), atol=1e-4)
    assert ("before.1" in plan.keep and len(plan.keep["before.1"]) < rules.WIDTH) == (not case.frozen)


def test_an_image_is_made_for_a_first_layer_whose_weight_is_renewed() -> None:
    torch.manual_seed(0)
    first = weights.Renewed(nn.Conv2d(3, rules.WIDTH, 3))
    norm, last = nn.BatchNorm2d(rules.WIDTH), nn.Conv2d(rules.WIDTH, 5, 1)
    model: Any = randomise(nn.Sequential(first, norm, nn.SiLU(), last))
    plan = make_plan(model, channels := analyse(model), ratio=0.4)
    masked = copy.deepcopy(model)
    mask_plan(masked, plan, channels)
    apply_plan(model, plan, channels, fold=False)
    assert len(model[0].layer.weight_bar) == len(model[0].gain) == len(plan.keep["1"]) < rules.WIDTH
    assert_same(run(model, photo(32)), run(masked, photo(32)))


@pytest.mark.parametrize(
    ("case", "told"),
    [
        (weights.KERNELS["parameter_and_norm"], True),
        (rules.REDUCTIONS["sum_over_channels"], True),
        (rules.ELEMENTS["simam"], False),
    ],
)
def test_what_is_mixed_by_code_and_not_folded_is_told(case: Case, *, told: bool) -> None:
    model = build(case, 0)
    channels = analyse(model, torch.zeros(1, 3, 32, 32))
    notes = apply_plan(model, make_plan(model, channels, ratio=0.5), channels)
    assert ("not folded where code mixes channels by itself: place" in notes) == told
