"""A pruned model is fine-tuned with a step after each batch, where upstream would gather 64 images."""

from __future__ import annotations

from slimfork.codemods import Import, Insert, Patch, Variant


def edits(package: str) -> tuple[Import | Insert, ...]:
    """Return the edits, given the package: an import, and a call before upstream counts batches to a step."""
    file = f"{package}/engine/trainer.py"
    return (
        Import(file=file, code="from ultralytics.slim.steps import step_each_batch as slim_step_each_batch"),
        Insert(
            file=file,
            within=("BaseTrainer", "*"),
            anchor="self.accumulate = max(round(self.args.nbs / self.batch_size), 1)",
            code="slim_step_each_batch(self)",
            where="before",
        ),
    )


PATCH = Patch(
    id="step_each_batch",
    title="Step after each batch when a pruned model is trained",
    why="gathering 64 images leaves few steps on a small data set, too few for a pruned model to come back",
    until="upstream takes the batches to a step from the length of the run",
    variants=(
        Variant(versions=">=8.0.0,<=8.0.135", edits=edits("ultralytics/yolo")),
        Variant(versions=">=8.0.136,<=8.4.190", edits=edits("ultralytics")),
    ),
)
