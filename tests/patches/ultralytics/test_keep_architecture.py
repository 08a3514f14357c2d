"""The pruned architecture is kept where the trainer builds a model and where `Model.train` does."""

from __future__ import annotations

from tests.patches.cases import Case, as_bytes, check_transformed, patch_named, step

PATCH = patch_named("keep_architecture")

IMPORT = "from ultralytics.slim.architecture import keep_architecture as slim_keep_architecture\n"

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
from ultralytics.slim.architecture import keep_architecture as slim_keep_architecture


class BaseTrainer:
    def setup_model(self):
        cfg, weights = self.model, None
        self.model = self.get_model(cfg=cfg, weights=weights, verbose=RANK == -1)  # calls Model(cfg, weights)
        self.model = slim_keep_architecture(self.model, weights)
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
from ultralytics.slim.architecture import keep_architecture as slim_keep_architecture


class BaseTrainer:
    def setup_model(self):
        if isinstance(weights, DistillationModel):
            student_model = self.get_model(cfg=cfg, weights=weights.student_model, verbose=RANK in {-1, 0})
            student_model = slim_keep_architecture(student_model, weights.student_model)
            self.model = DistillationModel(student_model=student_model, teacher_model=teacher_model)
        else:
            self.model = self.get_model(cfg=cfg, weights=weights, verbose=RANK in {-1, 0})  # calls Model(cfg, weights)
            self.model = slim_keep_architecture(self.model, weights)
        return ckpt
"""

# Model.train, to 8.4.34 and from 8.4.36 on: when it hands a model over, and with which weights.
MODEL = """\
import sys
{imported}

class {name}:
    def train(self, **kwargs):
        if {condition}:
            self.trainer.model = self.trainer.get_model(weights={weights}, cfg=self.model.yaml)
{kept}            self.model = self.trainer.model
        self.trainer.train()
"""


def model(name: str, condition: str, weights: str, kept: str) -> tuple[str, str]:
    """Return `Model.train` before and after; `kept` are the weights whose architecture is kept."""
    values = {"name": name, "condition": condition, "weights": weights}
    line = f"            self.trainer.model = slim_keep_architecture(self.trainer.model, {kept})\n"
    return MODEL.format(imported="", kept="", **values), MODEL.format(imported=IMPORT, kept=line, **values)


LOADED = "self.model if self.ckpt else None"
RESUMING = 'not args.get("resume") and self.ckpt'

YOLO = model("YOLO", "not overrides.get('resume')", LOADED, LOADED)
ANY = model("Model(nn.Module)", 'not args.get("resume")', LOADED, LOADED)
FROM_CKPT = model("Model(torch.nn.Module)", RESUMING, "self.model", "self.model")
FROM_PRETRAINED = model("Model(torch.nn.Module)", RESUMING, "weights", "weights")


def case(version: str, package: str, trainer: tuple[str, str], model: tuple[str, str] | None) -> Case:
    pairs = {f"{package}/engine/trainer.py": trainer}
    if model:
        pairs[f"{package}/engine/model.py"] = model
    return Case.of(version, pairs)


BUILT = (TRAINER, TRAINER_AFTER)
BUILT_BARE = (TRAINER.replace(", verbose=RANK == -1", ""), TRAINER_AFTER.replace(", verbose=RANK == -1", ""))
BUILT_LOUD = (TRAINER.replace("== -1", "in {-1, 0}"), TRAINER_AFTER.replace("== -1", "in {-1, 0}"))
DISTILLED = (DISTILLING, DISTILLING_AFTER)

CASES = (
    case("8.0.0", "ultralytics/yolo", BUILT_BARE, YOLO),
    case("8.0.100", "ultralytics/yolo", BUILT, YOLO),
    case("8.2.0", "ultralytics", BUILT, ANY),
    case("8.4.35", "ultralytics", BUILT_LOUD, None),
    case("8.4.36", "ultralytics", BUILT_LOUD, FROM_CKPT),
    case("8.4.60", "ultralytics", BUILT_LOUD, FROM_PRETRAINED),
    case("8.4.190", "ultralytics", DISTILLED, FROM_PRETRAINED),
)

BY_VERSION = {each.version: each for each in CASES}


def test_class_of_train_may_have_any_name() -> None:
    before, after = as_bytes(BY_VERSION["8.4.190"].before), as_bytes(BY_VERSION["8.4.190"].after)
    rename = {path: text.replace(b"class Model", b"class Wrapper") for path, text in before.items()}
    renamed = {path: text.replace(b"class Model", b"class Wrapper") for path, text in after.items()}
    check_transformed(PATCH, "8.4.190", rename, renamed)


def test_trainer_of_a_subclass_is_not_meant() -> None:
    before = as_bytes(BY_VERSION["8.2.0"].before)
    before["ultralytics/engine/trainer.py"] += b"""

class MultiTrainer(BaseTrainer):
    def setup_model(self):
        self.model = self.get_model(cfg=cfg, weights=weights)
"""
    done = step(PATCH, before, "8.2.0")
    assert done.state == "pending"
    assert done.changes["ultralytics/engine/trainer.py"].count(b"slim_keep_architecture(") == 1


def test_release_that_distils_must_have_the_student() -> None:
    before = as_bytes(BY_VERSION["8.4.60"].before)
    done = step(PATCH, before, "8.4.190")
    assert done.state == "broken"
    (problem,) = done.problems
    assert "expected student_model = self.get_model(...)" in problem
    assert "nearest  line 7: self.model = self.get_model(cfg=cfg" in problem
