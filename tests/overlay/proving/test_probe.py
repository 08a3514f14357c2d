"""What code does with a width is found by comparing the masked model with the sliced one, and blamed on a module.

Also of: `slim.labels.kept`, `slim.labels.made_up`, `slim.labels.rescaling`, `slim.passes.hearing`,
`slim.proving.twins`, `slim.proving.walks`.
"""

from __future__ import annotations

import copy
import random
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from slim.analysis.channels import Channels, analyse
from slim.analysis.proof import UnprovenError, proven
from slim.proving.drops import shares
from slim.pruning.apply import apply_plan, mask_plan
from slim.pruning.plan import make_plan
from tests.overlay import probe_networks as kinds
from tests.overlay.networks import assert_same, differ, photo, randomise, run
from tests.overlay.probe_networks import Net, Piece, run_on_two_sizes
from tests.overlay.small import block

if TYPE_CHECKING:
    from collections.abc import Callable

RATIOS = (0.2, 0.45, 0.7)


def made(piece: Callable[[], Piece], seed: int = 0) -> Net:
    torch.manual_seed(0)
    return randomise(Net(piece), seed)  # type: ignore[return-value]


def assert_proven(network: Net, channels: Channels) -> None:
    """Demand that pruned is masked, for several shares and scales, uneven as random scales are, at two sizes."""
    for seed, ratio in enumerate(RATIOS):
        masked = randomise(copy.deepcopy(network), seed + 1)
        pruned, full = copy.deepcopy(masked), run_on_two_sizes(masked)
        plan = make_plan(masked, channels, ratio=ratio)
        apply_plan(pruned, plan, channels, fold=False)
        mask_plan(masked, plan, channels)
        assert_same(run_on_two_sizes(pruned), run_on_two_sizes(masked), atol=1e-5)
        assert differ(full, run_on_two_sizes(masked)), "the mask must matter"


class TestNumbers:
    """Numbers that code computes from a width."""

    @pytest.mark.parametrize("piece", kinds.MADE_UP)
    def test_are_made_up_for(self, piece: type[Piece]) -> None:
        network = made(piece)
        channels = analyse(network)
        assert channels.reasons() == {}
        assert channels.rescaled
        assert_proven(network, channels)

    @pytest.mark.parametrize("piece", kinds.NUMBERS)
    def test_freeze_the_width_that_decides_them(self, piece: type[Piece]) -> None:
        network = made(piece)
        channels = analyse(network)
        assert channels.reasons() == {"before.1": "number computed from a width in piece"}
        assert_proven(network, channels)

    def test_that_are_no_power_of_a_width_are_no_guess(self) -> None:
        network = made(kinds.Logarithm)
        channels = analyse(network)
        assert channels.reasons() == {"before.1": "number computed from a width in piece"}
        assert_proven(network, channels)

    def test_are_made_up_for_in_the_weights_of_what_reads_the_product(self) -> None:
        channels = analyse(made(kinds.OverWidth))
        layers = [(layer, len(columns), power) for layer, columns, _, power in channels.rescaled]
        assert layers == [("after.0", kinds.WIDTH, -1)]

    def test_do_not_touch_what_else_a_layer_reads(self) -> None:
        class Beside(Piece):
            def build(self) -> None:
                self.cut = block(2 * kinds.WIDTH, kinds.WIDTH)
                self.own = block(kinds.WIDTH, kinds.WIDTH)

            def forward(self, x: Tensor) -> Tensor:
                return self.cut(torch.cat([x / x.shape[1], self.own(x)], 1))

        network = made(Beside)
        channels = analyse(network)
        assert [(layer, columns) for layer, columns, _, _ in channels.rescaled] == [("piece.cut.0", tuple(range(16)))]
        assert channels.reasons() == {}
        assert_proven(network, channels)

    def test_that_a_module_keeps_do_not_change(self) -> None:
        class Kept(kinds.Attention):
            def build(self) -> None:
                super().build()
                self.scale = (kinds.WIDTH // kinds.HEADS) ** -0.5

            def weights(self, q: Tensor, k: Tensor) -> Tensor:
                return (q.transpose(-2, -1) @ k * self.scale).softmax(-1)

        assert analyse(made(Kept)).rescaled == ()


class TestBlame:
    """Code that is another at another width, or that looks at all channels."""

    @pytest.mark.parametrize("piece", kinds.DIFFERENT)
    def test_what_enters_the_module_stays_and_the_rest_is_prunable(self, piece: type[Piece]) -> None:
        network = made(piece)
        channels = analyse(network)
        assert set(channels.reasons()) == {"before.1"}
        assert channels.reasons()["before.1"].endswith(" in piece")
        assert_proven(network, channels)

    def test_a_branch_on_a_width_that_runs_other_layers_is_found(self) -> None:
        network = made(kinds.OtherLayers)
        assert not any(analyse(network).prunable("before.1"))

    def test_what_a_modules_own_layers_make_is_frozen_before_anything_around_it(self) -> None:
        network = made(kinds.FixedHeads)
        channels = analyse(network)
        assert {name for name in channels.norms if all(channels.prunable(name))} == {"stem.1", "after.1"}
        assert_proven(network, channels)

    def test_code_of_the_model_itself_keeps_only_what_it_spoils(self) -> None:
        class Spoilt(Net):
            def forward(self, x: Tensor) -> Tensor:
                y = self.before(self.stem(x))
                return self.head(self.after(y * torch.as_tensor(y.detach().numpy()[:, :1])))

        network: Any = randomise(Spoilt(Piece))
        channels = analyse(network)
        assert channels.reasons() == {"before.1": "differs in the model"}
        assert_proven(network, channels)

    def test_a_choice_among_equals_is_no_difference(self) -> None:
        network = made(kinds.BestPlaces)
        assert analyse(network).reasons() == {}

    def test_a_choice_by_what_differs_is_one(self) -> None:
        network = made(kinds.WorsePlaces)
        channels = analyse(network)
        assert set(channels.reasons()) == {"before.1"}
        assert_proven(network, channels)

    def test_a_shared_module_that_is_right_is_not_blamed(self) -> None:
        class Shared(Piece):
            def build(self) -> None:
                self.gate = nn.Softplus()
                self.one, self.two = block(kinds.WIDTH, kinds.WIDTH)[:2], block(kinds.WIDTH, kinds.WIDTH)[:2]

            def forward(self, x: Tensor) -> Tensor:
                return x * self.gate(self.one(x)) * self.gate(self.two(x))

        assert analyse(made(Shared)).reasons() == {}


class TestDrops:
    """What a copy lacks when it is tried."""

    def test_layers_of_one_width_lose_another_number_each(self) -> None:
        channels = analyse(made(Piece))
        for place in (0, 1):
            lost = shares(channels, place)
            counts = [sum(group in lost for group in channels.outputs[name]) for name in ("stem.1", "before.1")]
            assert counts[0] != counts[1]
            assert all(0 < count < kinds.WIDTH for count in counts)

    def test_lack_every_channel_in_one_of_the_two(self) -> None:
        channels = analyse(made(kinds.Attention))
        free = {group for name in channels.norms for group in channels.outputs[name]} - channels.frozen.keys()
        assert shares(channels, 0) | shares(channels, 1) == free

    def test_are_the_same_every_time_and_leave_pythons_chance_alone(self) -> None:
        channels, state = analyse(made(Piece)), random.getstate()
        assert shares(channels, 1) == shares(channels, 1)
        assert random.getstate() == state

    def test_take_nothing_that_must_stay_and_keep_parts_even(self) -> None:
        network = made(kinds.Attention)
        channels = analyse(network)
        for lost in (shares(channels, 0), shares(channels, 1)):
            assert lost.isdisjoint(channels.frozen)
            for parts in channels.cuts:
                assert len({sum(group in lost for group in part) for part in parts}) == 1


class TestPlans:
    """A plan is proven before it is applied."""

    def plan(self, network: Net, channels: Channels) -> Any:
        """Keep as many channels of `before` as the piece cannot stand."""
        gamma = network.before[1].weight.data
        gamma[:] = 1.0
        gamma[kinds.OneWidth.width :] = 1e-3
        return make_plan(network, channels, threshold=0.01)

    def test_that_the_model_does_not_stand_is_refused_by_name_and_changes_nothing(self) -> None:
        network = made(kinds.OneWidth)
        channels = analyse(network)
        assert channels.reasons() == {}, "no drop has hit this width"
        plan = self.plan(network, channels)
        before = copy.deepcopy(network.state_dict())
        with pytest.raises(UnprovenError, match="begins in piece ") as caught:
            apply_plan(network, plan, channels)
        assert caught.value.module == "piece"
        assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())

    def test_is_made_anew_without_what_it_could_not_lose(self) -> None:
        network = made(kinds.OneWidth)
        channels = analyse(network)
        self.plan(network, channels)

        def apply(plan: Any) -> Net:
            pruned = copy.deepcopy(network)
            apply_plan(pruned, plan, channels, fold=False)
            return pruned

        plan, pruned = proven(channels, lambda free: make_plan(network, free, threshold=0.01), apply)
        assert len(pruned.before[1].weight) == kinds.WIDTH
        assert plan.notes[0].startswith("differs in piece (")
        masked = copy.deepcopy(network)
        mask_plan(masked, plan, channels)
        assert_same(run(pruned, photo(32)), run(masked, photo(32)), atol=1e-5)

    def test_that_nothing_mends_is_refused(self) -> None:
        network = made(kinds.OneWidth)
        channels = analyse(network)
        plan = self.plan(network, channels)
        with pytest.raises(UnprovenError):
            proven(channels, lambda _: plan, lambda plan: apply_plan(copy.deepcopy(network), plan, channels))


def test_neither_numpys_chance_nor_pythons_is_touched() -> None:
    network = made(kinds.Attention)
    random.seed(3)
    np.random.seed(3)  # noqa: NPY002 - which a user's code may use
    before = random.getstate(), np.random.get_state()[1].tolist()  # noqa: NPY002
    analyse(network)
    assert (random.getstate(), np.random.get_state()[1].tolist()) == before  # noqa: NPY002


def test_an_untrained_models_signals_hide_nothing() -> None:
    torch.manual_seed(0)
    network = Net(kinds.FirstChannel)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.zeros_(module.weight)
    assert analyse(network.eval()).reasons() == {"before.1": "differs in piece"}


def test_what_a_zero_scale_hides_today_is_found() -> None:
    class Residual(Piece):
        """A branch that begins at nothing, as in self-attention GANs."""

        def build(self) -> None:
            self.gamma = nn.Parameter(torch.zeros(1))

        def forward(self, x: Tensor) -> Tensor:
            return x + self.gamma * torch.as_tensor(x.detach().numpy()[:, :1]).tanh()

    assert not any(analyse(made(Residual)).prunable("before.1"))
