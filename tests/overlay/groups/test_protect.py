"""`--keep` and `--only`: layers by pattern."""

from __future__ import annotations

from typing import Any

import pytest

from slim.analysis.channels import analyse
from slim.groups.protect import PatternError, protect
from slim.pruning.plan import make_plan
from tests.overlay import small
from tests.overlay.networks import randomise, stock


def lost(name: str, **patterns: Any) -> set[str]:
    """Return the layers of a stock model that lose channels at a ratio of 0.5."""
    model, channels = stock(name)
    plan = make_plan(model, protect(channels, **patterns), ratio=0.5)
    return {layer for layer, keep in plan.keep.items() if len(keep) < plan.widths[layer]}


@pytest.mark.parametrize("name", ["yolov8n", "yolo11n", "yolo26n", "yolov5n"])
@pytest.mark.parametrize(
    ("pattern", "beginnings", "endings"),
    [
        ("model.2", ("model.2.",), ("",)),
        ("model.2.*", ("model.2.",), ("",)),
        ("*.cv2", ("",), (".cv2.conv", ".cv2.bn")),
        ("model.0.bn", ("model.0.",), ("",)),
        ("model.[67]", ("model.6.", "model.7."), ("",)),
    ],
)
def test_a_kept_layer_loses_nothing(
    name: str, pattern: str, beginnings: tuple[str, ...], endings: tuple[str, ...]
) -> None:
    kept = lost(name, keep=[pattern])
    assert kept, "the others do"
    assert not [layer for layer in kept if layer.startswith(beginnings) and layer.endswith(endings)]
    assert [layer for layer in lost(name) if layer.startswith(beginnings) and layer.endswith(endings)]


def test_what_must_lose_the_same_channels_is_kept_as_well() -> None:
    model = randomise(small.Residual())
    plan = make_plan(model, protect(analyse(model), keep=["second"]), ratio=0.5)
    assert "stem.1" not in plan.keep
    assert len(plan.keep["first.1"]) == 6, "the ratio is of what may go"


def test_only_these_layers_lose_channels() -> None:
    assert {layer.split(".")[1] for layer in lost("yolov8n", only=["model.22"])} == {"22"}
    assert {layer.split(".")[2] for layer in lost("yolov8n", only=["model.22"], keep=["*.cv2"])} == {"cv3"}


def test_without_patterns_nothing_changes() -> None:
    _, channels = stock("yolov8n")
    assert protect(channels) == channels


@pytest.mark.parametrize("option", ["keep", "only"])
def test_a_pattern_that_matches_nothing_names_the_nearest_layers(option: str) -> None:
    _, channels = stock("yolov8n")
    with pytest.raises(PatternError) as caught:
        protect(channels, **{option: ["modle.22.cv3"]})  # type: ignore[arg-type]
    words = str(caught.value)
    assert words.startswith(f"--{option} modle.22.cv3: no layer is called so; the nearest are model.22.cv3, ")
    assert "\n" not in words


def test_patterns_that_leave_nothing_are_refused() -> None:
    _, channels = stock("yolov8n")
    with pytest.raises(PatternError, match="leave no channel that may go"):
        protect(channels, keep=["*"])
    with pytest.raises(PatternError, match="leave no channel that may go"):
        protect(channels, only=["model.22.dfl"])
