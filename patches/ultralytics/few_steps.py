"""A pruned model is fine-tuned so that few steps of the optimizer suffice: one call before upstream counts them."""

from __future__ import annotations

from slimfork.codemods import Import, Insert, Patch, Variant


def edits(package: str) -> tuple[Import | Insert, ...]:
    """Return the edits, given the package: an import, and a call before upstream counts batches to a step."""
    file = f"{package}/engine/trainer.py"
    return (
        Import(file=file, code="from ultralytics.slim.few_steps import prepare as slim_prepare_for_few_steps"),
        Insert(
            file=file,
            within=("BaseTrainer", "*"),
            anchor="self.accumulate = max(round(self.args.nbs / self.batch_size), 1)",
            code="slim_prepare_for_few_steps(self)",
            where="before",
        ),
    )


PATCH = Patch(
    id="few_steps",
    title="Fine-tune a pruned model in few steps",
    why="upstream's steps, average and warm-up are made for long runs; a pruned model's on a small data set is short",
    until="upstream takes the batches to a step and the decay of its average from the length of the run",
    variants=(
        Variant(versions=">=8.0.0,<=8.0.135", edits=edits("ultralytics/yolo")),
        Variant(versions=">=8.0.136,<=8.4.190", edits=edits("ultralytics")),
    ),
)
