"""Every model of the installed ultralytics: its file, built without a network, and random targets of its task."""

from __future__ import annotations

import importlib.util
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Iterator

EMBED = 512  # width of the text features that world models and YOLOE are given


def shipped() -> list[str]:
    """Name every model file of the installed release, without importing it."""
    return sorted(path.stem for path in _folder().rglob("*.yaml"))


def scaled(scale: str, *families: str) -> list[str]:
    """Name the model files of some families (folders) that have this scale."""
    import yaml

    files = [path for family in families for path in sorted((_folder() / family).glob("*.yaml"))]
    return [path.stem for path in files if scale in yaml.safe_load(path.read_text(encoding="utf-8")).get("scales", [])]


def _folder() -> Path:
    spec = importlib.util.find_spec("ultralytics")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "cfg" / "models"


def build(name: str, scale: str) -> Any:
    """Build a model from its file, at a scale where it has several; random weights, also where text is encoded.

    The one thing that is changed in a definition: torchvision's backbones come without the weights that upstream
    would download. World models and YOLOE are built as their classes, with random text features, as no encoder of
    text is part of them.
    """
    from ultralytics.nn import tasks

    from ultralytics import YOLO

    definition = tasks.yaml_model_load(f"{name}.yaml")
    if scale in definition.get("scales", []):
        definition["scale"] = scale
    for row in definition["backbone"]:
        row[3] = [None if value == "DEFAULT" else value for value in row[3]]
    task = tasks.guess_model_task(definition)
    if "rtdetr" in name:
        make = tasks.RTDETRDetectionModel
    elif "world" in name:
        make = tasks.WorldModel
    elif "yoloe" in name:
        make = tasks.YOLOESegModel if task == "segment" else tasks.YOLOEModel
    else:
        make = YOLO.task_map.fget(None)[task]["model"]
    model = make(definition, verbose=False)
    model.task = task
    if "yoloe" in name:
        model.pe = torch.nn.functional.normalize(torch.randn(1, 80, EMBED), dim=-1)  # as `set_classes` leaves it
    return model


def targets(model: Any, side: int) -> dict[str, Any]:
    """Return a batch of two noisy images, two objects in each, with all that the loss of a model's task asks for."""
    box, masks = torch.tensor([[0.4, 0.4, 0.5, 0.4], [0.6, 0.5, 0.3, 0.6]]).repeat(2, 1), torch.zeros(2, side, side)
    masks[:, 10:40, 10:40], masks[:, 30:, 40:] = 1, 2
    batch = {
        "img": torch.rand(2, 3, side, side),
        "cls": torch.zeros(4, 1),
        "bboxes": box,
        "batch_idx": torch.tensor([0.0, 0, 1, 1]),
        "masks": masks,
        "sem_masks": torch.zeros(2, side, side),
        "semantic_mask": torch.randint(0, 2, (2, side, side)),
        "depth": 1 + torch.rand(2, side, side),
        "txt_feats": torch.randn(2, 80, EMBED),
    }
    if model.task == "classify":
        batch["cls"] = torch.tensor([0, 1])
    elif model.task == "obb":
        batch["bboxes"] = torch.cat([box, torch.full((4, 1), 0.3)], 1)
    elif model.task == "pose":
        batch["keypoints"] = torch.cat([torch.rand(4, 17, 2), torch.full((4, 17, 1), 2.0)], 2)
    return batch


@contextmanager
def same_choices(made: list[Tensor], *, replay: bool) -> Iterator[None]:
    """Note which positions a head's top-k chooses, or have it choose those again.

    A decoder's queries and an end-to-end head's detections are the best of many scores, which a random network makes
    all but equal: rounding then decides which are chosen and in which order, and two outputs that differ in nothing
    else cannot be compared. With the choice held the same, all that is computed from it is, to the decoder's end; the
    scores themselves are part of what is compared.
    """
    from ultralytics.nn.modules.head import Detect

    original, waiting = Detect.__dict__["_grouped_topk"], iter(list(made))

    def chosen(x: Tensor, k: int, groups: int = 8) -> tuple[Tensor, Tensor]:
        if replay:
            index = next(waiting)
            return x.gather(1, index), index
        values, index = original.__func__(x, k, groups)
        made.append(index)
        return values, index

    Detect._grouped_topk = staticmethod(chosen)
    try:
        yield
    finally:
        Detect._grouped_topk = original
