"""Batches that a model's own loss can be run on, made up: two objects in each image, and numbers for every task."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor, nn

EMBED = 512  # width of the text features that upstream's world models and YOLOE are given
CLASSES = 80  # and how many of them there are where the head says nothing
# Upstream's defaults (ultralytics/cfg/default.yaml, 8.4.190) of what its losses read; any other is 1.
DEFAULTS = {"box": 7.5, "cls": 0.5, "dfl": 1.5, "pose": 12.0, "kobj": 1.0, "mask_ratio": 4, "overlap_mask": True}


class Hyperparameters:
    """What a model was trained with; a number, too, for what it was not."""

    def __init__(self, known: dict[str, object]) -> None:
        self.__dict__.update(known)

    def __getattr__(self, name: str) -> float:
        """Return upstream's default, or 1."""
        if name.startswith("__"):
            raise AttributeError(name)
        return DEFAULTS.get(name, 1.0)

    def __getitem__(self, name: str) -> object:
        """Return the same, as YOLOv5 asks for it."""
        return getattr(self, name)

    def get(self, name: str, default: object = None) -> object:
        """Return what is known, or the default."""
        return vars(self).get(name, default)


@contextmanager
def hyperparameters(twin: nn.Module) -> Iterator[None]:
    """Give a copied model what its loss reads, and have it make its criterion anew."""
    held = vars(twin)
    before: dict[str, object] = {name: held[name] for name in ("args", "criterion", "hyp") if name in held}
    args = before.get("args", {})
    held["args"] = Hyperparameters(dict(args) if isinstance(args, dict) else dict(vars(args)))
    if "criterion" in before:
        held["criterion"] = None
    try:
        yield
    finally:
        held.pop("args", None)
        held.update(before)


def batches(twin: nn.Module, shown: Tensor) -> list[dict[str, Tensor]]:
    """Return batches of two images in the form of each task: detection and all that has boxes, rotated, classes.

    Args:
        twin: The model.
        shown: An image, (B, C, H, W), shown twice.
    """
    height, width = shown.shape[2:]
    layers = getattr(twin, "model", None)
    head = layers[-1] if isinstance(layers, torch.nn.Sequential) and len(layers) else None
    shape = getattr(head, "kpt_shape", (17, 3))
    image, shown = shown, shown[:0].float()  # what is said of images is float32, whatever they are in
    boxes = shown.new_tensor([[0.4, 0.4, 0.5, 0.4], [0.6, 0.5, 0.3, 0.6]]).repeat(2, 1)
    masks = shown.new_zeros(2, height, width)
    masks[:, height // 8 : height // 2, width // 8 : width // 2] = 1
    masks[:, height // 2 :, width // 2 :] = 2
    boxed = {
        "img": image[:1].repeat(2, 1, 1, 1),
        "cls": shown.new_zeros(4, 1),
        "bboxes": boxes,
        "batch_idx": shown.new_tensor([0, 0, 1, 1]),
        "masks": masks,
        "sem_masks": masks.clamp(max=0),
        "semantic_mask": masks.clamp(max=0).long(),
        "depth": masks + 1,
        "keypoints": shown.new_ones(4, *shape),
        "txt_feats": image.new_ones(2, int(getattr(head, "nc", CLASSES)), EMBED),
    }
    rotated = {**boxed, "bboxes": torch.cat([boxes, shown.new_full((4, 1), 0.3)], 1)}
    classed = {**boxed, "cls": torch.zeros(2, dtype=torch.long, device=shown.device)}
    return [boxed, rotated, classed]
