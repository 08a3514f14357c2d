"""Weights by least squares: what can be said again is said again, and nothing else is touched.

Also of: `slim.recovery.least_squares`.
"""

from __future__ import annotations

import copy
import dataclasses
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - its usual name

from slim.analysis.channels import analyse
from slim.pruning.apply import apply_plan
from slim.pruning.plan import make_plan
from slim.recovery.choice import output_error
from slim.recovery.least_squares import Moments, Rows, patches
from slim.recovery.reconstruct import LARGEST, reconstruct
from tests.overlay import small
from tests.overlay.networks import photo, randomise, run, stock
from tests.sampling import sampled

if TYPE_CHECKING:
    from slim.analysis.channels import Channels
    from slim.pruning.plan import Plan


def images(count: int = 12, side: int = 32) -> Tensor:
    """Return smooth noise, so that what is near is alike, as in photographs."""
    noise = torch.randn(count, 3, side // 4, side // 4, generator=torch.Generator().manual_seed(3))
    return F.interpolate(noise, scale_factor=4, mode="bilinear")


def cut(model: nn.Module, ratio: float = 0.5) -> tuple[nn.Module, Plan, Channels]:
    channels = analyse(model)
    plan = make_plan(model, channels, ratio=ratio)
    pruned = copy.deepcopy(model)
    apply_plan(pruned, plan, channels)
    return pruned, plan, channels


@pytest.mark.parametrize(
    "geometry",
    [{}, {"stride": 2}, {"padding": 0}, {"dilation": 2}, {"kernel_size": (1, 3), "padding": (0, 1), "stride": (2, 1)}],
    ids=str,
)
def test_patches_are_what_a_convolution_multiplies(geometry: dict[str, Any]) -> None:
    layer = nn.Conv2d(4, 5, **{"kernel_size": 3, "padding": 1, **geometry})
    x = torch.randn(2, 4, 9, 11)
    said = layer(x).detach()
    places = torch.stack(torch.meshgrid(*map(torch.arange, (2, *said.shape[2:])), indexing="ij"), -1).reshape(-1, 3)
    ours = patches(layer, x, places) @ layer.weight.detach().flatten(1).T + layer.bias.detach()
    torch.testing.assert_close(ours, said.permute(0, 2, 3, 1).reshape(-1, 5))


class TestMoments:
    def moments(self, x: Tensor, wanted: Tensor, weights: Tensor | None = None) -> Moments:
        """Return those of a convolution of one pixel, which reads each row of x at a place of its own."""
        layer = nn.Conv2d(x.shape[1], wanted.shape[1], 1)
        places = torch.stack((torch.zeros(len(x)), torch.zeros(len(x)), torch.arange(len(x))), 1).long()
        rows = Rows(places, wanted, torch.ones(len(x)) if weights is None else weights)
        return Moments.of(layer, x.T[None, :, None], rows)

    def test_finds_what_there_is_to_find(self) -> None:
        torch.manual_seed(0)
        x, true = torch.randn(9000, 12), torch.randn(12, 5)  # in three parts
        moments = self.moments(x, x @ true + 3)
        weight, added = moments.solve(torch.zeros(5, 12, 1, 1), centred=True)
        torch.testing.assert_close(weight.flatten(1).T, true, atol=0.05, rtol=0.05)  # the ridge holds it back a little
        torch.testing.assert_close(added, torch.full((5,), 3.0), atol=0.05, rtol=0)
        assert moments.error(weight, added) < 1e-3 < moments.error(torch.zeros(5, 12), torch.zeros(5))

    def test_the_error_is_that_of_the_rows(self) -> None:
        torch.manual_seed(0)
        x, y, weights = torch.randn(60, 4), torch.randn(60, 3) + 2, torch.rand(60)
        weight, added = torch.randn(3, 4, 1, 1), torch.randn(3)
        missed = (weights[:, None] * (x @ weight.flatten(1).T + added - y).square()).sum()
        mean = (weights[:, None] * y).sum(0) / weights.sum()
        spread = (weights[:, None] * (y - mean).square()).sum()
        halves = self.moments(x[:20], y[:20], weights[:20]) + self.moments(x[20:], y[20:], weights[20:])
        assert halves.error(weight, added) == pytest.approx(float(missed / spread), rel=1e-4)

    def test_adds_nothing_where_nothing_can_be_added(self) -> None:
        x = torch.randn(500, 4)
        assert not self.moments(x, x.sum(1, keepdim=True) + 1).solve(torch.zeros(1, 4, 1, 1), centred=False)[1].any()

    def test_stays_with_what_it_has_where_rows_are_few_or_all_the_same(self) -> None:
        own = torch.randn(2, 6, 1, 1)
        for x in (torch.randn(3, 6), torch.zeros(9, 6), torch.ones(9, 6)):
            weight, added = self.moments(x, x @ own.flatten(1).T).solve(own, centred=True)
            assert bool(weight.isfinite().all() & added.isfinite().all())
            torch.testing.assert_close(weight, own, atol=1e-4, rtol=1e-4)

    def test_goes_by_the_rows_that_count(self) -> None:
        x = torch.randn(800, 3)
        first, second = torch.tensor([[1.0], [0], [0]]), torch.tensor([[0.0], [1], [0]])
        wanted = torch.cat([x[:400] @ first, x[400:] @ second])
        weights = torch.cat([torch.ones(400), torch.full((400,), 1e-4)])
        weight, _ = self.moments(x, wanted, weights).solve(torch.zeros(1, 3, 1, 1), centred=True)
        torch.testing.assert_close(weight.flatten(), first.flatten(), atol=0.05, rtol=0)


class Doubled(small.Net):
    """Each channel of the stem has a twin that says the same, and what reads it reads both."""

    def build(self) -> None:
        self.next = small.block(16, 12, 3)
        with torch.no_grad():
            self.stem[0].weight[8:] = self.stem[0].weight[:8]

    middle = 12

    def body(self, x: Tensor) -> Tensor:
        return self.next(x)


def doubled() -> nn.Module:
    """Return the network with twins whose scales are a trifle less."""
    torch.manual_seed(0)
    model: Any = Doubled()
    nn.init.uniform_(model.next[1].weight, 2, 3)
    nn.init.uniform_(model.stem[1].bias, -0.2, 0.2)
    with torch.no_grad():
        model.stem[1].bias[8:] = model.stem[1].bias[:8]
        model.stem[1].weight[8:] *= 0.9999  # these go first
    return model.eval()


def test_what_another_channel_says_as_well_is_not_lost() -> None:
    model = doubled()
    channels = analyse(model)
    plan = make_plan(model, channels, ratio=0.29)  # eight of the 28 channels
    pruned = copy.deepcopy(model)
    apply_plan(pruned, plan, channels)
    assert plan.keep["stem.1"] == list(range(8))
    before = output_error(model, pruned, channels, images(4))
    fitted = reconstruct(model, pruned, plan, channels, images())
    after = output_error(model, pruned, channels, images(4))
    assert after < 0.02 * before
    assert [fit.layer for fit in fitted][:1] == ["next.0"]
    assert fitted[0].after < 0.01 < fitted[0].before


@pytest.mark.parametrize("kind", small.PRUNABLE, ids=lambda kind: kind.__name__)
def test_no_kind_of_network_is_made_worse(kind: type[small.Net]) -> None:
    torch.manual_seed(0)
    model = randomise(kind())
    pruned, plan, channels = cut(model)
    weights = {name: value.clone() for name, value in model.state_dict().items()}
    before, state = output_error(model, pruned, channels, images(4)), torch.get_rng_state()
    fitted = reconstruct(model, pruned, plan, channels, images())
    assert output_error(model, pruned, channels, images(4)) <= before * (1 + 1e-6)
    assert all(fit.after < fit.before for fit in fitted)
    assert all(torch.equal(value, weights[name]) for name, value in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), state)
    assert run(pruned, photo(32))  # and it still runs


@pytest.mark.parametrize(
    "name",
    sampled(
        ["yolov8n", "yolo11n", "yolo26n", "yolov10n", "yolo12n", "yolov9t", "yolov5n", "yolov8n-seg", "yolov8n-cls"],
        by_default=["yolov8n", "yolo26n", "yolov8n-cls"],
    ),
)
def test_shipped_models_say_more_of_what_they_said(name: str) -> None:
    model, channels = stock(name)
    plan = make_plan(model, channels, ratio=0.4)
    pruned = copy.deepcopy(model)
    apply_plan(pruned, plan, channels)
    before = output_error(model, pruned, channels, images(4, 64))
    assert reconstruct(model, pruned, plan, channels, images(16, 64))
    # A classifier with random weights says nearly the same of every image.
    assert output_error(model, pruned, channels, images(4, 64)) < (1 if name.endswith("cls") else 0.7) * before


@pytest.mark.parametrize("varies", [1e-3, 1e-5, 1e-7, 1e-9, 0.0])
def test_inputs_that_hardly_vary_get_no_huge_weights(varies: float) -> None:
    """A layer of which all scales fell says next to nothing; what follows it is not to shout for that."""
    torch.manual_seed(0)
    layer = nn.Conv2d(8, 4, 1)
    x = 0.01 + varies * torch.randn(6, 8, 16, 16)
    places = torch.stack(torch.meshgrid(*map(torch.arange, (6, 16, 16)), indexing="ij"), -1).reshape(-1, 3)
    wanted = 5 + torch.randn(len(places), 4)
    weight = layer.weight.detach()
    moments = Moments.of(layer, x, Rows(places, wanted, torch.ones(len(places))))
    most = 30 * float(weight.abs().max())
    fitted, added = moments.solve(weight, centred=True, most=most)
    assert float(fitted.abs().max()) <= most
    said = F.conv2d(x, fitted, added).permute(0, 2, 3, 1).reshape(-1, 4)
    torch.testing.assert_close(said.mean(0), wanted.mean(0), rtol=1e-3, atol=1e-3)  # the constant is made up for


class Reader(nn.Module):
    """A convolution that reads what another one says."""

    def __init__(self, act: nn.Module) -> None:
        super().__init__()
        self.first, self.norm, self.act = nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), act
        self.last = nn.Conv2d(8, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.act(self.norm(self.first(x))))


@pytest.mark.parametrize("act", [nn.SiLU(), nn.ReLU()], ids=str)
@pytest.mark.parametrize("left", [1e-3, 1e-6, 0.0])
def test_a_layer_that_is_shown_next_to_nothing_keeps_weights_like_its_own(act: nn.Module, left: float) -> None:
    """What is alive goes, and what says next to nothing stays, as in the box head of the demo's sparse model."""
    torch.manual_seed(0)
    model = randomise(Reader(act))
    for values in (model.norm.weight.data, model.norm.bias.data):
        values[::2] *= left
    channels = analyse(model)
    plan = make_plan(model, channels, ratio=0.5)
    keep = {key: [0, 2, 4, 6] for key in plan.keep}
    pruned = copy.deepcopy(model)
    apply_plan(pruned, dataclasses.replace(plan, keep=keep), channels)
    reconstruct(model, pruned, dataclasses.replace(plan, keep=keep), channels, images())
    most = LARGEST * float(model.last.weight.detach().abs().max())
    assert float(pruned.last.weight.detach().abs().max()) <= most


def test_half_precision_stays_half_precision() -> None:
    model = doubled()
    pruned, plan, channels = cut(model, 0.28)
    pruned = pruned.half()
    reconstruct(model, pruned, plan, channels, images())
    assert {value.dtype for value in pruned.parameters()} == {torch.float16}


def test_a_block_that_is_gone_is_no_matter() -> None:
    model, channels = stock("yolov8n")
    model.get_submodule("model.4.m.0.cv2.bn").weight.data.zero_()
    plan = make_plan(model, channels, threshold=0.05)
    assert plan.removed
    pruned = copy.deepcopy(model)
    apply_plan(pruned, plan, channels)
    fitted = reconstruct(model, pruned, plan, channels, images(8, 64))
    assert not [fit for fit in fitted if fit.layer.startswith("model.4.m.0.")]
