"""Attention in the forms that code gives it: what can be counted goes, what cannot stays and says why."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from slim.analysis.channels import analyse
from slim.costs.measure import count_parameters
from slim.pruning.apply import apply_plan, mask_plan
from slim.pruning.plan import make_plan
from tests.overlay.networks import assert_same, differ, photo, randomise, run
from tests.overlay.small import Net, block

WIDTH, HEADS = 16, 2


class Attend(nn.Module):
    """Two heads; a subclass says how wide its queries are, and by what their products are scaled."""

    key_dim = 4

    def __init__(self) -> None:
        super().__init__()
        self.heads = HEADS
        self.key_dim, self.head_dim = type(self).key_dim, WIDTH // HEADS
        self.scale = 0.3
        self.qkv = block(WIDTH, HEADS * (2 * self.key_dim + self.head_dim))[:2]
        self.proj = block(WIDTH, WIDTH)[:2]

    def parts(self, x: Tensor) -> tuple[Tensor, ...]:
        b, _, h, w = x.shape
        heads = self.qkv(x).view(b, self.heads, 2 * self.key_dim + self.head_dim, h * w)
        return heads.split([self.key_dim, self.key_dim, self.head_dim], 2)

    def weights(self, q: Tensor, k: Tensor) -> Tensor:
        return ((q * self.scale).transpose(-2, -1) @ k).softmax(-1)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.parts(x)
        return self.proj((v @ self.weights(q, k).transpose(-2, -1)).view(x.shape))


class OneHead(Attend):
    """A head as wide as the input, which by chance keeps what a plan of one channel each would leave it."""

    def __init__(self) -> None:
        super().__init__()
        self.heads, self.head_dim = 1, WIDTH
        self.qkv = block(WIDTH, 2 * self.key_dim + WIDTH)[:2]


class OwnWidth(Attend):
    """Its heads need not add up to the width of its input."""

    def __init__(self) -> None:
        super().__init__()
        self.all_heads = WIDTH

    def forward(self, x: Tensor) -> Tensor:
        b, _, h, w = x.shape
        q, k, v = self.parts(x)
        return self.proj((v @ self.weights(q, k).transpose(-2, -1)).reshape(b, self.all_heads, h, w))


class ComputedScale(Attend):
    """The scale is computed from a size that changes, before the product: the BatchNorm can make up for it."""

    def weights(self, q: Tensor, k: Tensor) -> Tensor:
        return ((q * self.key_dim**-0.5).transpose(-2, -1) @ k).softmax(-1)


class DividedScale(Attend):
    def weights(self, q: Tensor, k: Tensor) -> Tensor:
        return ((q / self.key_dim**0.5).transpose(-2, -1) @ k).softmax(-1)


class ScaledProduct(Attend):
    """The scale comes after the product, which is linear in the queries' BatchNorm and in the keys'."""

    def weights(self, q: Tensor, k: Tensor) -> Tensor:
        return (q.transpose(-2, -1) @ k / self.key_dim**0.5).softmax(-1)


class Equal(Attend):
    """Queries as wide as values, as a round of pruning may leave them: only the code says which is which."""

    key_dim = WIDTH // HEADS


class AsManyAsHeads(Attend):
    key_dim = HEADS


class EqualComputedScale(ComputedScale):
    """From which of two equal sizes a number was computed, only a pass tells in which they are equal no more."""

    key_dim = WIDTH // HEADS


class Crooked(ComputedScale):
    """What is scaled has been through more than a BatchNorm, which makes no factor good."""

    def parts(self, x: Tensor) -> tuple[Tensor, ...]:
        q, k, v = super().parts(x)
        return nn.functional.silu(q), k, v


def network(attend: type[Attend]) -> Net:
    class Attentive(Net):
        def build(self) -> None:
            self.attend = attend()

        def body(self, x: Tensor) -> Tensor:
            x = nn.functional.max_pool2d(x, 8)  # attention is quadratic in pixels
            return x + self.attend(x)

    torch.manual_seed(0)
    return randomise(Attentive())  # type: ignore[return-value]


@pytest.mark.parametrize("ratio", [0.2, 0.4, 0.6])
@pytest.mark.parametrize(
    "attend",
    [Attend, OneHead, OwnWidth, ComputedScale, DividedScale, ScaledProduct, Crooked, Equal, EqualComputedScale],
)
def test_pruned_is_masked(attend: type[Attend], ratio: float) -> None:
    masked = network(attend)
    pruned, channels, full = copy.deepcopy(masked), analyse(masked), run(masked, photo(32))
    plan = make_plan(masked, channels, ratio=ratio)
    mask_plan(masked, plan, channels)
    apply_plan(pruned, plan, channels, fold=False)
    assert_same(run(pruned, photo(32)), run(masked, photo(32)), atol=1e-5)
    assert differ(full, run(masked, photo(32)))
    assert count_parameters(pruned) < count_parameters(masked)


@pytest.mark.parametrize(
    "attend",
    [
        *(Attend, OneHead, OwnWidth, ComputedScale, DividedScale, ScaledProduct, Equal, EqualComputedScale),
        AsManyAsHeads,
    ],
)
def test_queries_keys_and_values_are_prunable(attend: type[Attend]) -> None:
    channels = analyse(network(attend))
    assert channels.reasons() == {}
    assert {("attend", name) for name in ("key_dim", "head_dim")} <= channels.attributes.keys()


def test_queries_stay_where_their_scale_cannot_be_made_up_for() -> None:
    channels = analyse(network(Crooked))
    reasons = [channels.frozen.get(group) for group in channels.outputs["attend.qkv.1"][:16]]
    assert reasons == ["number computed from a width in attend"] * 8 + [None] * 8, "the values beside them may go"


@pytest.mark.parametrize("attend", [ComputedScale, DividedScale, ScaledProduct, EqualComputedScale])
def test_a_scale_is_made_up_for_by_the_size_it_was_computed_from(attend: type[Attend]) -> None:
    channels = analyse(network(attend))
    assert [(layer, width, power) for layer, _, width, power in channels.rescaled] == [
        ("attend.qkv.1", "attend:key_dim", -0.5)
    ]


def test_a_scale_that_is_kept_does_not_change() -> None:
    assert analyse(network(Attend)).rescaled == ()


def test_the_width_of_the_input_is_free_where_heads_have_their_own() -> None:
    tied, free = analyse(network(Attend)), analyse(network(OwnWidth))
    stream = tied.outputs["stem.1"]
    assert any(stream[:8] in cut for cut in tied.cuts)
    assert not any(free.outputs["stem.1"][:8] in cut for cut in free.cuts)
    assert len(free.attributes["attend", "all_heads"]) == WIDTH
