"""A training run as `penalize` sees upstream's: a small net, a real optimizer, and the loop around them."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import torch
from torch import nn

from slim.sparsity import penalize

ARGUMENTS = {
    "sparsity": 0.0,
    "sparsity_decay": 0.9,
    "sparsity_warmup": 0.0,
    "sparsity_bias": 0.0,
    "sparsity_mode": "decoupled",
    "sparsity_weight": "none",
}
LR0 = 0.1


class Net(nn.Module):
    """Two convolutions whose channels may go, and a third one's that are the output and may not."""

    def __init__(self):
        super().__init__()
        self.first, self.norm1 = nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.second, self.norm2 = nn.Conv2d(8, 6, 3, padding=1), nn.BatchNorm2d(6)
        self.third, self.norm3 = nn.Conv2d(6, 4, 3, padding=1), nn.BatchNorm2d(4)

    def forward(self, x):
        x = self.norm1(self.first(x)).relu()
        x = self.norm2(self.second(x)).relu()
        return self.norm3(self.third(x))


def no_loss(y):
    """Return a loss without gradient: nothing but the penalty then moves a scale."""
    return 0 * y.sum()


class Run:
    """What `penalize` reads of upstream's trainer, and a loop of `epochs` times `batches`.

    `stated` adds up lr·λ over the optimizer's steps: how far the penalty has promised to move every scale.
    """

    def __init__(
        self, model=None, optimizer=None, *, epochs=3, batches=4, accumulate=1, folder=Path("nowhere"), **arguments
    ):
        torch.manual_seed(0)
        self.model = Net() if model is None else model
        self.optimizer = optimizer or torch.optim.SGD(self.model.parameters(), lr=LR0, momentum=0.9)
        self.args = SimpleNamespace(**{**ARGUMENTS, **arguments}, nbs=4 * accumulate, imgsz=32)
        self.save_dir, self.callbacks, self.results, self.lr = folder, {}, [], {}
        self.epoch, self.epochs, self.batch_size, self.accumulate = 0, epochs, 4, accumulate
        self.train_loader = [torch.rand(4, 3, 8, 8) for _ in range(batches)]
        self.lf = lambda epoch: (1 - epoch / epochs) * 0.99 + 0.01  # as upstream's linear schedule
        self.scheduler = torch.optim.lr_scheduler.LambdaLR(self.optimizer, self.lf)
        self.batches, self.stated = 0, 0.0

    def strength(self):
        """λ(epoch) as documented."""
        names = ("sparsity", "sparsity_decay", "sparsity_warmup")
        sparsity, decay, warmup = (getattr(self.args, name, 0.0) for name in names)
        sparsity = self.slim_penalty.strength if sparsity == "auto" else sparsity
        return sparsity * min(1, (self.epoch + 1) / (warmup + 1)) * (1 - decay * self.epoch / self.epochs)

    def train(self, loss=no_loss, start=0, stop=None):
        """Run all epochs, or some."""
        for epoch in range(start, self.epochs if stop is None else stop):
            self.epoch = epoch
            for images in self.train_loader:
                self.train_batch(images, loss)
            self.lr = {"lr/pg0": self.optimizer.param_groups[0]["lr"]}
            for callback in self.callbacks.get("on_train_epoch_end", []):
                callback(self)
            self.results.append(dict(self.lr))  # upstream's row of results.csv ends with these
            self.scheduler.step()
        return self

    def train_batch(self, images, loss=no_loss):
        """Forward, backward, the penalty where the patch puts it, and a step when it is due."""
        self.backward(loss(self.forward(images)))
        penalize(self)
        self.batches += 1
        if self.batches % self.accumulate == 0:
            self.stated += self.optimizer.param_groups[0]["lr"] * self.strength()
            self.optimizer_step()
            self.optimizer.zero_grad()

    def forward(self, images):
        return self.model(images)

    def backward(self, loss):
        loss.backward()

    def optimizer_step(self):
        self.optimizer.step()


def state(model):
    """Return copies of all tensors."""
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}
