"""A sign on a pruned model that unpatched upstream reads out when it is about to train the dense one in its place.

Upstream builds what it trains from the model's YAML. Where the YAML's `nc` is not the data set's, it logs both and goes
by the data set: "Overriding model.yaml nc=80 with nc=1". So do all releases of ultralytics from 8.0.0 on, whatever the
task, and nothing reads that key to predict, validate or export. A text there is never the data set's number: it is
logged whenever a model is built, and no harm comes of it. In YOLOv5 it would: early releases build what they load by
name from the YAML alone, and count outputs with its `nc`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .class_outputs import anchors_of, classes_of
from .rounds import remembers

if TYPE_CHECKING:
    from torch import nn

WORDS = "PRUNED: stock upstream rebuilds it DENSE to train, train it in the fork that pruned it"


def put_sign(model: nn.Module) -> None:
    """Put the sign on a model that remembers to have been pruned; its YAML, which models share, is copied."""
    yaml, classes = getattr(model, "yaml", None), classes_of(model)
    if remembers(model) and isinstance(yaml, dict) and classes is not None and not anchors_of(model):
        vars(model)["yaml"] = {**yaml, "nc": f"{classes} ({WORDS})"}
