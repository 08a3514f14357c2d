"""The trainer penalizes after `backward`, and its arguments are known to the configuration."""

from __future__ import annotations

from tests.patches.cases import Case, as_bytes, check_noop, patch_named, step

PATCH = patch_named("sparsity")

TRAINER = """\
import torch


class BaseTrainer:
    def _do_train(self, world_size=1):
        for epoch in range(self.start_epoch, self.epochs):
            for i, batch in pbar:
                # Backward
                self.scaler.scale(self.loss).backward()

                # Optimize
                self.optimizer_step()
"""

TRAINER_AFTER = """\
import torch
from ultralytics.slim.sparsity import penalize as slim_penalize


class BaseTrainer:
    def _do_train(self, world_size=1):
        for epoch in range(self.start_epoch, self.epochs):
            for i, batch in pbar:
                # Backward
                self.scaler.scale(self.loss).backward()
                slim_penalize(self)

                # Optimize
                self.optimizer_step()
"""

# To 8.0.57: the rank is a parameter, and the loss is multiplied by the number of processes.
RANKED, RANKED_AFTER = (
    text.replace("(self, world_size=1)", "(self, rank=-1, world_size=1)").replace(
        "                # Backward\n",
        "                if rank != -1:\n                    self.loss *= world_size\n\n                # Backward\n",
    )
    for text in (TRAINER, TRAINER_AFTER)
)

RETRYING = """\
import torch


class BaseTrainer:
    def _do_train(self):
        while True:
            for i, batch in pbar:
                try:
                    # Backward
                    self.scaler.scale(self.loss).backward()
                except RuntimeError as e:
                    break
            else:
                continue
"""

RETRYING_AFTER = """\
import torch
from ultralytics.slim.sparsity import penalize as slim_penalize


class BaseTrainer:
    def _do_train(self):
        while True:
            for i, batch in pbar:
                try:
                    # Backward
                    self.scaler.scale(self.loss).backward()
                    slim_penalize(self)
                except RuntimeError as e:
                    break
            else:
                continue
"""

YAML = """\
nbs: 64  # nominal batch size
hsv_h: 0.015  # image HSV-Hue augmentation (fraction)
"""

YAML_AFTER = """\
nbs: 64  # nominal batch size
sparsity: 0.0 # (float | str) strength of the penalty on BatchNorm scales, 0 disables; auto: by the run's length
sparsity_decay: 0.9 # (float) the penalty shrinks by this fraction until the last epoch
sparsity_warmup: 0.0 # (float) epochs in which the penalty climbs to its strength
sparsity_bias: 0.0 # (float) strength of the same penalty on BatchNorm biases
sparsity_mode: decoupled # (str) decoupled (after the step), gradient (the write-up's, then clipped), unclipped
sparsity_weight: none # (str) press channels more that cost more: none, flops or params
hsv_h: 0.015  # image HSV-Hue augmentation (fraction)
"""

HYDRA = """\

# Hydra configs --------------------------------------------------------------------------------------------------------
hydra:
  output_subdir: null  # disable hydra directory creation
"""

BRACES = """\
# Define keys for arg type checks
CFG_FLOAT_KEYS = {'warmup_epochs', 'box', 'cls', 'dfl'}
CFG_FRACTION_KEYS = {
    'dropout', 'iou', 'lr0', 'lrf',
    'label_smoothing', 'hsv_h'}
"""

BRACES_AFTER = """\
# Define keys for arg type checks
CFG_FLOAT_KEYS = {'sparsity_bias', 'sparsity_warmup', 'warmup_epochs', 'box', 'cls', 'dfl'}
CFG_FRACTION_KEYS = {
    'sparsity_decay', 'dropout', 'iou', 'lr0', 'lrf',
    'label_smoothing', 'hsv_h'}
"""

TUPLES = """\
# Define keys for arg type checks
CFG_FLOAT_KEYS = 'warmup_epochs', 'box', 'cls'
CFG_FRACTION_KEYS = ('dropout', 'iou', 'lr0',
    'label_smoothing', 'hsv_h')
"""

TUPLES_AFTER = """\
# Define keys for arg type checks
CFG_FLOAT_KEYS = 'sparsity_bias', 'sparsity_warmup', 'warmup_epochs', 'box', 'cls'
CFG_FRACTION_KEYS = ('sparsity_decay', 'dropout', 'iou', 'lr0',
    'label_smoothing', 'hsv_h')
"""

SETS = """\
CFG_FLOAT_KEYS = frozenset(
    {  # integer or float arguments, i.e. x=2 and x=2.0
        "warmup_epochs",
        "box",
    }
)
CFG_FRACTION_KEYS = frozenset(
    {  # fractional float arguments with 0.0<=values<=1.0
        "dropout",
        "iou",
    }
)
"""

SETS_AFTER = """\
CFG_FLOAT_KEYS = frozenset(
    {  # integer or float arguments, i.e. x=2 and x=2.0
        "sparsity_bias",
        "sparsity_warmup",
        "warmup_epochs",
        "box",
    }
)
CFG_FRACTION_KEYS = frozenset(
    {  # fractional float arguments with 0.0<=values<=1.0
        "sparsity_decay",
        "dropout",
        "iou",
    }
)
"""


def files(package: str, trainer: str, yaml: str, kinds: str = "", *, folder: str = "cfg") -> dict[str, str]:
    checked = {f"{package}/{folder}/__init__.py": kinds} if kinds else {}
    return {f"{package}/engine/trainer.py": trainer, f"{package}/{folder}/default.yaml": yaml, **checked}


OLD, NOW = "ultralytics/yolo", "ultralytics"

CASES = (
    Case(
        version="8.0.0",
        before=files(OLD, RANKED, YAML + HYDRA, folder="configs"),
        after=files(OLD, RANKED_AFTER, YAML_AFTER + HYDRA, folder="configs"),
    ),
    Case(version="8.0.14", before=files(OLD, RANKED, YAML), after=files(OLD, RANKED_AFTER, YAML_AFTER)),
    Case(
        version="8.0.31",
        before=files(OLD, RANKED, YAML, BRACES),
        after=files(OLD, RANKED_AFTER, YAML_AFTER, BRACES_AFTER),
    ),
    Case(
        version="8.0.100",
        before=files(OLD, TRAINER, YAML, TUPLES),
        after=files(OLD, TRAINER_AFTER, YAML_AFTER, TUPLES_AFTER),
    ),
    Case(
        version="8.2.0",
        before=files(NOW, TRAINER, YAML, SETS),
        after=files(NOW, TRAINER_AFTER, YAML_AFTER, SETS_AFTER),
    ),
    Case(
        version="8.4.190",
        before=files(NOW, RETRYING, YAML, SETS),
        after=files(NOW, RETRYING_AFTER, YAML_AFTER, SETS_AFTER),
    ),
)

NEWEST = CASES[-1]


def test_defaults_that_the_user_changed_are_left_alone() -> None:
    mine = {path: text.replace(b"sparsity: 0.0", b"sparsity: 0.01") for path, text in as_bytes(NEWEST.after).items()}
    check_noop(PATCH, "8.4.190", mine, "applied")


def test_one_argument_of_six_is_not_enough() -> None:
    files = as_bytes(NEWEST.before)
    files["ultralytics/cfg/default.yaml"] += b"sparsity_bias: 0.0\n"
    done = step(PATCH, files, "8.4.190")
    assert done.state == "broken"
    assert "expected 1 site, found 1 without the edit, 1 with it" in done.problems[0]
