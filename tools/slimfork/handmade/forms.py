"""The forms in which the write-ups make each patch's edit by hand, and where: tables, no logic."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slimfork.handmade.keys import HandmadeKey
from slimfork.handmade.model import OwnModel, Unfrozen
from slimfork.handmade.penalty_code import HandmadePenalty

if TYPE_CHECKING:
    from slimfork.handmade.handmade import Handmade

KEPT_IN_ULTRALYTICS: tuple[Handmade, ...] = (
    OwnModel(
        files=("ultralytics/*engine/trainer.py",),
        function="setup_model",
        assigned="self.model",
        built=r"\bself\.get_model\(",
        other=r"keep_architecture\(|DistillationModel\(|\bself\.model\b",
        taken=r"^weights\b|\bckpt\b|\bload\(|attempt_load|load_checkpoint",
        own_lines=r"self\.model = self\.get_model\(",
        section="write-up 1, 4, method 1",
    ),
    OwnModel(
        files=("ultralytics/*engine/model.py",),
        function="train",
        assigned="self.trainer.model",
        built=r"\.get_model\(",
        other=r"keep_architecture\(|\bself\.trainer\.model\b",
        taken=r"\bself\.model\b|^weights\b|\bckpt\b|\bload\(",
        own_lines=r"self\.trainer\.model = self\.trainer\.get_model\(|self\.model = self\.trainer\.model\b",
        section="write-up 1, 4, method 2",
    ),
    Unfrozen(
        files=("ultralytics/*engine/trainer.py", "ultralytics/*engine/model.py"),
        functions=("setup_model", "train", "_setup_train", "_do_train"),
        section="write-up 1, 3",
    ),
)

KEPT_IN_YOLOV5: tuple[Handmade, ...] = (
    OwnModel(
        files=("train.py", "segment/train.py", "yolov5/train.py", "yolov5/segment/train.py"),
        function="train",
        assigned="model",
        built=r"Model\(.*ckpt",
        other=r"keep_architecture\(|\bmodel\b(?!['\"])",
        taken=r"\bckpt\b|\bload\(|torch_load|attempt_load",
        own_lines=r"model = \w*Model\(.*ckpt|exclude = |(csd|state_dict) = |model\.load_state_dict\(",
        section="write-up 2, fine-tuning",
    ),
)

_TRAINS = (
    *("train.py", "segment/train.py", "classify/train.py", "utils/*loss.py"),
    *("utils/general.py", "utils/torch_utils.py", "models/yolo.py"),
)
TRAINS = (*_TRAINS, *(f"yolov5/{name}" for name in _TRAINS))


def penalty_in_yolov5(own: str) -> tuple[Handmade, ...]:
    """Return the forms of write-up 2's penalty, given the line that the patch adds to hyp files."""
    hyps = ("data/hyp*.yaml", "yolov5/data/hyp*.yaml")
    return (
        HandmadePenalty(files=TRAINS, section="write-up 2", option="sl"),
        HandmadeKey(files=hyps, key="sl", own=(own,), section="write-up 2"),
    )
