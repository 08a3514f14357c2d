"""Sparse training: one call after `backward`, and the train arguments that steer it.

Write-up 1, section 2.1, edits the trainer at this place. The call reaches both of its modes: the write-up's, and
the one that works after every optimizer step; `ultralytics/slim/sparsity.py` says why.
"""

from __future__ import annotations

from slimfork.codemod import Import, Insert
from slimfork.patch import Patch, Variant
from slimfork.settings import Members, YamlKeys

ARGUMENTS = (
    "sparsity: 0.0 # (float) strength of the sparsity penalty on BatchNorm scales, 0 disables (network slimming)",
    "sparsity_decay: 0.9 # (float) the penalty shrinks by this fraction until the last epoch",
    "sparsity_bias: 0.0 # (float) strength of the same penalty on BatchNorm biases",
    "sparsity_mode: decoupled # (str) decoupled (after the optimizer step) or gradient (the write-up's, before it)",
)


def edits(package: str) -> tuple[Import | Insert | YamlKeys | Members, ...]:
    """Return the edits for the package that holds `engine/` and `cfg/`."""
    trainer = f"{package}/engine/trainer.py"
    config = f"{package}/cfg/__init__.py"
    return (
        Import(file=trainer, code="from ultralytics.slim.sparsity import penalize"),
        Insert(
            file=trainer,
            within=("BaseTrainer", "_do_train"),
            anchor="self.scaler.scale(self.loss).backward()",
            code="penalize(self)",
        ),
        YamlKeys(file=f"{package}/cfg/default.yaml", after="nbs", lines=ARGUMENTS),
        Members(file=config, name="CFG_FLOAT_KEYS", members=("sparsity", "sparsity_bias")),
        Members(file=config, name="CFG_FRACTION_KEYS", members=("sparsity_decay",)),
    )


PATCH = Patch(
    id="sparsity",
    title="Train with a sparsity penalty on BatchNorm scales",
    why="network slimming needs channels whose scale is near zero; upstream has no such penalty (write-up 1, 2.1)",
    until="upstream trains with a penalty on BatchNorm scales of its own",
    variants=(
        Variant(versions=">=8.0.35,<=8.0.135", edits=edits("ultralytics/yolo")),
        Variant(versions=">=8.0.136,<=8.4.190", edits=edits("ultralytics")),
    ),
)
