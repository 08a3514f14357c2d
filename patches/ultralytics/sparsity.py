"""Sparse training: one call after `backward`, and the train arguments that steer it.

Write-up 1, section 2.1, edits the trainer at this place. The call reaches both of its modes: the write-up's, and
the one that works after every optimizer step; `ultralytics/slim/sparsity.py` says why.
"""

from __future__ import annotations

from slimfork.codemods import Import, Insert, Members, Patch, Variant, YamlKeys
from slimfork.handmade.penalty_code import HandmadePenalty

PENALIZE = "from ultralytics.slim.sparsity import penalize"  # once without a name that cannot meet one of upstream's
ARGUMENTS = (
    "sparsity: 0.0 # (float | str) strength of the penalty on BatchNorm scales, 0 disables; auto: by the run's length",
    "sparsity_decay: 0.9 # (float) the penalty shrinks by this fraction until the last epoch",
    "sparsity_warmup: 0.0 # (float) epochs in which the penalty climbs to its strength",
    "sparsity_bias: 0.0 # (float) strength of the same penalty on BatchNorm biases",
    "sparsity_mode: decoupled # (str) decoupled (after the step), gradient (the write-up's, then clipped), unclipped",
    "sparsity_weight: none # (str) press channels more that cost more: none, flops or params",
)


TRAINS = ("engine/trainer.py", "engine/model.py", "/train.py", "utils/loss.py", "utils/torch_utils.py", "nn/tasks.py")
SETTINGS = ("cfg/default.yaml", "configs/default.yaml", "cfg/__init__.py")


def edits(
    package: str, config: str = "cfg", *, checks: bool = True
) -> tuple[Import | Insert | YamlKeys | Members, ...]:
    """Return the edits, given the package, its configuration folder, and whether that checks the kinds of values.

    `sparsity` is of no kind that upstream checks, since it may be a number or a word.
    """
    trainer = f"{package}/engine/trainer.py"
    kinds = (
        Members(
            file=f"{package}/{config}/__init__.py", name="CFG_FLOAT_KEYS", members=("sparsity_bias", "sparsity_warmup")
        ),
        Members(file=f"{package}/{config}/__init__.py", name="CFG_FRACTION_KEYS", members=("sparsity_decay",)),
    )
    return (
        Import(file=trainer, code=f"{PENALIZE} as slim_penalize", former=PENALIZE),
        Insert(
            file=trainer,
            within=("BaseTrainer", "_do_train"),
            anchor="self.scaler.scale(self.loss).backward()",
            code="slim_penalize(self)",
            former="penalize(self)",
        ),
        YamlKeys(file=f"{package}/{config}/default.yaml", after="nbs", lines=ARGUMENTS),
        *(kinds if checks else ()),
    )


PATCH = Patch(
    id="sparsity",
    title="Train with a sparsity penalty on BatchNorm scales",
    why="network slimming needs channels whose scale is near zero; upstream has no such penalty (write-up 1, 2.1)",
    until="upstream trains with a penalty on BatchNorm scales of its own",
    skippable=False,
    handmade=(
        HandmadePenalty(
            files=tuple(f"ultralytics/*{name}" for name in (*TRAINS, *SETTINGS)),
            section="write-up 1, 2.1",
            own=ARGUMENTS,
        ),
    ),
    variants=(
        # Hydra's configuration (OmegaConf) to 8.0.11: a key of the file is a key of the command line there, too.
        Variant(versions=">=8.0.0,<=8.0.13", edits=edits("ultralytics/yolo", "configs", checks=False)),
        Variant(versions=">=8.0.14,<=8.0.30", edits=edits("ultralytics/yolo", checks=False)),
        Variant(versions=">=8.0.31,<=8.0.135", edits=edits("ultralytics/yolo")),
        Variant(versions=">=8.0.136,<=8.4.190", edits=edits("ultralytics")),
    ),
)
