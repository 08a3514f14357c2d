"""A pruned model is fine-tuned so that few steps suffice: `--nbs`, and a call where the warm-up is counted."""

from __future__ import annotations

from slimfork.codemods import Insert, Patch, Variant

OURS = "slim_few_steps"  # a name that cannot meet one of upstream's


def edits(*scripts: str, root: str = "", batch: str = "batch_size") -> tuple[Insert, ...]:
    """Return the edits of train scripts below a folder, given what they call the images of a batch on all devices."""
    package = root.replace("/", ".")
    call = f"{OURS}.prepared(nw, model, ema, hyp, opt, {batch}, nb, epochs)"
    places = (
        (
            (),
            f"from {package}models.experimental import attempt_load",
            f"from {package}slim import few_steps as {OURS}",
        ),
        ((), "parser = argparse.ArgumentParser(...)", f"{OURS}.add_option(parser)"),
        (("train",), "nw = max(...)", f"nbs, accumulate, nw = {call}"),
    )
    return tuple(
        Insert(file=f"{root}{script}.py", within=within, anchor=anchor, code=code)
        for script in scripts
        for within, anchor, code in places
    )


TOTAL, BOTH, PYPI = "total_batch_size", ("train", "segment/train"), "yolov5/"

PATCH = Patch(
    id="few_steps",
    title="Fine-tune a pruned model in few steps",
    why="upstream's steps, average and warm-up are made for long runs; a pruned model's on a small data set is short",
    until="upstream takes the batches to a step and the decay of its average from the length of the run",
    variants=(
        Variant(tags=("v5.0",), edits=edits("train", batch=TOTAL)),
        Variant(tags=("v6.0", "v6.1", "v6.2"), edits=edits("train")),
        Variant(tags=("v7.0", "master"), edits=edits(*BOTH)),
        Variant(versions=">=5.0.0,<=5.0.5", edits=edits("train", root=PYPI, batch=TOTAL)),
        Variant(versions=">=5.0.6,<=6.1.9", edits=edits("train", root=PYPI)),
        Variant(versions=">=6.2.0,<=7.0.14", edits=edits(*BOTH, root=PYPI)),
    ),
)
