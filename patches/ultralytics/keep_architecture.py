"""Fine-tuning keeps the pruned architecture, whichever way a model reaches the trainer.

Write-up 1, section 4, edits one of two places by version; both are needed, since several GPUs and `resume` go
through `setup_model` where `YOLO(...).train()` goes through `model.py`.
"""

from __future__ import annotations

from slimfork.codemods import Import, Insert, Patch, Variant
from slimfork.handmade.forms import KEPT_IN_ULTRALYTICS

KEEP = "from ultralytics.slim.architecture import keep_architecture"
NAME = "slim_keep_architecture"  # a name that cannot meet one of upstream's; ours was once imported without it
GET_MODEL = (("weights", 1),)  # get_model(cfg, weights, verbose): what a local of any name is handed over as


def imported(file: str) -> Import:
    """Return the import of the function that keeps an architecture."""
    return Import(file=file, code=f"{KEEP} as {NAME}", former=KEEP)


def kept(file: str, within: tuple[str, ...], model: str, build: str, former: str) -> Insert:
    """Return the edit behind a call that builds a model, given the weights that were once named there."""
    return Insert(
        file=file,
        within=within,
        anchor=f"{model} = {build}(...)",
        code=f"{model} = {NAME}({model}, {{weights}})",
        takes=GET_MODEL,
        former=f"{model} = keep_architecture({model}, {former})",
    )


def in_trainer(package: str, *, distills: bool = False) -> tuple[Import | Insert, ...]:
    """Return the edits of `BaseTrainer.setup_model`, which distillation builds its student in, too."""
    trainer, within = f"{package}/engine/trainer.py", ("BaseTrainer", "setup_model")
    student = kept(trainer, within, "student_model", "self.get_model", "weights.student_model")
    model = kept(trainer, within, "self.model", "self.get_model", "weights")
    return (imported(trainer), model, *((student,) if distills else ()))


def in_model(package: str, former: str) -> tuple[Import | Insert, ...]:
    """Return the edits of `Model.train`, given the expression of the weights that was once written there."""
    model = f"{package}/engine/model.py"
    return imported(model), kept(model, ("*", "train"), "self.trainer.model", "self.trainer.get_model", former)


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
