"""Targets: how they are written, and the least that must go to reach one, on models that upstream ships."""

from __future__ import annotations

import pytest
import torch

from slim.costs.layer_costs import Costs
from slim.costs.measure import count_parameters
from slim.passes.flops import count_flops
from slim.pruning.apply import apply_plan
from slim.pruning.importance import Importance
from slim.pruning.plan import plan_of
from slim.pruning.selection import Selector
from slim.pruning.target import Target, TargetError, reach
from slim.pruning.validate import lost_groups
from tests.overlay.networks import stock
from tests.sampling import sampled

IMGSZ = 160


@pytest.mark.parametrize(
    ("text", "kind", "amount", "share"),
    [
        ("params=0.1", "params", 0.1, True),
        ("params=.1", "params", 0.1, True),
        ("params=10%", "params", 0.1, True),
        ("params=300k", "params", 300_000, False),
        ("params=0.3M", "params", 300_000, False),
        ("params=300000", "params", 300_000, False),
        ("flops=0.2", "flops", 0.2, True),
        ("FLOPs=1.2G", "flops", 1.2e9, False),
        ("flops=800MFLOPs", "flops", 8e8, False),
        ("flops=1.2e9", "flops", 1.2e9, False),
        ("latency=0.4", "latency", 0.4, True),
        ("latency=5ms", "latency", 5, False),
        ("latency=5 ms", "latency", 5, False),
        ("latency=0.02s", "latency", 20, False),
        ("latency=1", "latency", 1, True),
    ],
)
def test_is_a_share_up_to_one_or_a_number_with_a_unit(text, kind, amount, share):
    target = Target.parse(text)
    assert (target.kind, target.share) == (kind, share)
    assert target.amount == pytest.approx(amount)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("params", "give one of params, flops, latency"),
        ("0.1", "give one of"),
        ("size=0.1", "give one of"),
        ("params=", "give one of"),
        ("params=-0.1", "give one of"),
        ("params=small", "give one of"),
        ("params=0", "must be more than nothing"),
        ("params=120%", "a share at most 1"),
        ("latency=5", "latency is a share up to 1, or a number with one of us, µs, ms, s or %"),
        ("params=3ms", "params is a share"),
        ("flops=1e999", "must be more than nothing"),
    ],
)
def test_one_that_makes_no_sense_is_refused_with_an_example(text, words):
    with pytest.raises(TargetError, match=words) as caught:
        Target.parse(text)
    assert str(caught.value).startswith(f"--target {text}: ")


def reached(model, channels, text, **options):
    """Return the plan, what a plan costs, and the limit."""
    target, costs = Target.parse(text), Costs.of(model, channels, IMGSZ)
    selector = Selector(model, channels, Importance.of(model, channels), **options)

    def price(plan):
        return costs.total(channels, lost_groups(plan, channels)).of(target.kind)

    limit = target.limit(costs.total(channels, ()).of(target.kind))
    chosen = reach(target, selector, lambda tried: costs.total(channels, tried.lost).of(target.kind), limit)
    return plan_of(selector, chosen), price, limit


@pytest.mark.parametrize(
    ("name", "text"),
    sampled(
        [("yolov8n", "params=0.3"), ("yolo11n", "flops=0.25"), ("yolo26n", "flops=100M"), ("yolov5nu", "params=500k")],
        by_default=[("yolov8n", "params=0.3"), ("yolo26n", "flops=100M")],
    ),
)
def test_leaves_as_much_as_is_allowed_and_no_more(name, text):
    model, channels = stock(name)
    dense = {"params": count_parameters(model), "flops": count_flops(model, IMGSZ)}
    kind = text.partition("=")[0]

    plan, price, limit = reached(model, channels, text)
    apply_plan(model, plan, channels)

    counted = {"params": count_parameters(model), "flops": count_flops(model, IMGSZ)}[kind]
    assert counted == price(plan)
    assert 0.98 * limit < counted <= limit < dense[kind]


def test_holds_with_rounding():
    model, channels = stock("yolov8n")
    plan, price, limit = reached(model, channels, "params=0.4", round_to=8)
    assert 0.9 * limit < price(plan) <= limit


def test_works_where_all_scores_are_equal():
    model, channels = stock("yolov8n")
    for name in channels.norms:
        model.get_submodule(name).weight.data.fill_(1)
    plan, price, limit = reached(model, channels, "flops=0.5")
    assert 0.98 * limit < price(plan) <= limit


def test_that_is_the_dense_model_drops_nothing():
    model, channels = stock("yolov8n")
    plan, _, _ = reached(model, channels, "params=1")
    assert all(len(keep) == plan.widths[name] for name, keep in plan.keep.items())


@pytest.mark.parametrize(
    "options", sampled([{}, {"min_channels": 16}, {"round_to": 32}], by_default=[{"round_to": 32}])
)
def test_out_of_reach_says_what_is_the_least(options):
    model, channels = stock("yolov8n")
    with pytest.raises(TargetError, match=r"cannot be reached: at least [\d,]+ parameters are left, 301 ") as caught:
        reached(model, channels, "params=301", **options)
    least = int(str(caught.value).partition("at least ")[2].partition(" ")[0].replace(",", ""))
    plan, price, _ = reached(model, channels, f"params={least}", **options)
    assert price(plan) == least


@pytest.mark.parametrize(("name", "kind"), [("yolov8n", "flops"), ("yolo11n", "params")])
def test_weighed_scores_keep_more_channels_for_the_same_cost(name, kind):
    """What is dear goes first, so more of what is cheap may stay."""
    model, channels = stock(name)
    costs, plain = Costs.of(model, channels, IMGSZ), Importance.of(model, channels)
    prices = {group: total.of(kind) for group, total in costs.of_groups(channels).items()}
    kept = {}
    for importance in (plain, plain.weighed(prices, kind)):
        selector = Selector(model, channels, importance)
        chosen = reach(
            Target.parse(f"{kind}=0.4"),
            selector,
            lambda tried: costs.total(channels, tried.lost).of(kind),
            0.4 * costs.total(channels, ()).of(kind),
        )
        plan = plan_of(selector, chosen)
        kept[importance.by] = sum(len(plan.keep[name]) for name in channels.norms if name in plan.keep)
    assert kept[kind] > 1.05 * kept["gamma"]


class TestWeighed:
    def weighed(self):
        model, channels = stock("yolov8n")
        importance = Importance.of(model, channels)
        prices = {g: t.flops for g, t in Costs.of(model, channels, IMGSZ).of_groups(channels).items()}
        return importance, importance.weighed(prices, "flops"), prices

    def test_take_the_order_of_gamma_squared_per_cost(self):
        importance, weighed, prices = self.weighed()
        by_worth = sorted(prices, key=lambda group: importance.of_group[group] ** 2 / prices[group])
        by_score = sorted(prices, key=lambda group: weighed.of_group[group])
        assert [round(weighed.of_group[g], 9) for g in by_worth] == [round(weighed.of_group[g], 9) for g in by_score]

    def test_do_not_shift_as_a_whole(self):
        importance, weighed, _ = self.weighed()
        shift = sum(
            importance.weight[g] * torch.tensor(weighed.of_group[g] / importance.of_group[g]).log().item()
            for g in importance.of_group
            if importance.of_group[g]
        )
        assert shift / sum(importance.weight.values()) == pytest.approx(0, abs=1e-3)

    def test_do_not_depend_on_the_unit(self):
        importance, weighed, prices = self.weighed()
        again = importance.weighed({group: price / 1e9 for group, price in prices.items()}, "flops")
        assert again.of_group == pytest.approx(weighed.of_group)

    def test_leave_zero_where_it_is(self):
        model, channels = stock("yolov8n")
        model.get_submodule("model.9.cv1.bn").weight.data[:5] = 0
        importance = Importance.of(model, channels)
        prices = {g: t.flops for g, t in Costs.of(model, channels, IMGSZ).of_groups(channels).items()}
        last = importance.weighed(prices, "flops").ranked(importance.of_group)[-5:]
        assert set(last) == set(channels.outputs["model.9.cv1.bn"][:5])
