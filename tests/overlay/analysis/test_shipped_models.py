"""The proof for every model that the installed release ships: pruned is masked, and stock upstream trains it on.

None is left out: `shipped.build` says how those are built whose weights or text encoders upstream would download.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
import torch

from slim.analysis.channels import Channels, analyse
from slim.costs.measure import count_parameters
from slim.files.checkpoint import save_checkpoint
from slim.pruning.apply import apply_plan, mask_plan
from slim.pruning.plan import Plan, make_plan
from tests.overlay.networks import assert_same, differ, photo, randomise, run
from tests.overlay.shipped import build, same_choices, scaled, shipped, targets

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

SIDE = 64
# Of the same modules as their smaller siblings, and several times as large.
SIBLINGS = {"rtdetr-x", "rtdetr-resnet101", "yolov9e-seg", "yolov10l", "yolov10x", "yolov10b", "yolov3-spp"}
SMALL = [(name, "n") for name in shipped() if name not in SIBLINGS]
# Of each family and each task one; the others are slow.
SAMPLE = {
    *("yolov6", "yolov8-cls-resnet50", "yolov8-obb", "yolov8-worldv2", "yolo11-seg", "yolo26-pose", "yoloe-11"),
}
LARGE = [(name, "x") for name in scaled("x", "v8", "11", "12", "26")] + [(name, "n") for name in sorted(SIBLINGS)]


@dataclass(frozen=True)
class Pruned:
    """A model before and after, and what both say of one image."""

    name: str
    channels: Channels
    plan: Plan
    model: Any
    before: int
    full: list[Tensor]
    masked: list[Tensor]
    outputs: list[Tensor]


@pytest.fixture(
    scope="module",
    params=[
        *(pytest.param(case, id=case[0], marks=() if case[0] in SAMPLE else pytest.mark.slow) for case in SMALL),
        *(pytest.param(case, id="-".join(case), marks=pytest.mark.slow) for case in LARGE),
    ],
)
def pruned(request: pytest.FixtureRequest) -> Pruned:
    """Prune a model once for all that is asked of it."""
    torch.manual_seed(0)
    name, scale = request.param
    masked = randomise(build(name, scale))
    channels, before, full = analyse(masked), count_parameters(masked), say(masked, [])
    plan = make_plan(masked, channels, ratio=0.4)
    model = copy.deepcopy(masked)
    apply_plan(model, plan, channels, fold=False)
    mask_plan(masked, plan, channels)
    choices: list[Tensor] = []
    wanted = say(masked, choices)
    outputs = say(model, choices, replay=True)
    return Pruned(name, channels, plan, model, before, full, wanted, outputs)


def say(model: Any, choices: list[Tensor], *, replay: bool = False) -> list[Tensor]:
    """Return all outputs for an image; of YOLOE also those for two visual prompts."""
    outputs = []
    with same_choices(choices, replay=replay):
        if hasattr(model.model[-1], "savpe"):
            visual = (torch.arange(SIDE // 8) < 3).float().expand(1, 2, SIDE // 8, SIDE // 8)
            outputs += run(partial(model, vpe=visual), photo(SIDE))
        return outputs + run(model, photo(SIDE))  # last, since it puts the number of classes back


def test_pruned_is_masked(pruned: Pruned) -> None:
    assert_same(pruned.outputs, pruned.masked)
    assert differ(pruned.full, pruned.masked), "the mask must matter"


def test_much_of_the_model_goes(pruned: Pruned) -> None:
    assert count_parameters(pruned.model) < 0.9 * pruned.before


def test_stock_ultralytics_loads_the_checkpoint_and_trains_it(pruned: Pruned, tmp_path: Path) -> None:
    from ultralytics.cfg import get_cfg

    from ultralytics import YOLO

    save_checkpoint(tmp_path / "pruned.pt", pruned.model, {"train_args": {}}, pruned.plan)
    loaded: Any = YOLO(tmp_path / "pruned.pt").model
    for (key, theirs), ours in zip(loaded.state_dict().items(), pruned.model.state_dict().values()):
        assert torch.equal(theirs, ours.half().to(theirs)), key

    for parameter in loaded.parameters():
        parameter.requires_grad_(True)
    loaded.args, loaded.nc = get_cfg(overrides=loaded.args), len(loaded.names)  # as upstream's trainer sets them
    before = {key: value.clone() for key, value in loaded.named_parameters()}
    optimizer = torch.optim.SGD(loaded.train().parameters(), lr=1e-4)
    loss, _ = loaded.loss(targets(loaded, SIDE))
    loss.sum().backward()
    optimizer.step()
    assert torch.isfinite(loss).all()
    assert all(torch.isfinite(parameter).all() for parameter in loaded.parameters())
    moved = [key for key, value in loaded.named_parameters() if not torch.equal(value, before[key])]
    assert len(moved) > 0.5 * len(before)
