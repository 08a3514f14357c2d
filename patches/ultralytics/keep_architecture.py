"""Fine-tuning keeps the pruned architecture, whichever way a model reaches the trainer.

Write-up 1, section 4, edits one of two places by version; both are needed, since several GPUs and `resume` go
through `setup_model` where `YOLO(...).train()` goes through `model.py`.
"""

from __future__ import annotations

from slimfork.codemod import Import, Insert
from slimfork.handmade_forms import KEPT_IN_ULTRALYTICS
from slimfork.patch import Patch, Variant

KEEP = "from ultralytics.slim.architecture import keep_architecture"


def in_trainer(package: str, *, distills: bool = False) -> tuple[Import | Insert, ...]:
    """Return the edits of `BaseTrainer.setup_model`, which distillation builds its student in, too."""
    trainer = f"{package}/engine/trainer.py"
    student = Insert(
        file=trainer,
        within=("BaseTrainer", "setup_model"),
        anchor="student_model = self.get_model(...)",
        code="student_model = keep_architecture(student_model, weights.student_model)",
    )
    return (
        Import(file=trainer, code=KEEP),
        Insert(
            file=trainer,
            within=("BaseTrainer", "setup_model"),
            anchor="self.model = self.get_model(...)",
            code="self.model = keep_architecture(self.model, weights)",
        ),
        *((student,) if distills else ()),
    )


def in_model(package: str, weights: str) -> tuple[Import | Insert, ...]:
    """Return the edits of `Model.train`, given the expression that it loads weights from."""
    model = f"{package}/engine/model.py"
    return (
        Import(file=model, code=KEEP),
        Insert(
            file=model,
            within=("*", "train"),
            anchor="self.trainer.model = self.trainer.get_model(...)",
            code=f"self.trainer.model = keep_architecture(self.trainer.model, {weights})",
        ),
    )


NOW = "ultralytics"
LOADED = "self.model if self.ckpt else None"

PATCH = Patch(
    id="keep_architecture",
    title="Keep a pruned checkpoint's architecture in training",
    why="the trainer rebuilds the model from its YAML, so a pruned model grows back (write-up 1, 4; ultralytics#14856)",
    until="upstream trains a checkpoint in the shapes it was saved in",
    skippable=False,
    handmade=KEPT_IN_ULTRALYTICS,
    variants=(
        Variant(
            versions=">=8.0.0,<=8.0.135",
            edits=(*in_trainer("ultralytics/yolo"), *in_model("ultralytics/yolo", LOADED)),
        ),
        Variant(versions=">=8.0.136,<=8.4.34", edits=(*in_trainer(NOW), *in_model(NOW, LOADED))),
        # Yanked: its Model.train hands no model over, so every one goes through setup_model.
        Variant(versions=">=8.4.35,<=8.4.35", edits=in_trainer(NOW)),
        Variant(versions=">=8.4.36,<=8.4.44", edits=(*in_trainer(NOW), *in_model(NOW, LOADED))),
        Variant(versions=">=8.4.45,<=8.4.76", edits=(*in_trainer(NOW), *in_model(NOW, "weights"))),
        Variant(
            versions=">=8.4.77,<=8.4.190",
            edits=(*in_trainer(NOW, distills=True), *in_model(NOW, "weights")),
        ),
    ),
)
