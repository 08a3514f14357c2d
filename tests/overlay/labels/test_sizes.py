"""Sizes that know where they came from: what code asks for binds channels, and nothing else does.

Also of: `slim.labels.aliases`, `slim.labels.asking`, `slim.passes.caller`, `slim.rules.cutting`, `slim.rules.views`.
"""

from __future__ import annotations

import copy
from fractions import Fraction
from typing import Any, Callable

import pytest
import torch

from slim.analysis.channels import analyse
from slim.labels.sizes import Size, Source, part_of, terms_of
from slim.pruning.apply import apply_plan, mask_plan
from slim.pruning.plan import make_plan
from tests.overlay.networks import assert_same, differ, photo, randomise, run
from tests.overlay.size_networks import CUTS, HEADS, IN_PLACE, SHUFFLES, SPOILED, WIDTH, Around, Piece

OUT = {"zeros": WIDTH + 8, "weight": WIDTH + 8}


def network(name: str, make: Callable[[], Piece]) -> Any:
    torch.manual_seed(0)
    return randomise(Around(make(), OUT.get(name, WIDTH)))


def prove(model: Any) -> None:
    """Demand that the pruned network says what the masked one says, for uneven plans and images of two sizes."""
    channels = analyse(model)
    for seed, round_to in ((0, 1), (1, 1), (2, 4)):
        full = randomise(copy.deepcopy(model), seed)
        plan = make_plan(full, channels, ratio=0.4, round_to=round_to)
        pruned, masked = copy.deepcopy(full), copy.deepcopy(full)
        apply_plan(pruned, plan, channels, fold=False)
        mask_plan(masked, plan, channels)
        for image in (photo(32, batch=2), photo(64)[..., :32, :]):
            assert_same(run(pruned, image), run(masked, image))
        assert differ(run(full, photo(32)), run(masked, photo(32))), "the mask must matter"


@pytest.mark.parametrize(
    ("name", "make"),
    [
        pytest.param(n, m, id=f"{k}: {n}")
        for k, kind in enumerate((SHUFFLES, CUTS, HEADS, IN_PLACE))
        for n, m in kind.items()
    ],
)
def test_what_code_does_to_its_channels_is_followed(name: str, make: Callable[[], Piece]) -> None:
    model = network(name, make)
    channels = analyse(model)
    assert channels.reasons() == {}
    prove(model)


@pytest.mark.parametrize(("name", "make"), SPOILED.items(), ids=SPOILED)
def test_what_may_not_lose_channels_is_frozen_by_name(name: str, make: Callable[[], Piece]) -> None:
    model = network(name, make)
    channels = analyse(model)
    assert "before.1" in channels.reasons()
    assert channels.prunable("stem.1") == [True] * 8
    prove(model)


def test_only_the_channels_before_a_written_bound_stay() -> None:
    channels = analyse(network("", lambda: Piece(lambda _, x: torch.cat([x[:, 6:], x[:, :6].tanh()], 1))))
    assert channels.prunable("before.1") == [False] * 6 + [True] * (WIDTH - 6)


def test_an_attribute_that_only_divides_is_no_width() -> None:
    channels = analyse(network("", CUTS["a divisor"]))
    assert channels.attributes == {}
    assert analyse(network("", CUTS["c1 and c2 unread"])).attributes == {}


def test_sizes_in_a_list_are_changed_in_a_list_of_their_own() -> None:
    model = network("", CUTS["list"])
    held = model.piece.sizes
    plan = make_plan(model, analyse(model), ratio=0.5)
    apply_plan(model, plan)
    assert held == [8, 16]
    assert sum(model.piece.sizes) == model.before[1].num_features < WIDTH
    assert all(type(size) is int for size in model.piece.sizes)


def test_a_size_remembers_its_origin_through_arithmetic() -> None:
    width, other = Size.of(24, Source("a", "dim")), Size.of(8, Source("a", "other"))
    assert terms_of(3 * width // 4 - width // 4) == ((Source("a", "dim"), Fraction(1, 2)),)
    assert dict(terms_of(width + 2 * other)) == {Source("a", "dim"): 1, Source("a", "other"): 2}
    assert terms_of(width // 5) == terms_of(width % 5) == terms_of(width + 1) == terms_of(width - width) == ()
    assert (width // 5, width % 5, width + 1, 1 - width, -width, width / 5) == (4, 4, 25, -23, -24, 4.8)
    assert part_of(width, 3) == 8
    assert terms_of(width >> 1) == terms_of(divmod(width, 2)[0]) == ((Source("a", "dim"), Fraction(1, 2)),)
    assert terms_of(width * other) == ((Source("a", "dim"), Fraction(8)),)
    assert type(copy.deepcopy(width)) is int


def test_only_the_twin_holds_such_sizes() -> None:
    model = network("", HEADS["apart"])
    analyse(model)
    assert type(model.piece.heads) is int
    assert all(type(size) is int for size in (model.before[0].out_channels, model.before[1].num_features))
