"""Fine-tuning keeps the pruned architecture, whichever way a model reaches the trainer.

Write-up 1, section 4, edits one of two places by version; both are needed, since several GPUs and `resume` go
through `setup_model` where `YOLO(...).train()` goes through `model.py`.
"""

from __future__ import annotations

from slimfork.codemod import Import, Insert
from slimfork.patch import Patch, Variant

KEEP = "from ultralytics.slim.architecture import keep_architecture"


def edits(package: str, weights: str, *, distills: bool = False) -> tuple[Import | Insert, ...]:
    """Return the edits for a package and the expression that `Model.train` loads weights from."""
    trainer, model = f"{package}/engine/trainer.py", f"{package}/engine/model.py"
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
        Import(file=model, code=KEEP),
        Insert(
            file=model,
            within=("*", "train"),
            anchor="self.trainer.model = self.trainer.get_model(...)",
            code=f"self.trainer.model = keep_architecture(self.trainer.model, {weights})",
        ),
    )


LOADED = "self.model if self.ckpt else None"

PATCH = Patch(
    id="keep_architecture",
    title="Keep a pruned checkpoint's architecture in training",
    why="the trainer rebuilds the model from its YAML, so a pruned model grows back (write-up 1, 4; ultralytics#14856)",
    until="upstream trains a checkpoint in the shapes it was saved in",
    variants=(
        Variant(versions=">=8.0.35,<=8.0.135", edits=edits("ultralytics/yolo", LOADED)),
        Variant(versions=">=8.0.136,<=8.4.44", edits=edits("ultralytics", LOADED)),
        Variant(versions=">=8.4.45,<=8.4.76", edits=edits("ultralytics", "weights")),
        Variant(versions=">=8.4.77,<=8.4.190", edits=edits("ultralytics", "weights", distills=True)),
    ),
)
