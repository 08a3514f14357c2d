"""The pruned architecture is kept where the trainer builds a model and where `Model.train` does."""

from __future__ import annotations

from tests.patches.cases import Case, as_bytes, check_transformed, patch_named, step

PATCH = patch_named("keep_architecture")

IMPORT = "from ultralytics.slim.architecture import keep_architecture\n"

TRAINER = """\
import torch


class BaseTrainer:
    def setup_model(self):
        cfg, weights = self.model, None
        self.model = self.get_model(cfg=cfg, weights=weights, verbose=RANK == -1)  # calls Model(cfg, weights)
        return ckpt
"""

TRAINER_AFTER = """\
import torch
from ultralytics.slim.architecture import keep_architecture


class BaseTrainer:
    def setup_model(self):
        cfg, weights = self.model, None
        self.model = self.get_model(cfg=cfg, weights=weights, verbose=RANK == -1)  # calls Model(cfg, weights)
        self.model = keep_architecture(self.model, weights)
        return ckpt
"""

DISTILLING = """\
import torch


class BaseTrainer:
    def setup_model(self):
        if isinstance(weights, DistillationModel):
            student_model = self.get_model(cfg=cfg, weights=weights.student_model, verbose=RANK in {-1, 0})
            self.model = DistillationModel(student_model=student_model, teacher_model=teacher_model)
        else:
            self.model = self.get_model(cfg=cfg, weights=weights, verbose=RANK in {-1, 0})  # calls Model(cfg, weights)
        return ckpt
"""

DISTILLING_AFTER = """\
import torch
from ultralytics.slim.architecture import keep_architecture


class BaseTrainer:
    def setup_model(self):
        if isinstance(weights, DistillationModel):
            student_model = self.get_model(cfg=cfg, weights=weights.student_model, verbose=RANK in {-1, 0})
            student_model = keep_architecture(student_model, weights.student_model)
            self.model = DistillationModel(student_model=student_model, teacher_model=teacher_model)
        else:
            self.model = self.get_model(cfg=cfg, weights=weights, verbose=RANK in {-1, 0})  # calls Model(cfg, weights)
            self.model = keep_architecture(self.model, weights)
        return ckpt
"""

YOLO = """\
import sys


class YOLO:
    def train(self, **kwargs):
        if not overrides.get('resume'):  # manually set model only if not resuming
            self.trainer.model = self.trainer.get_model(weights=self.model if self.ckpt else None, cfg=self.model.yaml)
            self.model = self.trainer.model
        self.trainer.train()
"""

YOLO_AFTER = """\
import sys
from ultralytics.slim.architecture import keep_architecture


class YOLO:
    def train(self, **kwargs):
        if not overrides.get('resume'):  # manually set model only if not resuming
            self.trainer.model = self.trainer.get_model(weights=self.model if self.ckpt else None, cfg=self.model.yaml)
            self.trainer.model = keep_architecture(self.trainer.model, self.model if self.ckpt else None)
            self.model = self.trainer.model
        self.trainer.train()
"""

MODEL = """\
import sys


class Model(nn.Module):
    def train(self, trainer=None, **kwargs):
        if not args.get("resume") and self.ckpt:
            self.trainer.model = self.trainer.get_model(weights=weights, cfg=self.model.yaml)
            self.model = self.trainer.model
        self.trainer.train()
"""

MODEL_AFTER = """\
import sys
from ultralytics.slim.architecture import keep_architecture


class Model(nn.Module):
    def train(self, trainer=None, **kwargs):
        if not args.get("resume") and self.ckpt:
            self.trainer.model = self.trainer.get_model(weights=weights, cfg=self.model.yaml)
            self.trainer.model = keep_architecture(self.trainer.model, weights)
            self.model = self.trainer.model
        self.trainer.train()
"""


def files(package: str, trainer: str, model: str) -> dict[str, str]:
    return {f"{package}/engine/trainer.py": trainer, f"{package}/engine/model.py": model}


CASES = (
    Case(
        version="8.0.100",
        before=files("ultralytics/yolo", TRAINER, YOLO),
        after=files("ultralytics/yolo", TRAINER_AFTER, YOLO_AFTER),
    ),
    Case(
        version="8.2.0",
        before=files("ultralytics", TRAINER, YOLO),
        after=files("ultralytics", TRAINER_AFTER, YOLO_AFTER),
    ),
    Case(
        version="8.4.60",
        before=files("ultralytics", TRAINER, MODEL),
        after=files("ultralytics", TRAINER_AFTER, MODEL_AFTER),
    ),
    Case(
        version="8.4.190",
        before=files("ultralytics", DISTILLING, MODEL),
        after=files("ultralytics", DISTILLING_AFTER, MODEL_AFTER),
    ),
)


def test_class_of_train_may_have_any_name() -> None:
    before, after = as_bytes(CASES[3].before), as_bytes(CASES[3].after)
    rename = {path: text.replace(b"class Model", b"class Wrapper") for path, text in before.items()}
    renamed = {path: text.replace(b"class Model", b"class Wrapper") for path, text in after.items()}
    check_transformed(PATCH, "8.4.190", rename, renamed)


def test_trainer_of_a_subclass_is_not_meant() -> None:
    before = as_bytes(CASES[1].before)
    before["ultralytics/engine/trainer.py"] += b"""

class MultiTrainer(BaseTrainer):
    def setup_model(self):
        self.model = self.get_model(cfg=cfg, weights=weights)
"""
    done = step(PATCH, before, "8.2.0")
    assert done.state == "pending"
    assert done.changes["ultralytics/engine/trainer.py"].count(b"keep_architecture(") == 1


def test_release_that_distils_must_have_the_student() -> None:
    before = as_bytes(files("ultralytics", TRAINER, MODEL))
    done = step(PATCH, before, "8.4.190")
    assert done.state == "broken"
    (problem,) = done.problems
    assert "expected student_model = self.get_model(...)" in problem
    assert "nearest  line 7: self.model = self.get_model(cfg=cfg" in problem
