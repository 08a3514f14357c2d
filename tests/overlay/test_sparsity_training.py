"""The penalty under everything that stands between a loss and a step: each optimizer, AMP, clipping, several processes.

In all of them a scale moves by Σ lr·λ over the steps that the optimizer really made, and by nothing else.
"""

from __future__ import annotations

import pytest
import torch
import torch.multiprocessing
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel
from ultralytics.optim import MuSGD

from slim.sparsity import bare
from tests.overlay.sparse_run import LR0, Net, Run, no_loss

OPTIMIZERS = {
    "SGD": lambda model: torch.optim.SGD(model.parameters(), lr=LR0, momentum=0.9, nesterov=True),
    "Adam": lambda model: torch.optim.Adam(model.parameters(), lr=LR0, betas=(0.9, 0.999)),
    "AdamW": lambda model: torch.optim.AdamW(model.parameters(), lr=LR0, weight_decay=0.0),
    "AdamW, fused": lambda model: torch.optim.AdamW(model.parameters(), lr=LR0, weight_decay=0.0, fused=True),
    "RMSprop": lambda model: torch.optim.RMSprop(model.parameters(), lr=LR0, momentum=0.9),
    "MuSGD": lambda model: MuSGD(mu_groups(model), muon=0.2, sgd=1.0),
}


def mu_groups(model):
    """Matrices go to Muon, everything else to SGD, as upstream's `build_optimizer` does it."""
    matrices = [p for p in model.parameters() if p.ndim == 4]
    others = [p for p in model.parameters() if p.ndim != 4]
    common = {"lr": LR0, "momentum": 0.9, "nesterov": True, "weight_decay": 0.0}
    return [{"params": others, **common}, {"params": matrices, "use_muon": True, **common}]


def moved_as_stated(run):
    """Say whether every prunable scale fell by what was stated, and no other moved."""
    torch.testing.assert_close(1 - run.model.norm1.weight.data, torch.full((8,), run.stated), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(1 - run.model.norm2.weight.data, torch.full((6,), run.stated), rtol=1e-4, atol=1e-5)
    return run.stated > 0.01 and torch.equal(run.model.norm3.weight.data, torch.ones(4))


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer(name):
    model = Net()
    run = Run(model, OPTIMIZERS[name](model), sparsity=0.2).train()
    assert moved_as_stated(run)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_beside_the_loss(name):
    """One step on a real loss with and without the penalty: the difference is lr·λ, whatever the rule of the step."""
    weights = []
    for sparsity in (0.0, 0.2):
        torch.manual_seed(1)
        model = Net()
        model.norm1.weight.data.fill_(3.0)  # RMSprop's first step is ten times its rate
        run = Run(model, OPTIMIZERS[name](model), batches=1, epochs=1, sparsity=sparsity)
        run.train(loss=lambda y: (y * torch.linspace(-1, 1, y.numel()).view_as(y)).sum())
        weights.append(model.norm1.weight.data.clone())
    assert (weights[0] - 3).abs().max() > 0.05
    torch.testing.assert_close(weights[0] - weights[1], torch.full((8,), LR0 * 0.2), rtol=1e-3, atol=1e-5)


def test_accumulation_counts_steps_and_not_batches():
    run = Run(epochs=2, batches=8, accumulate=4, sparsity=0.2)
    steps = []
    run.optimizer.register_step_post_hook(lambda *_: steps.append(run.model.norm1.weight[0].item()))
    run.train()
    assert len(steps) == 4
    assert moved_as_stated(run)


class Clipped(Run):
    def optimizer_step(self):
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), max_norm=10.0)
        assert norm > 1e3  # or nothing is clipped
        for parameter in (*self.model.norm1.parameters(), *self.model.norm2.parameters()):
            parameter.grad.zero_()
        super().optimizer_step()


def test_clipping_takes_nothing_away():
    run = Clipped(sparsity=0.2, optimizer=None)
    run.optimizer.param_groups[0]["momentum"] = 0.0
    third = run.model.third.weight
    run.train(loss=lambda y: no_loss(y) + 1e6 * third.sum())
    assert moved_as_stated(run)


class Scaled(Run):
    """fp16: the loss is scaled, the gradients are unscaled before the step, and a step with an overflow is left out."""

    def __init__(self, *args, overflow_at=(), **more):
        super().__init__(*args, **more)
        self.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**16)
        self.overflow_at, self.skipped = overflow_at, 0

    def backward(self, loss):
        self.scaler.scale(loss).backward()
        if self.batches in self.overflow_at:
            self.model.first.weight.grad[0, 0, 0, 0] = float("inf")

    def optimizer_step(self):
        scale, before = self.scaler.get_scale(), self.model.norm1.weight.clone()
        self.scaler.unscale_(self.optimizer)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        if self.scaler.get_scale() < scale:
            self.skipped += 1
            self.stated -= self.optimizer.param_groups[0]["lr"] * self.strength()
            assert torch.equal(self.model.norm1.weight, before)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_fp16_scaler_neither_divides_the_penalty_nor_moves_scales_in_a_step_it_skips(name):
    """Fused optimizers are called for a skipped step too, and see for themselves that they must not move."""
    model = Net()
    run = Scaled(model, OPTIMIZERS[name](model), sparsity=0.2, overflow_at=(2, 5)).train()
    assert run.skipped == 2
    assert moved_as_stated(run)


class InBf16(Run):
    def forward(self, images):
        with torch.autocast("cpu", dtype=torch.bfloat16):  # as in upstream, around the forward pass and nothing else
            return super().forward(images)


def test_bf16_autocast():
    run = InBf16(sparsity=0.2)
    kinds = set()
    run.model.first.register_forward_hook(lambda *passed: kinds.add(passed[-1].dtype))
    run.train()
    assert kinds == {torch.bfloat16}
    assert run.model.norm1.weight.dtype == torch.float32
    assert moved_as_stated(run)


def test_an_optimizer_built_anew_in_mid_run_takes_the_penalty_along():
    """Releases from 8.4.13 build another after running out of memory; the old one must not act any more."""
    run = Run(epochs=1, batches=2, sparsity=0.2).train()
    old = run.optimizer
    run.optimizer = torch.optim.AdamW(run.model.parameters(), lr=LR0, weight_decay=0.0)
    run.train()
    assert moved_as_stated(run)

    before = run.model.norm1.weight.clone()
    old.step()
    assert torch.equal(run.model.norm1.weight, before)


def test_one_hook_however_many_batches():
    run = Run(epochs=3, sparsity=0.2).train()
    assert len(run.optimizer._optimizer_step_post_hooks) == 1


def test_the_hook_does_not_get_into_a_checkpoint(tmp_path):
    run = Run(sparsity=0.2).train()
    torch.save(run.optimizer.state_dict(), tmp_path / "optimizer.pt")
    again = Run(sparsity=0.2)
    again.optimizer.load_state_dict(torch.load(tmp_path / "optimizer.pt", weights_only=True))
    assert not again.optimizer._optimizer_step_post_hooks


class Distilled(nn.Module):
    """As upstream's wrapper: a teacher beside the student, which alone is trained."""

    def __init__(self):
        super().__init__()
        self.teacher_model, self.student_model = Net(), Net()

    def forward(self, x):
        return self.student_model(x) - self.teacher_model(x)


def test_a_distillation_teacher_is_left_alone():
    wrapper = Distilled()
    run = Run(wrapper, sparsity=0.2).train()
    assert torch.equal(wrapper.teacher_model.norm1.weight, torch.ones(8))
    run.model = wrapper.student_model
    assert moved_as_stated(run)


def test_a_student_whose_features_are_being_captured():
    """Upstream's wrapper keeps features of the student by hooks; they carry gradients, and cannot be copied."""
    wrapper, kept = Distilled(), Captured()
    wrapper.student_model.second.register_forward_hook(kept)
    run = Run(wrapper, sparsity=0.2).train()
    assert kept.features.requires_grad
    run.model = wrapper.student_model
    assert moved_as_stated(run)


class Captured:
    features = None

    def __call__(self, *passed):
        self.features = passed[-1]


def test_bare_finds_the_model_under_every_wrapper():
    model, wrapper = Net(), Distilled()
    assert bare(model) is model
    assert bare(torch.compile(model, backend="eager")) is model
    assert bare(nn.DataParallel(model)) is model
    assert bare(nn.DataParallel(torch.compile(wrapper, backend="eager"))) is wrapper.student_model


def test_compiled_models():
    model = Net()
    run = Run(torch.compile(model, backend="eager"), torch.optim.SGD(model.parameters(), lr=LR0), sparsity=0.2).train()
    run.model = model
    assert moved_as_stated(run)


def _train_in_process(rank, folder):
    distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    try:
        torch.manual_seed(0)
        net = Net()
        run = Run(DistributedDataParallel(net), torch.optim.SGD(net.parameters(), lr=0.01), sparsity=2.0, epochs=2)
        torch.manual_seed(rank)  # images of its own in every process
        run.train_loader = [torch.rand(4, 3, 8, 8) for _ in run.train_loader]
        run.train(loss=lambda y: (y * torch.linspace(-1, 1, y.numel()).view_as(y)).sum() / 100)
        torch.save({"net": net.state_dict(), "stated": run.stated}, f"{folder}/{rank}.pt")
    finally:
        distributed.destroy_process_group()


def test_two_processes_keep_the_same_scales(tmp_path):
    torch.multiprocessing.spawn(_train_in_process, args=(str(tmp_path),), nprocs=2)
    one, two = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in (0, 1))
    learned = [name for name in one["net"] if "running" not in name]
    assert all(torch.equal(one["net"][name], two["net"][name]) for name in learned)
    assert not torch.equal(one["net"]["norm1.running_mean"], two["net"]["norm1.running_mean"])  # other images
    assert 1 - one["net"]["norm1.weight"].mean() == pytest.approx(one["stated"], rel=0.5)
