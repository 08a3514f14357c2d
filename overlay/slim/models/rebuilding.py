"""What a checkpoint's own YAML builds, for the data set that the checkpoint was last trained on."""

from __future__ import annotations

import inspect
import logging
from contextlib import contextmanager
from copy import deepcopy
from typing import TYPE_CHECKING

import torch

from .class_outputs import classes_of, keypoints_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import nn

# Keys of a model's YAML that say what it is made of, in all releases of both upstreams.
STRUCTURE = ("backbone", "head", "scale", "depth_multiple", "width_multiple", "activation")


def as_made(model: nn.Module) -> nn.Module | None:
    """Build a model anew from its own YAML, with the classes and keypoints that its head has; None if that fails.

    In silence, and without taking random numbers from the training to come. The YAML's own numbers are not asked: the
    dictionary is shared between models, and upstream overwrites them.
    """
    yaml = getattr(model, "yaml", None)
    if not isinstance(yaml, dict):
        return None
    make, yaml, keypoints = type(model), deepcopy(yaml), keypoints_of(model)
    if keypoints:
        yaml["kpt_shape"] = list(keypoints)
    quiet = {"verbose": False} if "verbose" in inspect.signature(make).parameters else {}
    try:
        with torch.random.fork_rng(devices=[]), hushed():
            return make(yaml, nc=classes_of(model), **quiet)
    except Exception:  # noqa: BLE001 - upstream evaluates what stands there, and may know its words no more
        return None


@contextmanager
def hushed() -> Iterator[None]:
    """Keep every logger from saying less than a warning: YOLOv5 has no `verbose` and logs a table of layers."""
    before = logging.root.manager.disable
    logging.disable(logging.INFO)
    try:
        yield
    finally:
        logging.disable(before)
