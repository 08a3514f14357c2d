"""A model that is built from a YAML takes what fits of a pruned one's weights, and trains at full size: it is said."""

from __future__ import annotations

from slimfork.codemods import Import, Insert, Patch, Variant


def edits(package: str) -> tuple[Import | Insert, ...]:
    """Return the edits, given the package: an import, and a call behind the line that loads the weights."""
    file = f"{package}/engine/model.py"
    return (
        Import(file=file, code="from ultralytics.slim.growth import warn_of_growth as slim_warn_of_growth"),
        Insert(
            file=file,
            within=("*", "load"),
            anchor="self.model.load(weights)",
            code="slim_warn_of_growth(self.model, weights)",
        ),
    )


PATCH = Patch(
    id="growth_warning",
    title="Warn when pruned weights are loaded into a larger model",
    why="YOLO('yolov8n.yaml').load('slim.pt').train() trains the dense model again, with a quarter of the weights",
    until="upstream says that it has not loaded most of a checkpoint",
    variants=(
        Variant(versions=">=8.0.54,<=8.0.135", edits=edits("ultralytics/yolo")),  # there is no `load` before
        Variant(versions=">=8.0.136,<=8.4.190", edits=edits("ultralytics")),
    ),
)
