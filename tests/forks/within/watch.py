"""Follows the penalty through every step of upstream's trainer, and lets a backward pass fail."""

from __future__ import annotations

import torch
from torch import nn


class Watch:
    """Looks at every scale right before and right after the penalty of each step of the optimizer."""

    def __init__(self):
        self.steps, self.stated, self.worst, self.moved, self.rates = 0, 0.0, 0.0, 0.0, set()
        self.before = None

    def start(self, trainer):
        """Find the scales that the penalty is to move, and listen to the optimizer before it does."""
        from ultralytics.slim.analysis.channels import prunable_batchnorms

        wrapper = trainer.model
        model = getattr(wrapper, "student_model", wrapper)
        norms = dict(model.named_modules())
        self.trainable = sorted(name for name, p in model.named_parameters() if p.requires_grad)
        self.masks = {name: (norms[name].weight, mask) for name, mask in prunable_batchnorms(model).items()}
        self.others = [
            m.weight for name, m in wrapper.named_modules() if isinstance(m, nn.BatchNorm2d) and "teacher" in name
        ]
        self.untouched = [w.clone() for w in self.others]
        self.optimizer = type(trainer.optimizer).__name__
        trainer.optimizer.register_step_post_hook(lambda *_: self.remember())

    def remember(self):
        self.before = {name: weight.detach().clone() for name, (weight, _) in self.masks.items()}

    def batch_end(self, trainer):
        if self.before is None:
            return
        rate = {id(p): group["lr"] for group in trainer.optimizer.param_groups for p in group["params"]}
        args = trainer.args
        strength = args.sparsity * (1 - args.sparsity_decay * trainer.epoch / trainer.epochs)
        for name, (weight, mask) in self.masks.items():
            amount = rate[id(weight)] * strength
            old, new = self.before[name], weight.detach()
            expected = torch.where(mask, old.sign() * (old.abs() - amount).clamp_min(0), old)
            self.worst = max(self.worst, (new - expected).abs().max().item())
        first = next(iter(self.masks))
        weight, mask = self.masks[first]
        self.moved += (self.before[first] - weight.detach())[mask].abs().max().item()
        self.stated += rate[id(weight)] * strength
        self.rates |= set(rate.values())
        self.steps, self.before = self.steps + 1, None

    def report(self):
        return {
            "steps": self.steps,
            "stated": self.stated,
            "moved": self.moved,
            "worst": self.worst,
            "rates": sorted({round(rate, 9) for rate in self.rates}),
            "optimizer": self.optimizer,
            "trainable": self.trainable,
            "teacher_kept": all(torch.equal(a, b) for a, b in zip(self.others, self.untouched)),
            "teachers": len(self.others),
        }


def out_of_memory(trainer, at):
    """Let one backward pass fail as CUDA does."""
    count = [0]

    def fail(gradient):
        count[0] += 1
        if count[0] == at + 1:
            raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return gradient

    next(p for p in trainer.model.parameters() if p.requires_grad).register_hook(fail)
