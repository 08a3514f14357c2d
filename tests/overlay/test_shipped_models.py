"""The proof for every model that the installed release ships, at its smallest scale."""

from __future__ import annotations

import copy
import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from slim.channels import analyse
from slim.measure import count_parameters
from slim.plan import make_plan
from slim.surgery import apply_plan, mask_plan

from .networks import assert_same, differ, photo, randomise, run

if TYPE_CHECKING:
    import torch


def shipped() -> list[str]:
    """Name every model file of the installed release, without importing it."""
    spec = importlib.util.find_spec("ultralytics")
    assert spec is not None
    assert spec.origin is not None
    return sorted(path.stem for path in (Path(spec.origin).parent / "cfg" / "models").rglob("*.yaml"))


@pytest.mark.slow
@pytest.mark.parametrize("name", shipped())
def test_pruned_is_masked_for_every_model_that_is_shipped(name: str) -> None:
    from ultralytics import RTDETR, YOLO

    try:
        masked: Any = randomise((RTDETR if "rtdetr" in name else YOLO)(f"{name}.yaml").model)
    except (OSError, ImportError) as error:  # text encoders are downloaded
        pytest.skip(f"cannot be built here: {error}")
    channels = analyse(masked)
    pruned = copy.deepcopy(masked)
    # A transformer decoder sorts its queries by scores that a random network makes all but equal, so that rounding
    # decides: there the proof is what the decoder is given.
    look = entering_the_head if "rtdetr" in name else run
    full = look(masked, photo())
    plan = make_plan(masked, channels, ratio=0.5, round_to=8)
    mask_plan(masked, plan, channels)
    apply_plan(pruned, plan, channels, fold=False)
    assert_same(look(pruned, photo()), look(masked, photo()))
    assert differ(full, look(masked, photo()))
    assert count_parameters(pruned) < 0.9 * count_parameters(masked)
    run(pruned, photo())


def entering_the_head(model: Any, image: torch.Tensor) -> list[torch.Tensor]:
    """Return the feature maps that the last layer is given."""
    seen: list[torch.Tensor] = []
    handle = model.model[-1].register_forward_pre_hook(lambda _, args: seen.extend(args[0]))
    run(model, image)
    handle.remove()
    return seen
