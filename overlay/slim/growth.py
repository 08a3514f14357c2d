"""Say so when the weights of a pruned model are loaded into one of another shape, which trains as it was built."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from .models.class_outputs import network_of
from .models.pruned import is_pruned, shapes_of
from .writing.log import warn

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import nn


def warn_of_growth(model: nn.Module, weights: nn.Module | Mapping[str, object]) -> None:
    """Warn when a model has taken what fits of a pruned one's weights; stands where upstream has loaded them.

    Args:
        model: What was loaded into: it keeps its own shape.
        weights: The model that was loaded, or its checkpoint.
    """
    source = network_of(weights)
    if source is None or not is_pruned(source, model):
        return
    wanted, fitting = shapes_of(model), shapes_of(source)
    same = len(wanted.items() & fitting.items())
    path = getattr(source, "pt_path", None)
    file = Path(str(path)).name if path else "slim.pt"
    warn(
        f"slim: {file} is a pruned model, and only {same} of the {len(wanted)} tensors of this one, which stays as "
        f"large as it was built, come from it; to go on in the pruned shape: YOLO({file!r}).train(...)"
    )
