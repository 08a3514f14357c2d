"""The penalty in itself: how far it moves which scales, and what it says."""

from __future__ import annotations

import logging

import pytest
import torch
from torch import nn

from slim.sparsity import Penalty, penalize
from tests.overlay.sparse_run import ARGUMENTS, LR0, Net, Run, state

BATCHES = 4


def summed(epochs, batches, sparsity, decay=0.9):
    """Σ lr·λ by hand: the schedule and λ(epoch) = sparsity·(1 - decay·epoch/epochs), over all steps."""
    rates = [LR0 * ((1 - e / epochs) * 0.99 + 0.01) for e in range(epochs)]
    return batches * sum(rate * sparsity * (1 - decay * e / epochs) for e, rate in enumerate(rates))


@pytest.mark.parametrize(("epochs", "decay"), [(1, 0.9), (3, 0.9), (3, 0.0), (5, 1.0)])
def test_every_scale_moves_by_the_sum_of_rate_times_strength(epochs, decay):
    run = Run(epochs=epochs, sparsity=0.2, sparsity_decay=decay).train()

    moved = 1 - run.model.norm1.weight
    torch.testing.assert_close(moved, torch.full((8,), summed(epochs, BATCHES, 0.2, decay)), rtol=1e-5, atol=1e-6)
    assert run.stated == pytest.approx(summed(epochs, BATCHES, 0.2, decay))


def test_strength_falls_to_a_tenth_over_the_run():
    run = Run(epochs=100, sparsity=0.01)
    penalty = Penalty(run)
    seen = []
    for run.epoch in (0, 50, 99):
        seen.append(penalty.strength_now())
    assert seen == pytest.approx([0.01, 0.01 * 0.55, 0.01 * (1 - 0.9 * 0.99)])


def test_signs_are_kept_and_zero_is_exact_and_final():
    run = Run(epochs=6, sparsity=0.5)
    start = torch.tensor([1.0, -1.0, 0.3, -0.3, 0.01, -0.01, 0.0, 2.0])
    run.model.norm1.weight.data.copy_(start)
    run.train()

    left = (start.abs() - run.stated).clamp_min(0) * start.sign()
    torch.testing.assert_close(run.model.norm1.weight.data, left, rtol=1e-4, atol=1e-6)
    assert torch.equal(run.model.norm1.weight == 0, start.abs() < run.stated)
    assert 0 < int((left == 0).sum()) < 8


def test_a_zero_scale_stays_zero_against_a_small_gradient():
    """The loss pulls with 0.01 a step and the penalty with more: soft-thresholding holds the scale at exactly zero."""
    model = Net()
    run = Run(model, torch.optim.SGD(model.parameters(), lr=LR0), epochs=1, batches=20, sparsity=0.5)
    run.model.norm1.weight.data.zero_()
    run.train(loss=lambda y: 0 * y.sum() - 0.1 * run.model.norm1.weight.sum())
    assert torch.equal(run.model.norm1.weight, torch.zeros(8))


def test_only_prunable_channels_move():
    run = Run(sparsity=0.2)
    before = state(run.model)
    run.train()

    changed = {name for name, tensor in run.model.named_parameters() if not torch.equal(tensor, before[name])}
    assert changed == {"norm1.weight", "norm2.weight"}


class Beside(Net):
    """The image itself goes through a BatchNorm beside the first convolution: its three channels may not go."""

    def __init__(self):
        super().__init__()
        self.both, self.last = nn.BatchNorm2d(3 + 8), nn.Conv2d(3 + 8, 2, 1)

    def forward(self, x):
        return self.last(self.both(torch.cat([x, self.first(x)], 1)))


def test_a_layer_may_be_penalised_in_part():
    run = Run(Beside(), sparsity=0.2).train()

    moved = 1 - run.model.both.weight.data
    assert torch.equal(moved[:3], torch.zeros(3))
    torch.testing.assert_close(moved[3:], torch.full((8,), run.stated), rtol=1e-5, atol=1e-6)


def test_each_parameter_group_moves_at_its_own_rate():
    model = Net()
    groups = [
        {"params": list(model.norm1.parameters()), "lr": LR0},
        {"params": list(model.norm2.parameters()), "lr": 0.02},
    ]
    run = Run(model, torch.optim.SGD(groups, lr=LR0), sparsity=0.2).train()

    torch.testing.assert_close(1 - model.norm1.weight, torch.full((8,), run.stated), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(1 - model.norm2.weight, torch.full((6,), run.stated / 5), rtol=1e-5, atol=1e-6)


def test_biases_shrink_by_their_own_strength_which_does_not_decay():
    run = Run(epochs=2, sparsity=0.2, sparsity_bias=0.05)
    run.model.norm1.bias.data.fill_(-1.0)
    run.train()

    rates = [LR0, LR0 * (0.5 * 0.99 + 0.01)]
    stated = BATCHES * 0.05 * sum(rates)
    torch.testing.assert_close(run.model.norm1.bias.data, torch.full((8,), stated - 1), rtol=1e-5, atol=1e-6)
    assert torch.equal(run.model.norm3.bias, torch.zeros(4))


def test_frozen_scales_stay_and_do_not_count(caplog):
    caplog.set_level(logging.INFO, logger="slim")
    run = Run(sparsity=0.2)
    run.model.norm1.weight.requires_grad_(False)
    run.train()

    assert torch.equal(run.model.norm1.weight, torch.ones(8))
    assert run.model.norm2.weight.max() < 1
    assert "6 prunable channels" in caplog.text


def test_off_leaves_no_trace():
    run = Run(sparsity=0.0, sparsity_bias=0.05)
    before, names = state(run.model), set(vars(run))
    run.train()

    assert set(vars(run)) == names
    assert run.callbacks == {}
    assert list(run.results[-1]) == ["lr/pg0"]
    assert not run.optimizer._optimizer_step_post_hooks
    assert all(torch.equal(tensor, before[name]) for name, tensor in run.model.named_parameters())


def test_arguments_that_an_older_run_does_not_have_mean_off():
    run = Run()
    for name in ARGUMENTS:
        delattr(run.args, name)
    run.train()
    assert not hasattr(run, "slim_penalty")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"sparsity_mode": "lasso"}, "sparsity_mode=lasso is not one of decoupled, gradient, unclipped"),
        ({"sparsity": -0.1}, "must not be negative"),
        ({"sparsity_bias": -0.1}, "must not be negative"),
        ({"sparsity_decay": 1.5}, "lies in 0..1"),
        ({"sparsity_decay": -0.1}, "lies in 0..1"),
        ({"sparsity_warmup": -1.0}, "must not be negative"),
        ({"sparsity_weight": "latency"}, "sparsity_weight=latency is not one of none, flops, params"),
        ({"sparsity": "much"}, "sparsity=much is neither a number nor auto"),
        ({"sparsity": "auto", "sparsity_mode": "gradient"}, "sparsity=auto needs sparsity_mode=decoupled"),
    ],
)
def test_bad_arguments_stop_the_run(arguments, words):
    run = Run(**{"sparsity": 0.1, **arguments})
    with pytest.raises(ValueError, match=words):
        run.train()


def test_freezing_everything_that_could_be_pruned_is_an_error():
    run = Run(sparsity=0.2)
    for parameter in (*run.model.norm1.parameters(), *run.model.norm2.parameters()):
        parameter.requires_grad_(False)
    with pytest.raises(ValueError, match="sparsity has nothing to act on"):
        run.train()


@pytest.mark.parametrize("mode", ["decoupled", "gradient"])
def test_a_model_without_a_scale_to_act_on_is_an_error(mode):
    run = Run(nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 4, 3)), sparsity=0.1, sparsity_mode=mode)
    with pytest.raises(ValueError, match="sparsity has nothing to act on"):
        run.train()


class TestGradientMode:
    """The write-up's own form, section 2.1: all BatchNorms, γ and β, between backward and the step."""

    def run(self, **more):
        run = Run(sparsity=1e-2, sparsity_bias=1e-2, sparsity_mode="gradient", **more)
        run.model.norm1.weight.data[0] = -0.5
        run.model.norm1.bias.data.copy_(torch.linspace(-1, 1, 8))
        return run

    @pytest.mark.parametrize("epoch", [0, 50, 99])
    def test_the_sign_joins_the_gradients_with_the_write_ups_numbers(self, epoch):
        run = self.run(epochs=100)
        run.epoch = epoch
        run.model(run.train_loader[0]).square().sum().backward()
        before = {name: parameter.grad.clone() for name, parameter in run.model.named_parameters()}
        penalize(run)

        for name, module in run.model.named_modules():
            if isinstance(module, nn.BatchNorm2d):
                strength = 1e-2 * (1 - 0.9 * epoch / 100)
                added = module.weight.grad - before[f"{name}.weight"]
                torch.testing.assert_close(added, strength * module.weight.sign(), rtol=0, atol=1e-5)
                added = module.bias.grad - before[f"{name}.bias"]
                torch.testing.assert_close(added, 1e-2 * module.bias.sign(), rtol=0, atol=1e-5)
            elif isinstance(module, nn.Conv2d):
                assert torch.equal(module.weight.grad, before[f"{name}.weight"])

    def test_the_step_does_no_more_than_the_optimizer(self):
        run = self.run()
        run.model(run.train_loader[0]).square().sum().backward()
        penalize(run)
        weights = state(run.model)
        run.optimizer.step()
        expected = weights["norm1.weight"] - LR0 * run.model.norm1.weight.grad
        torch.testing.assert_close(run.model.norm1.weight.data, expected)

    def test_clipping_afterwards_takes_most_of_it_away(self):
        """Why it is not the default: with a large gradient elsewhere, γ moves by a hundredth of what was added."""
        run = self.run()
        (1e3 * run.model(run.train_loader[0]).square().sum() + 1e6 * run.model.first.weight.sum()).backward()
        for parameter in run.model.norm2.parameters():
            parameter.grad.zero_()
        penalize(run)
        torch.nn.utils.clip_grad_norm_(run.model.parameters(), 10.0)
        before = run.model.norm2.weight.clone()
        run.optimizer.step()
        assert (before - run.model.norm2.weight).abs().max() < 0.01 * LR0 * 1e-2


class TestTravel:
    """How far the penalty can move a scale is said before the run, and is what happens."""

    @pytest.mark.parametrize("accumulate", [1, 2])
    def test_the_estimate_is_what_happens(self, accumulate):
        run = Run(epochs=5, batches=8, accumulate=accumulate, sparsity=0.1)
        penalty = Penalty(run)
        travel = penalty.travel()
        penalty.detach()
        run.train()
        assert travel == pytest.approx(run.stated, rel=1e-6)
        torch.testing.assert_close(1 - run.model.norm1.weight.data, torch.full((8,), travel), rtol=1e-4, atol=1e-6)

    def test_after_resuming_it_is_what_is_left(self):
        run = Run(epochs=4, sparsity=0.1)
        whole = Penalty(run).travel()
        run.epoch = 3
        rest = Penalty(run).travel()
        assert rest == pytest.approx(BATCHES * 0.1 * (1 - 0.9 * 3 / 4) * LR0 * (0.25 * 0.99 + 0.01))
        assert rest < whole

    def test_groups_with_few_scales_do_not_decide(self):
        """MuSGD trains the class branches at three times the rate; the other scales are the measure."""
        model = Net()
        few, most = list(model.norm2.parameters()), list(model.norm1.parameters())
        optimizer = torch.optim.SGD([{"params": few, "lr": 3 * LR0}, {"params": most, "lr": LR0}], lr=LR0)
        assert Penalty(Run(model, optimizer, epochs=3, sparsity=0.2)).travel() == pytest.approx(summed(3, BATCHES, 0.2))

    def test_a_run_that_is_too_short_is_warned_about_with_a_strength_that_is_enough(self, caplog):
        caplog.set_level(logging.INFO, logger="slim")
        run = Run(sparsity=0.1).train()
        (warning,) = [r for r in caplog.records if r.levelno == logging.WARNING]
        assert run.model.norm1.weight.min() > 0
        assert f"can move each scale by {run.stated:.3g} in this run; their median is 1" in caplog.text

        enough = float(warning.getMessage().partition("sparsity=")[2].split(" ")[0])
        caplog.clear()
        run = Run(sparsity=enough).train()
        assert torch.equal(run.model.norm1.weight, torch.zeros(8))
        assert not [r for r in caplog.records if r.levelno == logging.WARNING]

    def test_each_epoch_says_where_the_scales_stand(self, caplog):
        caplog.set_level(logging.INFO, logger="slim")
        run = Run(epochs=3, sparsity=2.0)
        run.model.norm1.weight.data[:2] = 0.1
        run.train()
        lines = [m for m in caplog.messages if "prunable channels" in m]
        assert len(lines) == 3
        assert "sparsity 2 (decoupled), 14 prunable channels, |γ| median 1.0000, 0.0% below 0.001" in lines[0]
        assert "14.3% below" in lines[1]  # 2 of 14
